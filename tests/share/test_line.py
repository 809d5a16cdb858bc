from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator

import pytest

from feedmux.share import line as lines
from feedmux.share.line import Line
from support.share_scene import open_descriptors
from support.waiting import until


class End:
    """The other side of a line, and what the line says of itself."""

    def __init__(self) -> None:
        ours, self.sock = socket.socketpair()
        ours.setblocking(False)
        self.sock.setblocking(False)
        self.received = b""
        self.ended: list[str] = []
        self.line = Line(ours, received=self._receive, ended=self.ended.append)

    def _receive(self, data: bytes) -> None:
        self.received += data

    async def read(self, size: int) -> bytes:
        loop, found = asyncio.get_running_loop(), b""
        while len(found) < size:
            data = await asyncio.wait_for(loop.sock_recv(self.sock, 1 << 20), 5)
            assert data
            found += data
        return found


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    before = open_descriptors()
    yield
    assert open_descriptors() <= before + 3  # those of the loop


async def test_bytes_go_both_ways() -> None:
    end = End()
    end.sock.send(b"question")
    await until(lambda: end.received == b"question")
    end.line.say(b"answer")
    assert await end.read(6) == b"answer"
    end.sock.close()
    await until(lambda: end.ended == ["it hung up"])
    assert not end.line.is_open


async def test_what_is_not_read_at_once_waits_in_order() -> None:
    end = End()
    parts = [bytes([number]) * 300_000 for number in range(10)]
    for part in parts:
        end.line.say(part)
    assert end.line.waiting_bytes > 0
    assert await end.read(3_000_000) == b"".join(parts)
    assert end.line.waiting_bytes == 0
    end.line.cut("enough")
    await until(lambda: end.ended == ["enough"])
    end.sock.close()


async def test_descriptors_come_with_the_first_byte_of_their_record_and_are_closed_here() -> None:
    end = End()
    end.line.say(b"x" * 1_000_000)
    lent = os.eventfd(7)
    end.line.say(b"record", [lent])
    assert os.eventfd_read(lent) == 7  # it waits, and is open
    os.eventfd_write(lent, 5)
    found, descriptors = b"", []
    while len(found) < 1_000_006:
        await asyncio.sleep(0)
        try:
            data, fds, *_ = socket.recv_fds(end.sock, 1 << 20, 4)
        except BlockingIOError:
            continue
        found += data
        descriptors += fds
    assert found.endswith(b"record")
    [descriptor] = descriptors
    assert os.eventfd_read(descriptor) == 5
    os.close(descriptor)
    with pytest.raises(OSError, match="descriptor"):
        os.fstat(lent)
    end.line.cut("enough")
    end.sock.close()


async def test_who_does_not_read_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MOST_WAITING_BYTES", 1_000_000)
    end = End()
    lent = os.eventfd(0)
    end.line.say(bytes(900_000))
    end.line.say(bytes(900_000), [lent])
    await until(lambda: end.ended == ["it does not read: over 1000000 bytes wait for it"])
    end.line.say(b"too late", [os.eventfd(0)])
    assert end.line.waiting_bytes == 0
    end.sock.close()


async def test_hanging_up_says_the_rest_and_hears_nothing_more() -> None:
    end = End()
    end.line.say(bytes(1_000_000))
    end.line.hang_up()
    end.line.hang_up()
    assert not end.line.is_open
    end.sock.send(b"more")
    assert len(await end.read(1_000_000)) == 1_000_000
    await until(lambda: end.ended == ["it was sent away"])
    assert end.received == b""
    end.sock.close()


async def test_a_side_that_dies_while_something_waits_ends_it_once() -> None:
    end = End()
    end.line.say(bytes(1_000_000), [os.eventfd(0)])
    end.sock.close()
    await until(lambda: end.ended)
    end.line.cut("again")
    await asyncio.sleep(0)
    assert len(end.ended) == 1
