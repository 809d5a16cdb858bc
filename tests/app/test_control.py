"""The socket between a parent and a child, at its real ends."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from feedmux.app.control import MAX_BYTES, MAX_DESCRIPTORS, MAX_WAITING, Control
from feedmux.model.errors import MalformedMessage
from support.loops import on_both_loops
from support.peers import open_descriptors
from support.waiting import until


class Hello(msgspec.Struct, tag=True):
    text: str = ""


class Lend(msgspec.Struct, tag=True):
    what: str


Accepted = Hello | Lend


class End:
    """One end and what it was told."""

    def __init__(self, sock: socket.socket, refuses: bool = False) -> None:
        self.taken: list[Any] = []
        self.lent: list[int] = []
        self.reasons: list[str] = []
        self.refuses = refuses
        self.control = Control(sock, Accepted, take=self.take, ended=self.reasons.append, peer="the child")

    def take(self, message: Any, descriptors: list[int]) -> None:
        if self.refuses:
            raise MalformedMessage("control message", "not now")
        self.taken.append(message)
        self.lent += descriptors


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    before = open_descriptors()
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    yield left, right
    left.close()
    right.close()
    assert open_descriptors() == before, "a descriptor was left open"


Pair = tuple[socket.socket, socket.socket]


@on_both_loops
async def test_messages_and_descriptors_arrive_together_and_in_order() -> None:
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    parent, child = End(left), End(right)
    reading, writing = os.pipe()
    parent.control.send(Hello("a"))
    parent.control.send(Lend("pipe"), [reading, writing])
    parent.control.send(Hello("b"))
    os.close(reading)
    os.close(writing)
    await until(lambda: len(child.taken) == 3)
    assert child.taken == [Hello("a"), Lend("pipe"), Hello("b")]
    os.write(child.lent[1], b"through")
    assert os.read(child.lent[0], 10) == b"through"
    for descriptor in child.lent:
        assert not os.get_inheritable(descriptor)
        os.close(descriptor)
    parent.control.cut("done")
    await until(lambda: child.reasons == ["the child ended"])
    assert parent.reasons == ["done"]


async def test_what_cannot_leave_at_once_waits_and_keeps_its_order(pair: Pair) -> None:
    parent = End(pair[0])
    texts = [str(number).rjust(300_000, "x") for number in range(30)]
    reading, writing = os.pipe()
    for text in texts:
        parent.control.send(Hello(text))
    parent.control.send(Lend("pipe"), [reading])
    os.close(reading)
    child = End(pair[1])
    await until(lambda: len(child.taken) == 31)
    assert [message.text for message in child.taken[:-1]] == texts
    os.close(child.lent[0])
    os.close(writing)
    parent.control.cut("done")
    child.control.cut("done")


async def test_who_does_not_read_is_cut(pair: Pair) -> None:
    parent = End(pair[0])
    reading, writing = os.pipe()
    for _ in range(2 * MAX_WAITING):
        parent.control.send(Hello("x" * 500_000), [reading])
    assert parent.reasons == [f"the child does not read: {MAX_WAITING} messages wait for it"]
    parent.control.send(Hello("nobody hears it"))
    os.close(reading)
    os.close(writing)


async def test_what_is_too_long_is_not_sent(pair: Pair) -> None:
    parent = End(pair[0])
    parent.control.send(Hello("x" * MAX_BYTES))
    assert parent.reasons[0].startswith(f"a message of {MAX_BYTES + 26} bytes is too long")


@pytest.mark.parametrize(
    "packet",
    [
        b"x",
        b"{}",
        b"[]",
        b'{"type":"Other"}',
        b'{"type":"Hello","text":5}',
        b'{"type":"Hello"',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"type":"Hello","text":"' + b"x" * 200_000,
    ],
    ids=lambda packet: repr(packet[:20]),
)
async def test_garbage_cuts_the_other_side_and_closes_what_came_with_it(pair: Pair, packet: bytes) -> None:
    parent = End(pair[0])
    reading, writing = os.pipe()
    socket.send_fds(pair[1], [packet], [reading, writing])
    os.close(reading)
    os.close(writing)
    await until(lambda: parent.reasons)
    assert parent.reasons[0].startswith("the child sent what cannot be used: malformed control message")
    assert parent.taken == []


async def test_more_descriptors_than_any_message_has_are_refused(pair: Pair) -> None:
    parent = End(pair[0])
    socket.send_fds(pair[1], [b'{"type":"Hello"}'], [pair[1].fileno()] * (MAX_DESCRIPTORS + 20))
    await until(lambda: parent.reasons)
    assert "it is cut short" in parent.reasons[0]


async def test_who_cannot_use_a_message_says_so_and_its_descriptors_are_closed(pair: Pair) -> None:
    parent = End(pair[0], refuses=True)
    reading, writing = os.pipe()
    socket.send_fds(pair[1], [b'{"type":"Lend","what":"a"}'], [reading, writing])
    os.close(reading)
    os.close(writing)
    await until(lambda: parent.reasons)
    assert "not now" in parent.reasons[0]


async def test_an_end_is_told_once(pair: Pair) -> None:
    parent = End(pair[0])
    pair[1].close()
    await until(lambda: parent.reasons)
    parent.control.cut("again")
    await asyncio.sleep(0)
    assert parent.reasons == ["the child ended"]
