"""Ask within budget: what is live, the limiter and the platform's penalties, before a request goes out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from feedmux.client.caller import Caller
from feedmux.client.limiter import Limiter
from feedmux.model.errors import CallFailed
from feedmux.model.ports import Clock
from feedmux.model.rpc import Ask

_A_MOMENT_S: Final = 0.001


class Connection(Protocol):
    """What is asked on."""

    @property
    def is_live(self) -> bool:
        """Whether everything was restored on it."""

    def require_live(self, method: str) -> None:
        """Refuse to send anything on a connection that is not restored.

        Raises:
            RequestLost: it is not; nothing was sent.
        """


class Asking:
    """How one link asks.

    Args:
        connection: what is asked on.
        caller: who waits for the answers.
        limiter: how much may be sent; None: as much as one likes.
        penalty_s: for how many seconds an error of the platform silences us.
        clock: time.
    """

    def __init__(
        self,
        connection: Connection,
        caller: Caller,
        *,
        limiter: Limiter | None,
        penalty_s: Callable[[CallFailed], float],
        clock: Clock,
    ) -> None:
        self._connection, self._caller, self._limiter = connection, caller, limiter
        self._penalty_s, self._clock = penalty_s, clock

    async def ask(
        self,
        method: str,
        params: object = None,
        *,
        timeout_s: float,
        repeatable: bool = False,
        is_users: bool = True,
    ) -> object:
        """Ask when the budget allows, and wait for the answer.

        Args:
            method: what is asked for.
            params: as the platform takes them.
            timeout_s: for the budget and the answer together.
            repeatable: it is kept until the link is live, and sent again when the connection ends.
            is_users: False for what restores the connection: it needs no live one.

        Raises:
            RequestLost: the link is not live, or the connection ended.
            FeedmuxError: see :meth:`feedmux.client.caller.Caller.call` and :meth:`Limiter.admit_within`.
        """
        guarded = is_users and not repeatable
        if guarded:
            self._connection.require_live(method)
        left_s = await self._admit([method], timeout_s)
        if guarded:
            self._connection.require_live(method)
        now = self._connection.is_live or not is_users
        try:
            return await self._caller.call(method, params, timeout_s=left_s, now=now, repeatable=repeatable)
        except CallFailed as error:
            self._suffer(error)
            raise

    async def ask_all(self, asks: Sequence[Ask], *, timeout_s: float) -> list[object]:
        """Ask all of it in one message; see :meth:`ask`.

        Returns:
            The results in the order of ``asks``; the error itself where there is none.
        """
        methods = [ask.method for ask in asks]
        what = f"a batch of {len(asks)}"
        self._connection.require_live(what)
        left_s = await self._admit(methods, timeout_s)
        self._connection.require_live(what)
        results = await self._caller.call_all(asks, timeout_s=left_s)
        for result in results:
            if isinstance(result, CallFailed):
                self._suffer(result)
        return results

    async def _admit(self, methods: Sequence[str], timeout_s: float) -> float:
        """Wait for the budget; return how much of the time is left."""
        if self._limiter is None:
            return timeout_s
        due = self._clock.monotonic() + timeout_s
        for method in methods:
            await self._limiter.admit_within(method, max(due - self._clock.monotonic(), _A_MOMENT_S))
        return max(due - self._clock.monotonic(), _A_MOMENT_S)

    def _suffer(self, error: CallFailed) -> None:
        penalty_s = self._penalty_s(error)
        if penalty_s and self._limiter is not None:
            self._limiter.penalise(penalty_s)
