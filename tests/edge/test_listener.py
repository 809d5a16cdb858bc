from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import resource
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest

from feedmux.client.clock import SystemClock
from feedmux.edge import listener as module
from feedmux.edge.doorway import Doorway
from feedmux.edge.listener import ACCEPTS, Listener, bind
from support.loops import on_asyncio, on_both_loops
from support.waiting import until


class Visitor(asyncio.Protocol):
    """Stays in the doorway until it is gone."""

    def __init__(self, doorway: Doorway, here: list[Visitor]) -> None:
        self._doorway = doorway
        self._here = here
        self.transport: asyncio.BaseTransport | None = None
        doorway.enter()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self._here.append(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._doorway.leave()
        if self in self._here:
            self._here.remove(self)


class Place:
    """A listener, and everybody who is there."""

    def __init__(self, room: int = 1000) -> None:
        loop = asyncio.get_running_loop()
        self.doorway = Doorway(room, 0.002, clock=SystemClock(), loop=loop)
        self.here: list[Visitor] = []
        self.listener = Listener(lambda: Visitor(self.doorway, self.here), doorway=self.doorway, loop=loop)

    async def start(self, host: str = "127.0.0.1", send_buffer_bytes: int = 0) -> None:
        self.listener.start(
            await bind(
                host,
                0,
                backlog=1000,
                send_buffer_bytes=send_buffer_bytes,
                unsent_bytes=send_buffer_bytes // 2,
            )
        )

    @property
    def half_open(self) -> object:
        return self.doorway.statistics()["half_open"]

    def connect(self, count: int) -> contextlib.ExitStack:
        """Connect so many in one go, before the loop turns."""
        stack = contextlib.ExitStack()
        for _ in range(count):
            stack.enter_context(socket.create_connection(("127.0.0.1", self.listener.port)))
        return stack


@asynccontextmanager
async def place(room: int = 1000, send_buffer_bytes: int = 0) -> AsyncIterator[Place]:
    made = Place(room)
    await made.start(send_buffer_bytes=send_buffer_bytes)
    try:
        yield made
    finally:
        made.listener.close()
        await made.listener.wait_closed()
        for visitor in made.here:
            assert isinstance(visitor.transport, asyncio.Transport)
            visitor.transport.abort()
        await until(lambda: not made.here)


@on_both_loops
async def test_everybody_is_accepted_a_few_in_each_turn() -> None:
    async with place() as here:
        with here.connect(4 * ACCEPTS):
            entered = [0]
            while entered[-1] < 4 * ACCEPTS:
                await asyncio.sleep(0)
                assert isinstance(here.half_open, int)
                entered.append(here.half_open)
            steps = [later - earlier for earlier, later in pairwise(entered)]
            assert max(steps) <= ACCEPTS
            await until(lambda: len(here.here) == 4 * ACCEPTS)
        await until(lambda: here.half_open == 0)


@on_both_loops
async def test_who_finds_no_room_is_reset_and_the_next_one_after_a_leave_is_not() -> None:
    async with place(room=3) as here:
        with here.connect(3) as others:
            await until(lambda: len(here.here) == 3)
            with here.connect(2):
                await until(lambda: here.doorway.refused == 2)
            with socket.create_connection(("127.0.0.1", here.listener.port)) as refused:
                await until(lambda: here.doorway.refused == 3)
                with pytest.raises(ConnectionResetError):
                    refused.recv(1)
            assert (here.half_open, len(here.here)) == (3, 3)
            others.close()
            await until(lambda: here.half_open == 0)
            with here.connect(1):
                await until(lambda: len(here.here) == 1)
        await until(lambda: here.half_open == 0)


@on_both_loops
async def test_nobody_is_accepted_while_many_wait_for_their_turn() -> None:
    async with place() as here:
        spent = here.doorway.ask(lambda: clock_moves(0.01))
        assert spent
        for _ in range(2 * ACCEPTS):
            assert not here.doorway.ask(lambda: clock_moves(0.003))
        with here.connect(5):
            while here.doorway.waiting > ACCEPTS:
                assert here.half_open == 0
                await asyncio.sleep(0)
            await until(lambda: len(here.here) == 5)


def clock_moves(seconds: float) -> None:
    """Let time pass, as work does."""
    clock = SystemClock()
    end = clock.monotonic() + seconds
    while clock.monotonic() < end:
        pass


@on_both_loops
async def test_accepted_sockets_send_at_once_and_have_the_buffer_that_was_asked_for() -> None:
    async with place(send_buffer_bytes=20_000) as here:
        with here.connect(1):
            await until(lambda: here.here)
            transport = here.here[0].transport
            assert transport is not None
            sock = transport.get_extra_info("socket")
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == 40_000
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT) == 10_000


@on_both_loops
async def test_every_address_of_a_name_is_listened_on() -> None:
    made = Place()
    await made.start("localhost")
    found = {info[4][0] for info in socket.getaddrinfo("localhost", 0, type=socket.SOCK_STREAM)}
    assert len(made.listener._sockets) == len(found)
    made.listener.close()
    made.listener.close()
    await made.listener.wait_closed()


@pytest.fixture(name="few_descriptors")
def _few_descriptors(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whoever asks :func:`exhaust` gets the old limit back."""
    monkeypatch.setattr(module, "REST_S", 0.05)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def exhaust() -> tuple[int, int]:
    """Leave this process no descriptor; the limits that there were."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    probe = os.dup(0)
    os.close(probe)
    resource.setrlimit(resource.RLIMIT_NOFILE, (probe, before[1]))
    return before


@on_asyncio
async def test_without_descriptors_it_rests_says_so_and_goes_on_when_there_are_some(
    few_descriptors: None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    async with place() as here:
        with here.connect(1):
            await until(lambda: len(here.here) == 1)
            with here.connect(3):
                before = exhaust()
                await until(lambda: len(caplog.messages) >= 2, "it is tried again")
                resource.setrlimit(resource.RLIMIT_NOFILE, before)
                await until(lambda: len(here.here) == 4)
    why = os.strerror(errno.EMFILE)
    assert set(caplog.messages) == {f"No connection can be accepted for 0.05 s: {why}"}


async def test_listeners_that_share_a_port_share_its_connections() -> None:
    """The kernel spreads them; one that closes leaves the others' alone."""
    places = [Place() for _ in range(2)]
    first = await bind("127.0.0.1", 0, backlog=100, is_shared=True)
    port = first[0].getsockname()[1]
    second = await bind("127.0.0.1", port, backlog=100, is_shared=True)
    for made, sockets in zip(places, (first, second), strict=True):
        made.listener.start(sockets)
    with places[0].connect(40):
        await until(lambda: sum(len(made.here) for made in places) == 40)
        assert all(made.here for made in places), "one of them got everything"
        with pytest.raises(OSError, match="in use"):
            await bind("127.0.0.1", port, backlog=1)
    await until(lambda: not any(made.here for made in places))
    for made in places:
        made.listener.close()


async def test_a_listener_that_was_lent_goes_on_where_its_borrower_ended() -> None:
    """What waits in its queue is accepted by the next one."""
    (lent,) = await bind("127.0.0.1", 0, backlog=100)
    former, successor = Place(), Place()
    former.listener.start([lent.dup()])
    with former.connect(3):
        await until(lambda: len(former.here) == 3)
        port = former.listener.port
        former.listener.close()
        with socket.create_connection(("127.0.0.1", port)):
            successor.listener.start([lent])
            await until(lambda: len(successor.here) == 1)
    await until(lambda: not former.here and not successor.here)
    successor.listener.close()
