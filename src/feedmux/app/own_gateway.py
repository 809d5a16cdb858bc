"""A gateway in a process of its own, for as long as somebody measures or watches it.

The child is this module, run as a program: a whole gateway that ends, like on SIGTERM, when its
standard input does, so it cannot outlive the process that started it. It has exactly the settings on
its command line, whatever the environment and the files here say.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping, Sequence

import uvloop

from feedmux.app import log, node
from feedmux.app.config import Layer, build, parse_pairs
from feedmux.app.own_process import OwnProcess
from feedmux.app.settings import Settings
from feedmux.model.errors import FeedmuxError

START_S = 30.0
_LISTENS = re.compile(rb"Listening on ws://[^:]+:(\d+)/ws")
_MOST_SAID = 20
_MOMENT_S = 0.5


class GatewayDied(FeedmuxError):
    """The gateway ended, or did not begin.

    Args:
        status: its exit status; negative is the signal that killed it.
        said: its last log lines.
    """

    code = "GATEWAY_DIED"

    def __init__(self, status: int, said: str) -> None:
        super().__init__(status, said)
        self.status, self.said = status, said

    def __str__(self) -> str:
        how = f"with status {self.status}" if self.status >= 0 else f"by {signal.Signals(-self.status).name}"
        return f"our own gateway ended {how}; its last words: {self.said or 'none'}"


class OwnGateway(OwnProcess):
    """A gateway that was started to be measured or watched; an async context manager.

    Args:
        settings: what it is told, by setting name, as texts; its log must be plain and at INFO, which
            is where it says that it listens.

    Raises:
        InvalidConfiguration: they cannot work.
    """

    def __init__(self, settings: Mapping[str, str]) -> None:
        super().__init__("stderr of the gateway")
        read(settings)
        self._settings = settings
        self._said: list[str] = []
        self.port = 0

    async def _start(self) -> Process:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "feedmux.app.own_gateway",
            *(f"{name}={value}" for name, value in self._settings.items()),
            stdin=PIPE, stdout=DEVNULL, stderr=PIPE, start_new_session=True,
        )  # fmt: skip

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    @property
    def url(self) -> str:
        """Where its clients connect."""
        return f"ws://127.0.0.1:{self.port}/ws"

    async def wait(self) -> int:
        """Wait until it has ended; its exit status, negative: the signal that killed it."""
        return await self._process.wait()

    async def check(self) -> None:
        """See that it lives: a process that is about to end is given a moment to.

        Raises:
            GatewayDied: it does not.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_MOMENT_S):
                await self._process.wait()
            raise await self._death()

    async def _begun(self) -> None:
        self.port = await self._port()

    async def _port(self) -> int:
        assert self._process.stderr is not None
        try:
            async with asyncio.timeout(START_S):
                async for line in self._process.stderr:
                    if found := _LISTENS.search(line):
                        return int(found[1])
                    self._said.append(line.decode(errors="replace").rstrip())
        except TimeoutError:
            self._process.kill()
        raise await self._death()

    async def _listen(self) -> None:
        assert self._process.stderr is not None
        async for line in self._process.stderr:
            self._said = [*self._said[-_MOST_SAID:], line.decode(errors="replace").rstrip()]

    async def _death(self) -> GatewayDied:
        return GatewayDied(await self._process.wait(), "; ".join(self._said[-3:]))


def read(settings: Mapping[str, str]) -> Settings:
    """The settings of these texts and nothing else.

    Raises:
        InvalidConfiguration: they cannot work.
    """
    return build([Layer("flag", {name.lower().replace("-", "_"): value for name, value in settings.items()})])


async def _until_input_ends(stop: asyncio.Event) -> None:
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(0, "rb", 0)
    )
    async with asyncio.TaskGroup() as tasks:
        ending = tasks.create_task(reader.read())
        stopping = tasks.create_task(stop.wait())
        await asyncio.wait({ending, stopping}, return_when=asyncio.FIRST_COMPLETED)
        ending.cancel()
        stop.set()
    transport.close()


def main(words: Sequence[str]) -> None:
    """Serve with the settings that ``words`` name, until standard input ends or a signal comes."""
    settings = read(parse_pairs(words))
    log.configure(settings)
    factory = uvloop.new_event_loop if settings.uvloop else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(node.serve(settings, _until_input_ends))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except FeedmuxError as problem:
        sys.stderr.write(f"{problem}\n")
        sys.exit(2)
