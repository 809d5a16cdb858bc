"""The proxy that breaks connections, between a plain TCP client and an echoing server."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from feedmux.model.errors import InvalidSetting
from feedmux.sim.faults import FaultProxy

DEADLINE_S = 5
type_of_loss = (ConnectionResetError, BrokenPipeError)


class Echo:
    """A server that sends back what it gets, and knows how its connections ended."""

    def __init__(self) -> None:
        self.received = 0
        self.chunks: list[bytes] = []
        self.ends: list[str] = []
        self.writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        try:
            while chunk := await reader.read(65_536):
                self.received += len(chunk)
                self.chunks.append(chunk)
                writer.write(chunk)
                await writer.drain()
            self.ends.append("end")
        except type_of_loss:
            self.ends.append("reset")
        finally:
            writer.close()


class Peer:
    """A TCP client with a deadline on everything."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def say(self, text: bytes) -> None:
        self.writer.write(text)
        await self.writer.drain()

    async def hear(self, count: int) -> bytes:
        async with asyncio.timeout(DEADLINE_S):
            return await self.reader.readexactly(count)

    async def rest(self) -> bytes:
        async with asyncio.timeout(DEADLINE_S):
            return await self.reader.read()


class Stage:
    """Server and proxy."""

    def __init__(self, echo: Echo, proxy: FaultProxy) -> None:
        self.echo, self.proxy = echo, proxy

    @asynccontextmanager
    async def peer(self) -> AsyncIterator[Peer]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.proxy.port)
        try:
            yield Peer(reader, writer)
        finally:
            writer.close()


