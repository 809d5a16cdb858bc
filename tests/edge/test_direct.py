from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import Iterator

import pytest

from feedmux.edge.direct import MAX_IOV, covered, half_close, send_direct
from support.loops import on_both_loops
from support.waiting import until

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.setblocking(False)
        yield ours, theirs


def no_rest(rest: bytes) -> bool:
    raise AssertionError(f"{len(rest)} bytes were given to the transport")


class Rests(list[bytes]):
    """Stands for a transport whose buffer never empties."""

    def take(self, rest: bytes) -> bool:
        self.append(rest)
        return False


def everything(sock: socket.socket) -> bytes:
    data = b""
    try:
        while piece := sock.recv(1 << 20):
            data += piece
    except BlockingIOError:
        pass
    return data


@pytest.mark.parametrize(
    ("sent", "whole", "cut"),
    [(0, 0, 0), (1, 0, 1), (3, 1, 0), (4, 1, 1), (7, 2, 0), (8, 2, 1), (9, 3, 0)],
)
def test_what_was_sent_is_counted_in_whole_frames_and_bytes_of_the_next(
    sent: int, whole: int, cut: int
) -> None:
    assert covered([b"abc", b"defg", b"hi"], sent) == (whole, cut)


@pytest.mark.parametrize("count", [0, 1, MAX_IOV, MAX_IOV + 1, 3 * MAX_IOV + 5])
def test_any_number_of_frames_goes_out_in_order(pair: Pair, count: int) -> None:
    ours, theirs = pair
    frames = [struct.pack("!I", number) for number in range(count)]
    assert send_direct(ours.fileno(), frames, no_rest) == count
    assert everything(theirs) == b"".join(frames)


def test_the_rest_of_a_frame_under_way_is_given_away_and_nothing_more_is_taken(pair: Pair) -> None:
    ours, theirs = pair
    frames = [bytes((number,)) * 100_000 for number in range(50)]
    rests = Rests()
    taken = send_direct(ours.fileno(), frames, rests.take)
    assert 0 < taken < 50
    assert len(rests) == 1
    assert everything(theirs) + rests[0] == b"".join(frames[:taken])


def test_a_full_socket_gives_one_whole_frame_away(pair: Pair) -> None:
    ours, _ = pair
    while True:
        try:
            ours.send(b"x" * 65536)
        except BlockingIOError:
            break
    rests = Rests()
    assert send_direct(ours.fileno(), [b"one", b"two"], rests.take) == 1
    assert rests == [b"one"]


def test_writing_goes_on_where_the_transport_could_send_the_rest(pair: Pair) -> None:
    ours, theirs = pair
    frames = [bytes((number,)) * 100_000 for number in range(50)]
    arrived: list[bytes] = []

    def rest(left: bytes) -> bool:
        arrived.extend((everything(theirs), left))
        return True

    assert send_direct(ours.fileno(), frames, rest) == 50
    assert len(arrived) > 2
    assert b"".join((*arrived, everything(theirs))) == b"".join(frames)


def test_a_broken_connection_is_an_error(pair: Pair) -> None:
    ours, theirs = pair
    theirs.close()
    with pytest.raises(BrokenPipeError):
        send_direct(ours.fileno(), [b"x"], no_rest)


class Ending(asyncio.Protocol):
    """Remembers that the connection is lost."""

    lost = False

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True


async def connected() -> tuple[asyncio.Transport, Ending, socket.socket]:
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        transport, protocol = await loop.create_connection(Ending, *listener.getsockname())
        peer, _ = await loop.sock_accept(listener)
    peer.setblocking(False)
    return transport, protocol, peer


@on_both_loops
async def test_after_a_half_close_the_peer_reads_all_and_closes() -> None:
    transport, protocol, peer = await connected()
    with peer:
        loop = asyncio.get_running_loop()
        transport.write(b"x" * 5_000_000)
        half_close(transport)
        read = 0
        while data := await loop.sock_recv(peer, 1 << 20):
            read += len(data)
            await loop.sock_sendall(peer, b"still talking")
        assert read == 5_000_000
        assert not protocol.lost
    await until(lambda: protocol.lost)


@on_both_loops
async def test_a_half_close_of_a_connection_that_was_reset_ends_it() -> None:
    transport, protocol, peer = await connected()
    transport.pause_reading()  # so that the transport has not noticed
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    os.close(peer.detach())
    half_close(transport)
    if not transport.is_closing():
        transport.resume_reading()
    await until(lambda: protocol.lost)
    half_close(transport)
