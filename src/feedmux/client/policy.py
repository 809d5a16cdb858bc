"""What follows from a failure: wait how long, go elsewhere, or give it up.

A policy is a function of the error and of how many failures in a row there were; a link asks it
each time. Errors that it does not know are worth another attempt.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from feedmux.client.guard import Guard
from feedmux.model.checks import require_number
from feedmux.model.errors import Recovery
from feedmux.model.link_errors import ConnectFailed, LinkError


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What follows from a failure.

    Args:
        halt: True ends the link with this error.
        wait_s: seconds before the next attempt, at least; the backoff may take longer.
        elsewhere: True lets the next attempt go to the next URL, if the link has several.

    Raises:
        InvalidSetting: the time is none.
    """

    halt: bool = False
    wait_s: float = 0.0
    elsewhere: bool = False

    def __post_init__(self) -> None:
        require_number("wait_s", self.wait_s, "seconds, 0 or more", least=0)


Policy = Callable[[LinkError, int], Verdict]
"""Judges a failure: the error, and how many there were in a row, this one included."""


def judge(policy: Policy, error: LinkError, failures: int, guard: Guard) -> Verdict:
    """Ask a policy; one that fails, or says what is no verdict, is judged by :func:`usual` instead."""
    verdict = guard.call(policy, error, failures)
    return verdict if isinstance(verdict, Verdict) else usual(error, failures)


def patient(error: LinkError, failures: int) -> Verdict:
    """Never give up, go to the next URL after a failed attempt, and wait as long as the server asks."""
    del failures
    if not isinstance(error, ConnectFailed):
        return Verdict()
    return Verdict(wait_s=error.wait_s, elsewhere=True)


def usual(error: LinkError, failures: int) -> Verdict:
    """Be patient, but halt where the server does not take our credentials (HTTP 401 and 403)."""
    if error.category.recovery is Recovery.HALT:
        return Verdict(halt=True)
    return patient(error, failures)