@asynccontextmanager
async def staged() -> AsyncIterator[Stage]:
    echo = Echo()
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
    proxy = FaultProxy("127.0.0.1", server.sockets[0].getsockname()[1])
    await proxy.start()
    try:
        yield Stage(echo, proxy)
    finally:
        await proxy.stop()
        server.close()
        await until(lambda: len(echo.ends) == len(echo.writers))


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something is true that tells nobody when it becomes so."""
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.002)


async def test_bytes_pass_both_ways_and_an_end_is_passed_on() -> None:
    async with staged() as stage, stage.peer() as peer:
        text = bytes(range(256)) * 4096  # a megabyte: more than any buffer on the way
        await asyncio.gather(peer.say(text), said := asyncio.ensure_future(peer.hear(len(text))))
        assert said.result() == text
        peer.writer.write_eof()
        assert await peer.rest() == b""
        assert stage.echo.ends == ["end"]
        figures = stage.proxy.statistics()
        assert (figures["bytes_up"], figures["bytes_down"]) == (len(text), len(text))
        assert figures["connections_ever"] == 1
        await until(lambda: stage.proxy.statistics()["connections"] == 0)


async def test_a_cut_resets_both_sides() -> None:
    async with staged() as stage, stage.peer() as peer:
        await peer.say(b"hello")
        await peer.hear(5)
        assert stage.proxy.cut() == 1
        with pytest.raises(ConnectionResetError):
            await peer.rest()
        await until(lambda: stage.echo.ends == ["reset"])
        assert stage.proxy.statistics()["cut"] == 1


async def test_a_stalled_connection_stays_open_and_goes_on_where_it_was() -> None:
    async with staged() as stage, stage.peer() as peer:
        await peer.say(b"one ")
        await peer.hear(4)
        stage.proxy.stall()
        await peer.say(b"two ")
        async with stage.peer() as other:  # a new connection is accepted, and as silent
            await other.say(b"new")
            await until(lambda: stage.proxy.statistics()["connections"] == 2)
            assert stage.echo.received == 4
            assert stage.proxy.statistics()["stalled"] is True
            stage.proxy.resume()
            assert await peer.hear(4) == b"two "
            assert await other.hear(3) == b"new"


def held(stage: Stage) -> int:
    figure = stage.proxy.statistics()["held_bytes"]
    assert isinstance(figure, int)
    return figure


async def test_what_a_proxy_holds_is_bounded() -> None:
    async with staged() as stage, stage.peer() as peer:
        stage.proxy.delay(60)
        peer.writer.write(b"x" * 20_000_000)
        await until(lambda: held(stage) > 500_000)
        for _ in range(100):  # turns of the loop, each of which could read a chunk
            await asyncio.sleep(0)
        assert held(stage) <= 18 * 65_536  # in the queue, and one in each of the lane's hands
        stage.proxy.cut()
        await until(lambda: held(stage) == 0)


@pytest.mark.parametrize(("how", "told"), [("close", "end"), ("abort", "reset")])
async def test_how_a_peer_ended_is_not_told_while_stalled(how: str, told: str) -> None:
    async with staged() as stage, stage.peer() as peer:
        await peer.say(b"hello")
        await peer.hear(5)
        stage.proxy.stall()
        if how == "abort":
            linger = struct.pack("ii", 1, 0)
            peer.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        getattr(peer.writer.transport, how)()
        async with stage.peer():
            await until(lambda: len(stage.echo.writers) == 2)
            async with stage.peer():
                await until(lambda: stage.proxy.statistics()["connections"] == 3)
            assert stage.echo.ends == []
            stage.proxy.resume()
            await until(lambda: told in stage.echo.ends)


async def test_dribbled_bytes_arrive_in_small_pieces_and_complete() -> None:
    async with staged() as stage, stage.peer() as peer:
        stage.proxy.dribble(1)
        text = b"every byte in a write of its own" * 4
        await peer.say(text)
        assert await peer.hear(len(text)) == text
        assert len(stage.echo.chunks) >= len(text) // 4  # a few may meet in the receiver's buffer
        stage.proxy.dribble(None)
        await peer.say(text)
        assert await peer.hear(len(text)) == text


async def test_refused_connections_fail_and_old_ones_stay() -> None:
    async with staged() as stage, stage.peer() as peer:
        await peer.say(b"a")
        await peer.hear(1)
        port = stage.proxy.port
        await stage.proxy.refuse(True)
        assert stage.proxy.statistics()["refusing"] is True
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        await peer.say(b"b")
        assert await peer.hear(1) == b"b"
        await stage.proxy.refuse(False)
        assert stage.proxy.port == port
        async with stage.peer() as again:
            await again.say(b"c")
            assert await again.hear(1) == b"c"


async def test_after_the_asked_number_of_bytes_comes_the_reset() -> None:
    async with staged() as stage, stage.peer() as peer:
        stage.proxy.reset_after(7)
        await peer.say(b"1234")
        assert await peer.hear(4) == b"1234"
        await peer.say(b"567890")
        assert await peer.hear(3) == b"567"
        with pytest.raises(ConnectionResetError):
            await peer.rest()
        await until(lambda: stage.proxy.statistics()["broken"] == 1)
        async with stage.peer() as again:  # it happened once
            await again.say(b"1234567890")
            assert await again.hear(10) == b"1234567890"


async def test_latency_delays_every_chunk_and_keeps_their_order() -> None:
    loop = asyncio.get_running_loop()
    async with staged() as stage, stage.peer() as peer:
        stage.proxy.delay(0.05)
        began = loop.time()
        for word in (b"one ", b"two ", b"three"):
            await peer.say(word)
        assert await peer.hear(13) == b"one two three"
        assert loop.time() - began >= 0.1  # 0.05 s each way


async def test_a_peers_own_reset_reaches_the_other_side() -> None:
    async with staged() as stage, stage.peer() as peer:
        await peer.say(b"hello")
        await peer.hear(5)
        stage.echo.writers[0].transport.abort()
        assert await peer.rest() == b""


async def test_without_an_upstream_a_connection_is_reset() -> None:
    async with staged() as stage:
        lonely = FaultProxy("127.0.0.1", stage.proxy.port)
        await stage.proxy.refuse(True)
        await lonely.start()
        reader, writer = await asyncio.open_connection("127.0.0.1", lonely.port)
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(), DEADLINE_S)
        assert lonely.statistics()["upstream_failures"] == 1
        writer.close()
        await lonely.stop()


async def test_stopping_twice_is_stopping() -> None:
    async with staged() as stage, stage.peer() as peer:
        await peer.say(b"hello")
        await peer.hear(5)
        await stage.proxy.stop()
        await stage.proxy.stop()
        with pytest.raises(ConnectionResetError):
            await peer.rest()
        assert stage.proxy.statistics()["connections"] == 0


async def test_a_switch_that_cannot_work_is_named() -> None:
    proxy = FaultProxy("127.0.0.1", 1)
    with pytest.raises(InvalidSetting, match="bytes_per_write"):
        proxy.dribble(0)
    with pytest.raises(InvalidSetting, match="seconds"):
        proxy.delay(-1)
    with pytest.raises(InvalidSetting, match="byte_count"):
        proxy.reset_after(0)
    async with staged() as stage:
        with pytest.raises(InvalidSetting, match="port"):
            await FaultProxy("127.0.0.1", 1, port=stage.proxy.port).start()
