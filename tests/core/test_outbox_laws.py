from __future__ import annotations

from typing import NamedTuple

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from feedmux.core.outbox import OutboxLimits
from support.examples import EXAMPLES
from support.sockets import NATIVE, PYTHON, ScriptedSocket, Twin, told

KEPT, TRADES = "kept", "trades"
"""The two rows: values that may not be lost, and values that may if it is told."""


class Offered(NamedTuple):
    """What was offered, or the hole that took its place."""

    row: str
    key: str
    frame: bytes
    epoch: int = 1
    seq: int = 0
    last: int = 0


class OutboxModel(RuleBasedStateMachine):
    """Against a plain list of what waits, conflated and relieved by looking through all of it."""

    twin: Twin

    @initialize(
        frames=st.integers(1, 9), size_bytes=st.integers(10, 100), gaps=st.booleans(), mends=st.booleans()
    )
    def begin(self, frames: int, size_bytes: int, gaps: bool, mends: bool) -> None:
        self.limits = OutboxLimits(frames, size_bytes, gaps)
        self.mends = mends
        self.socket = ScriptedSocket(self.twin, self.limits, mends=mends)
        self.room = float("inf")
        self.offered: list[Offered] = []
        self.waiting: list[Offered] = []
        self.holes: list[Offered] = []
        self.written: list[Offered] = []
        self.conflated = self.lost = self.seq = 0
        self.epoch = 1
        self.paused = self.listed = self.full = self.dropped = False
        self.has_left = False

    def over(self) -> bool:
        size = sum(len(one.frame) for one in self.waiting)
        return len(self.waiting) > self.limits.frames or size > self.limits.size_bytes

    def hide(self, one: Offered) -> None:
        """One value, or one hole that could not be told, becomes part of a hole."""
        for index, hole in enumerate(self.holes):
            if hole.epoch == one.epoch:
                self.holes[index] = hole._replace(last=one.last or one.seq)
                return
        self.holes.append(one._replace(last=one.last or one.seq))

    def wait(self, one: Offered) -> None:
        """One frame comes to a paused outbox."""
        if self.full:
            return
        if one.last:
            self.hide(one)
            return
        if self.mends and one.row == TRADES and any(hole.epoch == one.epoch for hole in self.holes):
            self.lost += 1
            self.hide(one)
            return
        left = [other for other in self.waiting if not one.key or other.key != one.key]
        self.conflated += len(self.waiting) - len(left)
        self.waiting = [*left, one]
        if self.over() and self.limits.gaps:
            for other in [other for other in self.waiting if other.row == TRADES]:
                self.waiting.remove(other)
                self.lost += 1
                self.hide(other)
        if self.over():
            self.full, self.waiting, self.holes = True, [], []

    def stop(self) -> None:
        """The socket is full."""
        if not self.paused:
            self.paused = True
            waiting, self.waiting = self.waiting, []
            for one in waiting:
                self.wait(one)

    def drain(self) -> None:
        self.listed = False
        if not self.paused:
            taken = int(min(self.room, len(self.waiting)))
            self.room -= taken
            self.written += self.waiting[:taken]
            self.waiting = self.waiting[taken:]
            if self.waiting:
                self.stop()

    @rule(keys=st.lists(st.sampled_from(["", "a", "b"]), min_size=1, max_size=6), padding=st.integers(0, 9))
    def offer(self, keys: list[str], padding: int) -> None:
        for key in keys:
            frame = b"%d.%s" % (len(self.offered), b"x" * padding)
            self.socket.row.offer(frame, key, 1, 0)
            self.came(Offered(KEPT, key, frame))

    @rule(count=st.integers(1, 6), padding=st.integers(0, 5))
    def trade(self, count: int, padding: int) -> None:
        for _ in range(count):
            self.seq += 1
            frame = b"%d.%s" % (len(self.offered), b"t" * padding)
            self.socket.losable.offer(frame, "", self.epoch, self.seq)
            self.came(Offered(TRADES, "", frame, self.epoch, self.seq))

    @rule()
    def begin_an_epoch(self) -> None:
        self.epoch, self.seq = self.epoch + 1, 0

    def came(self, one: Offered) -> None:
        self.offered.append(one)
        if self.paused:
            self.wait(one)
            return
        self.waiting.append(one)
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
            if self.paused:
                gaps = [hole._replace(frame=told(hole.epoch, hole.seq, hole.last)) for hole in self.holes]
                self.waiting, self.holes = [*gaps, *self.waiting], []
            self.paused = False
            self.listed = self.listed or bool(self.waiting)

    @rule()
    def leave_the_trades(self) -> None:
        """The client gives the stream back when its answer can go out, and takes it again."""
        self.socket.outbox.drain()
        self.drain()
        self.has_left = True
        self.waiting = [one for one in self.waiting if one.row != TRADES]
        self.holes = []
        outbox, row = self.socket.outbox, self.socket.losable
        (owner,) = row.subscribers()
        row.discard(outbox)
        row.add(outbox, owner)

    @rule(sure=st.sampled_from([False] * 9 + [True]))
    def drop(self, sure: bool) -> None:
        if sure:
            self.socket.outbox.drop()
            self.dropped = self.dropped or not self.full
            self.paused = self.full = True
            self.waiting, self.holes = [], []

    @invariant()
    def both_wrote_the_same(self) -> None:
        assert self.socket.written == [one.frame for one in self.written]

    @invariant()
    def both_account_for_the_same(self) -> None:
        assert self.socket.outbox.statistics() == {
            "sent": len(self.written),
            "conflated": self.conflated,
            "gaps": sum(1 for one in self.written if one.last),
            "lost": self.lost,
            "waiting_frames": len(self.waiting),
            "waiting_bytes": sum(len(one.frame) for one in self.waiting),
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
        position = {one.frame: index for index, one in enumerate(self.offered)}
        order = [position[one.frame] for one in self.written if not one.last]
        assert order == sorted(set(order))

    @invariant()
    def no_frame_without_a_key_is_lost_unless_it_is_told_or_the_outbox_is_full(self) -> None:
        if not self.full:
            kept = set(self.socket.written) | {one.frame for one in self.waiting}
            hidden = [one for one in (*self.written, *self.waiting, *self.holes) if one.last]
            for one in self.offered:
                if not one.key and one.row == KEPT:
                    assert one.frame in kept
            if not self.has_left:
                missing = [one for one in self.offered if one.row == TRADES and one.frame not in kept]
                for one in missing:
                    assert any(h.epoch == one.epoch and h.seq <= one.seq <= h.last for h in hidden)

    @invariant()
    def positions_of_a_stream_never_go_back_and_holes_stand_where_they_are(self) -> None:
        at = (0, 0)
        for one in self.written:
            if one.row == TRADES and not self.has_left:
                assert (one.epoch, one.seq) > at
                at = (one.epoch, one.last or one.seq)

    @invariant()
    def nothing_waits_behind_a_hole_that_will_be_mended(self) -> None:
        if self.mends and self.paused:
            epochs = {hole.epoch for hole in self.holes}
            assert not [one for one in self.waiting if one.row == TRADES and one.epoch in epochs]

    @invariant()
    def the_last_value_of_a_key_is_never_lost_unless_the_outbox_is_full(self) -> None:
        if not self.full:
            kept = set(self.socket.written) | {one.frame for one in self.waiting}
            assert {one.frame for one in {o.key: o for o in self.offered if o.key}.values()} <= kept


class PythonModel(OutboxModel):
    twin = PYTHON


class NativeModel(OutboxModel):
    twin = NATIVE


TestPythonOutbox = PythonModel.TestCase
TestNativeOutbox = NativeModel.TestCase
TestPythonOutbox.settings = settings(max_examples=EXAMPLES, stateful_step_count=30, deadline=None)
TestNativeOutbox.settings = TestPythonOutbox.settings
