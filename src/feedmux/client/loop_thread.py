"""An event loop in a thread of its own, for those whose methods block."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import CancelledError
from typing import TypeVar

from feedmux.model.link_errors import LinkLost

_Result = TypeVar("_Result")


class LoopThread:
    """A loop that runs until :meth:`end`. Its methods may be called from any thread but its own.

    Args:
        name: of the thread.
        what: lives in it, for the error of whoever comes too late, e.g. "the link".
    """

    def __init__(self, name: str, what: str) -> None:
        self._what = what
        self._loop = asyncio.new_event_loop()
        self._gate = threading.Lock()
        """Whoever hands something to the loop, or ends it, has it."""
        self.is_ended = False
        self._thread = threading.Thread(target=self._live, name=name, daemon=True)
        self._thread.start()

    def call(self, work: Coroutine[object, object, _Result]) -> _Result:
        """Run it in the loop, and wait for its result.

        Raises:
            LinkLost: the loop has ended, or ended meanwhile.
        """
        with self._gate:
            if self.is_ended:
                work.close()
                raise LinkLost(f"{self._what} was closed")
            waiting = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return waiting.result()
        except CancelledError as error:
            raise LinkLost(f"{self._what} was closed") from error
        finally:
            waiting.cancel()  # nobody waits for it any more

    def end(self) -> None:
        """Cancel what runs, and end the thread. May be repeated."""
        with self._gate:
            if not self.is_ended:
                self.is_ended = True
                self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _live(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
            self._loop.run_until_complete(_cancel_all())
        finally:
            self._loop.close()


async def _cancel_all() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
