"""One native process: a load client or a venue. JSON lines come out of it, command lines go in.

The native code ends the process that it runs in, so it is given one of its own::

    python -m feedmux.sim.generator load --port 8000 --clients 100

It ends when its standard input does, so it cannot outlive the process that started it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from typing import Literal, Self

from feedmux.model.errors import FeedmuxError, LocalError
from feedmux.model.link_errors import LinkError

Program = Literal["load", "venue"]

MOST_SAID = 50
"""Lines of standard error that are kept; ten thousand refused clients say ten thousand times the same."""
_LONGEST_LINE = 1 << 22
_END_S = 5.0
_NOT_BUILT = 99


class NoGenerator(LocalError):
    """The native code is not there.

    Args:
        reason: what importing it said.
    """

    code = "NO_GENERATOR"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return (
            f"the native load client was not built ({self.reason}); install feedmux with a C compiler at hand"
        )


class GeneratorDied(FeedmuxError):
    """A native process ended before it should.

    Args:
        program: which.
        status: its exit status; negative is the signal that killed it.
        said: what it wrote to standard error.
    """

    code = "GENERATOR_DIED"

    def __init__(self, program: str, status: int, said: str) -> None:
        super().__init__(program, status, said)
        self.program, self.status, self.said = program, status, said

    def __str__(self) -> str:
        how = f"with status {self.status}" if self.status >= 0 else f"by {signal.Signals(-self.status).name}"
        return f"the native {self.program} ended {how}: {self.said or 'it did not say why'}"


class Silence(LinkError):
    """A native process had nothing to say in time.

    Args:
        program: which.
        seconds: how long was waited.
    """

    code = "SILENCE"

    def __init__(self, program: str, seconds: float) -> None:
        super().__init__(program, seconds)
        self.program, self.seconds = program, seconds

    def __str__(self) -> str:
        return f"the native {self.program} said nothing for {self.seconds:g} s"


class Generator:
    """A running native process.

    Args:
        program: ``load`` or ``venue``.
        process: started with all three pipes.
    """

    def __init__(self, program: Program, process: asyncio.subprocess.Process) -> None:
        self.program = program
        self._process = process
        self._said: list[str] = []
        self._listening = asyncio.create_task(self._listen(), name=f"stderr of {program}")

    @classmethod
    async def start(cls, program: Program, arguments: Sequence[object]) -> Self:
        """Start one. It is the leader of a session of its own: Ctrl-C is its parent's business."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "feedmux.sim.generator",
            program,
            *(str(argument) for argument in arguments),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=_LONGEST_LINE,
            start_new_session=True,
        )
        return cls(program, process)

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    @property
    def said(self) -> tuple[str, ...]:
        """The first lines of its standard error."""
        return tuple(self._said)

    async def tell(self, command: str) -> None:
        """Send one command line; to a process that has ended it goes unheard."""
        assert self._process.stdin is not None
        with contextlib.suppress(ConnectionError):
            self._process.stdin.write(command.encode() + b"\n")
            await self._process.stdin.drain()

    async def line(self, timeout_s: float) -> bytes:
        """The next line of its standard output.

        Raises:
            Silence: none came in time.
            GeneratorDied: it ended.
        """
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(timeout_s):
                line = await self._process.stdout.readline()
        except TimeoutError as error:
            raise Silence(self.program, timeout_s) from error
        if not line:
            raise await self._death()
        return line

    async def end(self) -> None:
        """End it by closing its input, in the end by force. May be called twice."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            async with asyncio.timeout(_END_S):
                await self._drained()
        except TimeoutError:
            self._process.kill()
            await self._drained()

    async def _drained(self) -> None:
        """Wait for the end; what it still writes is read, or it could wait for its reader for ever."""
        assert self._process.stdout is not None
        while await self._process.stdout.read(1 << 16):
            continue
        await self._process.wait()
        await self._listening

    async def _death(self) -> FeedmuxError:
        status = await self._process.wait()
        await self._listening
        if status == _NOT_BUILT:
            return NoGenerator("; ".join(self._said))
        return GeneratorDied(self.program, status, "; ".join(self._said[-3:]))

    async def _listen(self) -> None:
        assert self._process.stderr is not None
        while line := await self._process.stderr.readline():
            if len(self._said) < MOST_SAID:
                self._said.append(line.decode(errors="replace").rstrip())


def main(words: Sequence[str]) -> int:
    """Be a native process; returns when it could not begin, or has nothing left to do."""
    program, *arguments = words
    try:
        from feedmux._native import swarm
    except ImportError as error:
        os.write(2, f"{error}\n".encode())
        return _NOT_BUILT
    return swarm.run_venue(arguments) if program == "venue" else swarm.run(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
