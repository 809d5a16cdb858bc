"""Whatever the socket takes: the peer reads whole frames, each stream in its order."""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Sequence

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from feedmux._native.outbox import Flush, Outbox, TopicRow
from feedmux.core.outbox import OutboxLimits
from support.examples import EXAMPLES
from support.hubs import Reader

FRAME = re.compile(rb"<(data|control|hole)\.(\d+)\.(\d+)\.(x*)>")


def hole(epoch: int, first: int, last: int) -> bytes:
    return b"<hole.%d.%d.>" % (first, last)


class Wire:
    """A transport by the book around one end of a socket pair: a buffer, and when it is empty again."""

    def __init__(self, flush: Flush, limits: OutboxLimits) -> None:
        self.ours, self.peer = socket.socketpair()
        for end in (self.ours, self.peer):
            end.setblocking(False)
        self.ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)  # the least that the kernel allows
        self.buffer = b""
        self.arrived = b""
        self.full = False
        self.outbox = Outbox(self, flush, limits)
        self.outbox.lend(self.ours.fileno())

    def put(self, data: bytes) -> None:
        """Write as a transport does: at once if it can, else behind what waits."""
        waiting = bool(self.buffer)
        self.buffer += data
        if not waiting and not self.pump():
            self.outbox.pause()

    def pump(self) -> bool:
        """Send of the buffer what the socket takes; whether all of it left."""
        with contextlib.suppress(BlockingIOError):
            while self.buffer:
                self.buffer = self.buffer[self.ours.send(self.buffer) :]
        return not self.buffer

    def writable(self) -> None:
        if self.buffer and self.pump():
            self.outbox.resume()

    def read(self, size: int) -> None:
        with contextlib.suppress(BlockingIOError):
            self.arrived += self.peer.recv(size)

    def rest(self, data: bytes, /) -> bool:
        self.put(data)
        return not self.buffer

    def write(self, frames: Sequence[bytes], /) -> int:
        raise AssertionError("the descriptor was lent")

    def overflow(self) -> None:
        self.full = True

    def broken(self) -> None:
        raise AssertionError("the peer is there")

    def close(self) -> None:
        self.ours.close()
        self.peer.close()


class DirectModel(RuleBasedStateMachine):
    """Three clients of one stream; one of them also gets control frames, one holds a second stream."""

    @initialize(frames=st.integers(2, 40))
    def begin(self, frames: int) -> None:
        self.calls: list[object] = []
        self.flush = Flush(self.calls.append, 2)
        self.wires = [Wire(self.flush, OutboxLimits(frames, 1 << 30)) for _ in range(3)]
        self.row, self.other = TopicRow(hole), TopicRow()
        for wire in self.wires:
            self.row.add(wire.outbox, Reader())
        self.other.add(self.wires[2].outbox, Reader())
        self.seq = self.controls = 0

    @rule(sizes=st.lists(st.sampled_from([0, 10, 300, 3000, 30_000]), min_size=1, max_size=20))
    def offer(self, sizes: list[int]) -> None:
        for size in sizes:
            self.seq += 1
            self.row.offer(b"<data.%d.0.%b>" % (self.seq, b"x" * size), "", 1, self.seq)

    @rule(count=st.integers(1, 5))
    def offer_what_is_conflated(self, count: int) -> None:
        for _ in range(count):
            self.other.offer(b"<data.0.0.xx>", "key", 1, 1)

    @rule()
    def turn(self) -> None:
        due, self.calls[:] = self.calls[:], []
        for call in due:
            call()  # type: ignore[operator]

    @rule(index=st.integers(0, 2), size=st.sampled_from([1, 100, 5000, 1 << 20]))
    def read(self, index: int, size: int) -> None:
        self.wires[index].read(size)

    @rule(index=st.integers(0, 2))
    def writable(self, index: int) -> None:
        self.wires[index].writable()

    @rule(sizes=st.lists(st.integers(0, 2000), min_size=1, max_size=3))
    def control(self, sizes: list[int]) -> None:
        for size in sizes:
            self.controls += 1
            self.wires[0].put(b"<control.%d.0.%b>" % (self.controls, b"x" * size))

    @rule()
    def everything_arrives(self) -> None:
        while True:
            for wire in self.wires:
                wire.read(1 << 20)
                wire.writable()
            if not self.calls and not any(wire.buffer for wire in self.wires):
                break
            self.turn()
        for wire in self.wires:
            wire.read(1 << 20)
            assert not wire.full
            assert self.follow(wire) == self.seq
        assert b"<control.%d." % self.controls in self.wires[0].arrived or not self.controls

    @invariant()
    def frames_are_whole_and_in_order(self) -> None:
        for wire in self.wires:
            self.follow(wire)

    def follow(self, wire: Wire) -> int:
        """Read what has arrived; the seq up to which nothing is missing without a word."""
        at = control = end = 0
        for match in FRAME.finditer(wire.arrived):
            assert match.start() == end, wire.arrived[end : end + 50]
            end = match.end()
            kind, first, last = match[1], int(match[2]), int(match[3])
            if kind == b"control":
                control += 1
                assert first == control
            elif first:
                assert first == at + 1
                at = last or first
        assert wire.arrived.find(b">", end) == -1
        return at

    def teardown(self) -> None:
        for wire in getattr(self, "wires", ()):
            wire.close()


TestDirect = DirectModel.TestCase
TestDirect.settings = settings(max_examples=EXAMPLES, stateful_step_count=40, deadline=None)
