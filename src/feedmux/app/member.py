"""One child process of a gateway, and its successors: started, spoken to, started again."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from feedmux.app.control import Control
from feedmux.core.intensity import Intensity
from feedmux.model.errors import CapacityError, FeedmuxError, LocalError, TooManyRestarts

log = logging.getLogger("feedmux.member")

_LIMIT: Final = 10
_WITHIN_S: Final = 60.0
_LAST_WORDS_S: Final = 2.0


class CannotBegin(LocalError):
    """A child process ended before it was ready; it has said why in the log.

    Args:
        name: which one.
        code: its exit code; negative: the signal that ended it.
    """

    code = "CANNOT_BEGIN"

    def __init__(self, name: str, exit_code: int) -> None:
        super().__init__(name, exit_code)
        self.name, self.exit_code = name, exit_code

    def __str__(self) -> str:
        if self.exit_code == -signal.SIGKILL:
            why = (
                "the system kills what takes more memory than there is, or than it may have (SHM_RING_BYTES)"
            )
        else:
            why = "its last line in the log says why"
        return f"{self.name} ended with {self.exit_code} before it was ready; {why}"


class NoProcess(CapacityError):
    """The system does not start a child process.

    Args:
        name: which one.
        reason: what it said.
    """

    code = "NO_PROCESS"

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(name, reason)
        self.name, self.reason = name, reason

    def __str__(self) -> str:
        return f"no process can be started for {self.name}: {self.reason}"


class Member:
    """One place among the children, whoever fills it.

    Args:
        name: for people.
        says: the union of messages that it may send.
        begin: tells a new process what it is to be.
        hear: is handed what it says.
        ended: is told that the process is gone.
    """

    def __init__(
        self,
        name: str,
        says: Any,
        begin: Callable[[Member], None],
        hear: Callable[[Member, Any, list[int]], None],
        ended: Callable[[Member], None],
    ) -> None:
        self.name = name
        self.is_ready = False
        self._says, self._begin, self._hear, self._ended = says, begin, hear, ended
        self._control: Control | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._is_leaving = False
        self._gone = asyncio.Event()
        self._restarts = Intensity(_LIMIT, _WITHIN_S)
        self._ends: list[tuple[str, str]] = []

    @property
    def pid(self) -> int | None:
        """Of the process that fills it now."""
        return self._process.pid if self._process is not None else None

    async def keep(self) -> None:
        """Run a process, and another one when it ends, until :meth:`leave`.

        Raises:
            CannotBegin: one ended before it was ready.
            NoProcess: the system starts none.
            TooManyRestarts: they end too often.
        """
        try:
            while not self._is_leaving:
                was_ready, code = await self._live()
                if self._is_leaving:
                    return
                if not was_ready:
                    raise CannotBegin(self.name, code)
                log.warning("%s ended with %d; another one takes its place", self.name, code)
                self._ends = [*self._ends[-_LIMIT:], (self.name, f"exit code {code}")]
                if self._restarts.exceeds(time.monotonic()):
                    raise TooManyRestarts(_LIMIT, _WITHIN_S, tuple(self._ends))
        finally:
            self._gone.set()

    def send(self, message: msgspec.Struct, descriptors: Sequence[int] = ()) -> None:
        """Tell it something; nothing happens while there is no process."""
        if self._control is not None:
            self._control.send(message, descriptors)

    async def leave(self, message: msgspec.Struct, patience_s: float) -> None:
        """Let it end in order; kill it if that takes longer than ``patience_s``."""
        self._is_leaving = True
        self.send(message)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._gone.wait(), patience_s)
        if not self._gone.is_set():
            log.warning("%s did not end within %g s, and is killed", self.name, patience_s)
            self._kill()
            await self._gone.wait()

    async def _live(self) -> tuple[bool, int]:
        """Start a process and wait for its end: whether it was ready, and its exit code."""
        try:
            self._process, ours = await self._start()
        except OSError as error:
            raise NoProcess(self.name, str(error)) from error
        self._control = Control(ours, self._says, take=self._take, ended=self._cut, peer=self.name)
        try:
            self._begin(self)
            code = await self._process.wait()
        finally:
            self._kill()
            was_ready, self.is_ready = self.is_ready, False
            self._control.cut("it ended")
            self._control = None
            self._ended(self)
        return was_ready, code

    async def _start(self) -> tuple[asyncio.subprocess.Process, socket.socket]:
        """A new process, and our end of its control socket."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, contextlib.ExitStack() as undo:
            undo.callback(ours.close)
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "feedmux.app.child",
                str(theirs.fileno()),
                self.name,  # nobody reads it but people who look at the list of processes
                pass_fds=(theirs.fileno(),),
                stdin=asyncio.subprocess.DEVNULL,
            )
            undo.pop_all()
        return process, ours

    def _take(self, message: Any, descriptors: list[int]) -> None:
        try:
            self._hear(self, message, descriptors)
        except (ValueError, FeedmuxError) as error:
            log.warning("%s said what cannot be used: %s", self.name, error)
            self._kill()

    def _cut(self, reason: str) -> None:
        """It does not speak any more: then it need not live on, once it has had time to end."""
        log.debug("%s", reason)
        if self._process is not None and not self._is_leaving:
            asyncio.get_running_loop().call_later(_LAST_WORDS_S, _kill, self._process)

    def _kill(self) -> None:
        if self._process is not None:
            _kill(self._process)


def _kill(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
