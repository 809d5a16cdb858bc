"""Tests of who a client is."""

from __future__ import annotations

import math

from feedmux.model.access import ANONYMOUS, Identity


def test_who_has_no_token_is_nobody_for_ever() -> None:
    assert (ANONYMOUS.uid, ANONYMOUS.role, ANONYMOUS.expires_s) == ("", "", math.inf)


def test_two_tokens_of_one_user_are_two_identities() -> None:
    assert Identity("ID1", "member", 10.0) != Identity("ID1", "member", 20.0)
