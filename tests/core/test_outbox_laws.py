from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from feedmux.core.outbox import OutboxLimits
from support.examples import EXAMPLES
from support.sockets import ScriptedSocket

Waiting = tuple[str, bytes]


class OutboxModel(RuleBasedStateMachine):
    """Against a plain list of what waits, conflated by looking through all of it."""

    @initialize(frames=st.integers(1, 9), size_bytes=st.integers(10, 100))
    def begin(self, frames: int, size_bytes: int) -> None:
        self.limits = OutboxLimits(frames, size_bytes)
        self.socket = ScriptedSocket(self.limits)
        self.room = float("inf")
        self.offered: list[Waiting] = []
        self.waiting: list[Waiting] = []
        self.written: list[bytes] = []
        self.conflated = 0
        self.paused = self.listed = self.full = self.dropped = False

    def over(self) -> bool:
        size = sum(len(frame) for _, frame in self.waiting)
        return len(self.waiting) > self.limits.frames or size > self.limits.size_bytes

    def wait(self, key: str, frame: bytes) -> None:
        """One frame comes to a paused outbox."""
        if self.full:
            return
        left = [entry for entry in self.waiting if not key or entry[0] != key]
        self.conflated += len(self.waiting) - len(left)
        self.waiting = [*left, (key, frame)]
        if self.over():
            self.full, self.waiting = True, []

    def stop(self) -> None:
        """The socket is full."""
        if not self.paused:
            self.paused = True
            waiting, self.waiting = self.waiting, []
            for entry in waiting:
                self.wait(*entry)

    def drain(self) -> None:
        self.listed = False
        if not self.paused:
            taken = int(min(self.room, len(self.waiting)))
            self.room -= taken
            self.written += [frame for _, frame in self.waiting[:taken]]
            self.waiting = self.waiting[taken:]
            if self.waiting:
                self.stop()

    @rule(keys=st.lists(st.sampled_from(["", "a", "b"]), min_size=1, max_size=6), padding=st.integers(0, 9))
    def offer(self, keys: list[str], padding: int) -> None:
        for key in keys:
            self.offer_one(key, padding)

    def offer_one(self, key: str, padding: int) -> None:
        frame = b"%d.%s" % (len(self.offered), b"x" * padding)
        self.offered.append((key, frame))
        self.socket.outbox.offer(frame, key)
        if self.paused:
            self.wait(key, frame)
            return
        self.waiting.append((key, frame))
        if self.listed and self.over():
            self.drain()
        else:
            self.listed = True

    @rule()
    def flush(self) -> None:
        self.socket.flush()
        self.drain()

    @rule(room=st.integers(0, 4))
    def fill_up(self, room: int) -> None:
        """The socket will take a few frames yet."""
        self.socket.room = self.room = room

    @rule()
    def pause(self) -> None:
        self.socket.outbox.pause()
        self.stop()

    @rule(room=st.sampled_from([0, 1, 3, float("inf")]))
    def resume(self, room: float) -> None:
        self.socket.open(room)
        self.room = room
        if not self.full:
            self.paused = False
            self.listed = self.listed or bool(self.waiting)

    @rule(sure=st.sampled_from([False] * 9 + [True]))
    def drop(self, sure: bool) -> None:
        if sure:
            self.socket.outbox.drop()
            self.dropped = self.dropped or not self.full
            self.paused = self.full = True
            self.waiting = []

    @invariant()
    def both_wrote_the_same(self) -> None:
        assert self.socket.written == self.written

    @invariant()
    def both_account_for_the_same(self) -> None:
        assert self.socket.outbox.statistics() == {
            "sent": len(self.written),
            "conflated": self.conflated,
            "waiting_frames": len(self.waiting),
            "waiting_bytes": sum(len(frame) for _, frame in self.waiting),
            "paused": self.paused,
            "full": self.full,
        }

    @invariant()
    def what_can_leave_is_listed(self) -> None:
        assert self.socket.dirty or self.paused or not self.waiting

    @invariant()
    def a_full_outbox_told_its_writer_once(self) -> None:
        assert self.socket.overflows == int(self.full and not self.dropped)

    @invariant()
    def no_frame_is_written_twice_and_none_out_of_the_order_of_offers(self) -> None:
        position = {frame: index for index, (_, frame) in enumerate(self.offered)}
        order = [position[frame] for frame in self.socket.written]
        assert order == sorted(set(order))

    @invariant()
    def no_frame_without_a_key_is_lost_unless_the_outbox_is_full(self) -> None:
        if not self.full:
            kept = set(self.socket.written) | {frame for _, frame in self.waiting}
            assert {frame for key, frame in self.offered if not key} <= kept

    @invariant()
    def the_last_value_of_a_key_is_never_lost_unless_the_outbox_is_full(self) -> None:
        if not self.full:
            kept = set(self.socket.written) | {frame for _, frame in self.waiting}
            assert {frame for key, frame in dict(self.offered).items() if key} <= kept


TestOutboxModel = OutboxModel.TestCase
TestOutboxModel.settings = settings(max_examples=EXAMPLES, stateful_step_count=30, deadline=None)
