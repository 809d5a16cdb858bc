from __future__ import annotations

import pytest

from feedmux.client.policy import Policy, Verdict, patient, usual
from feedmux.model.link_errors import Cause, ConnectFailed, LinkError, LinkLost


def status(number: int, wait_s: float = 0.0) -> ConnectFailed:
    return ConnectFailed("wss://h/", "no", cause=Cause.STATUS, status=number, wait_s=wait_s)


@pytest.mark.parametrize(
    ("policy", "error", "verdict"),
    [
        (usual, status(401), Verdict(halt=True)),
        (usual, status(403), Verdict(halt=True)),
        (patient, status(401), Verdict(elsewhere=True)),
        (usual, status(404), Verdict(elsewhere=True)),
        (usual, status(429, 12.0), Verdict(wait_s=12.0, elsewhere=True)),
        (usual, ConnectFailed("wss://h/", "refused"), Verdict(elsewhere=True)),
        (usual, LinkLost("gone"), Verdict()),
        (usual, LinkError(), Verdict()),
    ],
)
def test_what_follows_from_a_failure(policy: Policy, error: LinkError, verdict: Verdict) -> None:
    assert policy(error, 1) == verdict
