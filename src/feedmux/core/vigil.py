"""Watch channels that should speak, and say what to do about one that does not.

Theory of operation
===================

Each watched key is judged by how long ago it was heard. Silence is answered step by step, because most
of its causes are cheaper to cure than by a new connection::

    fresh ──silent for limit_s──▶ probed ──the probe was answered──▶ renewed
      ▲                             │ grace_s                          │ grace_s
      └──── heard, from anywhere ───┴──────────▶ RECONNECT ◀───────────┘

- *probe*: ask the connection for a sign of life. No answer: it is dead, and is replaced.
- *renew*: the connection lives, so the subscription was lost; ask for it again.
- *reconnect*: neither helped. After that :meth:`Vigil.restart` starts every watch anew.

The connection itself may be a key: then anything that comes is heard of it, and to renew it means all
that it carries.

Invariants: between two times it is heard, a key is named at most once for each step; nothing is
named that is not watched. Deliberately absent: the clock, and doing any of this.
"""

from __future__ import annotations

from enum import StrEnum

from feedmux.model.checks import require_number


class Step(StrEnum):
    """What is to be done about a silent key."""

    PROBE = "probe"
    RENEW = "renew"
    RECONNECT = "reconnect"


class Vigil:
    """The machine.

    Args:
        limit_s: silence that calls for a probe, seconds above 0.
        grace_s: how long a step may take to help, seconds above 0.

    Raises:
        InvalidSetting: one of them is not above 0.
    """

    __slots__ = ("_grace_s", "_heard_at", "_limit_s", "_steps")

    def __init__(self, limit_s: float, grace_s: float) -> None:
        for name, value in (("limit_s", limit_s), ("grace_s", grace_s)):
            require_number(name, value, "seconds above 0", above=0)
        self._limit_s, self._grace_s = limit_s, grace_s
        self._heard_at: dict[str, float] = {}
        self._steps: dict[str, tuple[Step, float]] = {}

    def __contains__(self, key: object) -> bool:
        return key in self._heard_at

    def watch(self, key: str, now: float) -> None:
        """Judge ``key`` from now on, or begin anew."""
        self._heard_at[key] = now
        self._steps.pop(key, None)

    def forget(self, key: str) -> None:
        """No longer judge ``key``."""
        self._heard_at.pop(key, None)
        self._steps.pop(key, None)

    def heard(self, key: str, now: float) -> None:
        """Note that something of ``key`` came; runs per message. What is not watched is ignored."""
        if key in self._heard_at:
            self._heard_at[key] = now
            if self._steps:
                self._steps.pop(key, None)

    def answered(self, now: float) -> list[str]:
        """The probe was answered; returns what is to be renewed."""
        probed = [key for key, (step, _) in self._steps.items() if step is Step.PROBE]
        for key in probed:
            self._steps[key] = (Step.RENEW, now)
        return probed

    def check(self, now: float) -> list[tuple[Step, str]]:
        """Judge every key; returns what is to be done now: probes, or a reconnect.

        Costs one look at each key.
        """
        found: list[tuple[Step, str]] = []
        for key, heard_at in self._heard_at.items():
            step, since = self._steps.get(key, (None, heard_at))
            if step is None and now - heard_at >= self._limit_s:
                self._steps[key] = (Step.PROBE, now)
                found.append((Step.PROBE, key))
            elif step in {Step.PROBE, Step.RENEW} and now - since >= self._grace_s:
                self._steps[key] = (Step.RECONNECT, now)
                found.append((Step.RECONNECT, key))
        return found

    def restart(self, now: float) -> None:
        """Start every watch anew, as on a new connection."""
        self._heard_at = dict.fromkeys(self._heard_at, now)
        self._steps.clear()

    def statistics(self) -> dict[str, int]:
        """Return how many keys are watched, and about how many something is being done."""
        return {"watched": len(self._heard_at), "silent": len(self._steps)}

    def __repr__(self) -> str:
        return f"<Vigil watched={len(self._heard_at)} silent={len(self._steps)}>"
