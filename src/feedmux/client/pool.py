"""Spread requests over connections that do the same work, and get round one that fails.

Theory of operation
===================

The healthiest open member is asked (:mod:`feedmux.core.pool` scores and chooses). What happens then
decides whether another one may be asked the same:

======================================  ====================================================
the member                              then
======================================  ====================================================
answers, or the other side refuses      that is the answer: no other member would know better
cannot send it (``ConnectFailed``,      nobody can have executed it: the next member is asked,
``Overflow``, or says that it was not   each at most once, three in all
executed)
fails in any other way (``LinkLost``,   it may have been executed, so it is *not* sent again:
a timeout, any ``OSError``)             ``RequestLost``, unless the caller said that it is
                                        repeatable
======================================  ====================================================

Both kinds of failure count against the member for a minute; a refusal does not.

Invariants: a request that is not repeatable leaves at most once; no member is asked twice for one
request; nothing is queued.

Deliberately absent: opening, closing and owning members, and any deadline besides the members' own.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any, Final, Protocol

from feedmux.client.clock import SystemClock
from feedmux.client.telemetry import Telemetry
from feedmux.client.telemetry_events import PoolFailover, PoolHealth, PoolRoute
from feedmux.core.pool import Choice, RecentErrors, Vitals, score
from feedmux.model.checks import require_kind, require_parts, require_whole
from feedmux.model.errors import Overflow, RateLimited
from feedmux.model.link_errors import (
    AttemptsFailed,
    ConnectFailed,
    LinkError,
    NoConnections,
    RequestLost,
    RequestTimeout,
)
from feedmux.model.ports import Clock, Statistics

_TROUBLE: Final = (LinkError, Overflow, RateLimited, OSError)  # a TimeoutError is an OSError
_SHOWN: Final = 200


class PoolMember(Protocol):
    """What a pool asks."""

    def vitals(self) -> Vitals | None:
        """How it is; None when it is not open. Asked for every request, so it should be quick."""

    async def request(self, method: str, params: object = None, /, *, timeout_s: float | None = None) -> Any:
        """Ask the other side.

        Args:
            method: what it is to do.
            params: with what.
            timeout_s: how long the answer may take; None: the member's own default.

        Raises:
            RequestLost: (or ``RequestTimeout``) it says whether it may have been executed.
            ConnectFailed: (or ``Overflow``, ``RateLimited``) nothing left.
            LinkError: (or ``TimeoutError``) it left, and the answer is not known.
            FeedmuxError: (any other) what the other side said.
        """


class Pool:
    """Members that do the same work. Belongs to one event loop; needs no end.

    Args:
        members: by name; read anew for each request, so it may change meanwhile, as
            :attr:`feedmux.client.registry.Registry.members` does.
        attempts: how many members are asked for one request at most, at least 1.
        telemetry: who is told of routes and failures.
        clock: the machine's by default.

    Raises:
        InvalidSetting: ``attempts`` is no whole number above 0, or the members are no mapping.
    """

    def __init__(
        self,
        members: Mapping[str, PoolMember],
        *,
        attempts: int = 3,
        telemetry: Telemetry | None = None,
        clock: Clock | None = None,
    ) -> None:
        require_kind("members", members, Mapping, "connections by name")
        for member in members.values():
            require_parts("members", member, ("vitals", "request"), "connections, e.g. links")
        require_whole("attempts", attempts, "a whole number, at least 1", least=1)
        self._members, self._attempts = members, attempts
        self._telemetry = Telemetry() if telemetry is None else telemetry
        self._clock = clock or SystemClock()
        self._choice: Choice[str] = Choice()
        self._errors: dict[str, RecentErrors] = {}
        self._requests = self._failovers = self._uncertain = 0

    async def request(
        self,
        method: str,
        params: object = None,
        *,
        timeout_s: float | None = None,
        repeatable: bool = False,
    ) -> Any:
        """Ask the healthiest member, and another one if it cannot send.

        Args:
            method: what is to be done.
            params: with what.
            timeout_s: how long each answer may take; None: the member's own default.
            repeatable: that doing it twice does no harm, as with everything that only reads: then
                another member is asked also when it may have been executed.

        Raises:
            NoConnections: no member is open; nothing was sent.
            AttemptsFailed: none of those who were asked could send it.
            RequestLost: it left, and its answer is not known.
            FeedmuxError: any other one is what the other side said.
        """
        self._requests += 1
        tried: list[tuple[str, str]] = []
        problem: Exception | None = None
        while len(tried) < self._attempts and (name := self._route(dict(tried))) is not None:
            if tried:
                self._failing_over(tried)
            try:
                return await self._members[name].request(method, params, timeout_s=timeout_s)
            except _TROUBLE as error:
                problem = error
                if not repeatable and not _is_unsent(error):
                    self._failed(name)
                    self._uncertain += 1
                    raise RequestLost(method, f"{name}: {_reason(error)}", maybe_executed=True) from error
            self._failed(name)
            tried.append((name, _reason(problem)))
        if not tried:
            raise NoConnections(len(self._members))
        raise AttemptsFailed(method, tuple(tried)) from problem

    def health(self) -> dict[str, int]:
        """Return the score of each open member, from 10 to 100."""
        scores = self._scores(())
        if self._telemetry.tell is not None:
            average = sum(scores.values()) / len(scores) if scores else 0.0
            self._telemetry.tell(PoolHealth(pool_size=len(self._members), avg_health=average))
        return scores

    def statistics(self) -> Statistics:
        """Return counters since the start, and the present."""
        return {
            "members": len(self._members),
            "health": self._scores(()),
            "requests": self._requests,
            "failovers": self._failovers,
            "uncertain": self._uncertain,
        }

    def __repr__(self) -> str:
        return f"<Pool of {len(self._members)}>"

    def _scores(self, without: Container[str]) -> dict[str, int]:
        now = self._clock.monotonic()
        return {
            name: score(vitals, errors.count(now) if (errors := self._errors.get(name)) else 0)
            for name, member in self._members.items()
            if name not in without and (vitals := member.vitals()) is not None
        }

    def _route(self, without: Container[str]) -> str | None:
        """Choose who is asked next; None when nobody is left."""
        scores = self._scores(without)
        if not scores:
            return None
        chosen = self._choice.choose(scores)
        self._choice.keep(self._members)
        if self._telemetry.tell is not None:
            size = len(self._members)
            self._telemetry.tell(PoolRoute(health=scores[chosen], pool_size=size, selected=chosen))
        return chosen

    def _failed(self, name: str) -> None:
        self._errors = {known: errors for known, errors in self._errors.items() if known in self._members}
        self._errors.setdefault(name, RecentErrors()).record(self._clock.monotonic())

    def _failing_over(self, tried: list[tuple[str, str]]) -> None:
        self._failovers += 1
        if self._telemetry.tell is not None:
            failed, reason = tried[-1]
            self._telemetry.tell(PoolFailover(attempt=len(tried), failed=failed, reason=reason))


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:_SHOWN]


def _is_unsent(error: Exception) -> bool:
    """Whether nobody can have executed the request."""
    if isinstance(error, RequestLost | RequestTimeout):
        return not error.maybe_executed
    return isinstance(error, ConnectFailed | Overflow | RateLimited)
