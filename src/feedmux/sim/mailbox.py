"""Keep the latest messages, and let somebody wait for one without looking again and again.

A message is shown to those who wait when it arrives, so they see it even if it is let go before they
run; and whoever begins to wait looks at what is kept first.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

import msgspec

from feedmux.model.checks import require_number, require_whole
from feedmux.sim.pattern import Wanted, Wire, described, matches, require_wanted, shortened

_LATEST_SHOWN: Final = 5
_MOST: Final = 1_000_000
_KEEP: Final = "a whole number of messages from 1 to a million"


class Received(msgspec.Struct, frozen=True):
    """A message and the number of the client that sent it."""

    message: Wire
    client: int


class Mailbox:
    """Messages, the latest of them kept.

    Args:
        keep: how many, from 1 to a million.

    Raises:
        InvalidSetting: ``keep`` is something else.
    """

    def __init__(self, keep: int) -> None:
        require_whole("keep", keep, _KEEP, least=1, most=_MOST)
        self._kept: deque[Received] = deque(maxlen=keep)
        self._total = 0
        self._waiters: list[_Waiter] = []

    @property
    def kept(self) -> tuple[Received, ...]:
        """What is kept, oldest first."""
        return tuple(self._kept)

    @property
    def let_go(self) -> int:
        """How many older messages are not kept any more."""
        return self._total - len(self._kept)

    def add(self, received: Received) -> None:
        """Keep a message, and show it to those who wait."""
        self._kept.append(received)
        self._total += 1
        for waiter in self._waiters:
            waiter.look(received)

    async def wait(self, wanted: Wanted, *, times: int, timeout_s: float) -> Received:
        """Wait until a message that is wanted was there so many times.

        Returns:
            The one that made it so many.

        Raises:
            InvalidSetting: something is wanted that no message can be, or so often, or for no time.
            AssertionError: it was not within ``timeout_s`` seconds; says what came instead.
        """
        require_number("timeout_s", timeout_s, "seconds, 0 or more", least=0)
        require_whole("times", times, "a whole number, at least 1", least=1)
        require_wanted(wanted)
        waiter = _Waiter(wanted, times)
        for received in self._kept:
            waiter.look(received)
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout(timeout_s):
                return await waiter.found
        except TimeoutError:
            seen = f"{times - waiter.missing} of {times} times" if times > 1 else "not"
            raise AssertionError(
                f"{described(wanted)} came {seen} within {timeout_s:g} s; {self._latest()}"
            ) from None
        finally:
            self._waiters.remove(waiter)

    def _latest(self) -> str:
        if not self._total:
            return "nothing came at all"
        shown = "; ".join(
            f"{shortened(repr(one.message))} (client {one.client})"
            for one in list(self._kept)[-_LATEST_SHOWN:]
        )
        gone = f", of which {self.let_go} are not kept" if self.let_go else ""
        return f"{self._total} messages came{gone}; the latest: {shown}"


class _Waiter:
    """One wait. A predicate that raises ends it with what it raised."""

    def __init__(self, wanted: Wanted, times: int) -> None:
        self.wanted, self.missing = wanted, times
        self.found: asyncio.Future[Received] = asyncio.get_running_loop().create_future()

    def look(self, received: Received) -> None:
        if self.found.done():
            return
        try:
            self.missing -= matches(self.wanted, received.message)
        except Exception as error:  # noqa: BLE001 - whoever waits gets it
            self.found.set_exception(error)
            return
        if self.missing <= 0:
            self.found.set_result(received)
