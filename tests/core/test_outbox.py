from __future__ import annotations

import pytest

from feedmux.core.outbox import OutboxLimits
from support.hubs import Reader
from support.sockets import NATIVE, PYTHON, ScriptedSocket, Twin


@pytest.fixture(params=[PYTHON, NATIVE], ids=lambda twin: twin.name)
def twin(request: pytest.FixtureRequest) -> Twin:
    chosen: Twin = request.param
    return chosen


@pytest.fixture
def socket(twin: Twin) -> ScriptedSocket:
    return ScriptedSocket(twin)


def test_frames_leave_in_the_order_of_their_offers(socket: ScriptedSocket) -> None:
    socket.offer("a=1", "trade", "a=2", "b=1")
    socket.flush()
    assert socket.texts() == ["a=1", "trade", "a=2", "b=1"]
    assert socket.outbox.statistics() == {
        "sent": 4, "conflated": 0, "gaps": 0, "lost": 0,
        "waiting_frames": 0, "waiting_bytes": 0, "paused": False, "full": False,
    }  # fmt: skip


def test_the_first_offer_of_a_turn_lists_the_outbox_and_no_other_does(socket: ScriptedSocket) -> None:
    socket.offer("a=1", "a=2")
    assert socket.dirty == [socket.outbox]
    socket.flush()
    assert socket.dirty == []
    socket.offer("a=3")
    assert socket.dirty == [socket.outbox]


def test_all_frames_of_a_turn_are_one_write(socket: ScriptedSocket) -> None:
    socket.offer("a=1", "b=1", "c=1")
    socket.flush()
    assert socket.writes == 1


def test_draining_nothing_writes_nothing(socket: ScriptedSocket) -> None:
    socket.outbox.drain()
    assert socket.writes == 0


def test_what_a_full_socket_did_not_take_waits_and_comes_after_it(socket: ScriptedSocket) -> None:
    socket.room = 2
    socket.offer("a", "b", "c", "d")
    socket.flush()
    assert socket.texts() == ["a", "b"]
    assert socket.outbox.paused
    assert socket.outbox.waiting_bytes == 2
    socket.open()
    socket.flush()
    assert socket.texts() == ["a", "b", "c", "d"]
    assert not socket.outbox.paused


PAUSED = [
    pytest.param(["k=1", "k=2"], ["k=2"], 1, id="a newer value replaces the one that waits"),
    pytest.param(["k=1", "j=1", "k=2"], ["j=1", "k=2"], 1, id="and takes the place at the end"),
    pytest.param(["x", "x"], ["x", "x"], 0, id="frames without a key are never replaced"),
    pytest.param(["k=1", "stale", "k=2"], ["stale", "k=2"], 1, id="no value comes before its status"),
    pytest.param(["k=1", "stale"], ["k=1", "stale"], 0, id="a status does not overtake the value"),
    pytest.param(["k=1", "j=1", "j=2", "k=2", "k=3"], ["j=2", "k=3"], 3, id="each key by itself"),
]


@pytest.mark.parametrize(("offered", "left", "conflated"), PAUSED)
def test_offers_to_a_paused_outbox(
    socket: ScriptedSocket, offered: list[str], left: list[str], conflated: int
) -> None:
    socket.outbox.pause()
    socket.offer(*offered)
    assert socket.dirty == []
    assert socket.outbox.waiting_bytes == sum(map(len, left))
    assert socket.outbox.statistics()["waiting_frames"] == len(left)
    socket.open()
    socket.flush()
    assert socket.texts() == left
    assert socket.outbox.conflated == conflated


@pytest.mark.parametrize(("offered", "left", "conflated"), PAUSED)
def test_what_waits_when_the_socket_fills_up_is_conflated_as_well(
    socket: ScriptedSocket, offered: list[str], left: list[str], conflated: int
) -> None:
    socket.offer(*offered)
    socket.outbox.pause()
    assert socket.outbox.conflated == conflated
    socket.open()
    socket.flush()
    assert socket.texts() == left


def test_a_paused_outbox_writes_nothing_though_it_was_listed(socket: ScriptedSocket) -> None:
    socket.offer("a=1")
    socket.outbox.pause()
    socket.flush()
    assert socket.writes == 0


def test_resuming_lists_the_outbox_only_if_something_waits(socket: ScriptedSocket) -> None:
    socket.outbox.pause()
    socket.outbox.resume()
    assert socket.dirty == []
    socket.outbox.pause()
    socket.offer("a=1")
    socket.outbox.resume()
    assert socket.dirty == [socket.outbox]


def test_pausing_and_resuming_before_the_flush_lists_it_once(socket: ScriptedSocket) -> None:
    socket.offer("a=1")
    socket.outbox.pause()
    socket.outbox.resume()
    assert socket.dirty == [socket.outbox]
    socket.flush()
    assert socket.texts() == ["a=1"]


def test_after_resuming_frames_pass_through_behind_those_that_waited(socket: ScriptedSocket) -> None:
    socket.outbox.pause()
    socket.offer("k=1")
    socket.outbox.resume()
    socket.offer("k=2")
    socket.flush()
    assert socket.texts() == ["k=1", "k=2"]


@pytest.mark.parametrize(
    "limits", [OutboxLimits(frames=2), OutboxLimits(size_bytes=6)], ids=["frames", "bytes"]
)
def test_an_open_outbox_at_a_bound_is_drained_at_once(twin: Twin, limits: OutboxLimits) -> None:
    socket = ScriptedSocket(twin, limits)
    socket.offer("k=1", "k=2", "k=3")
    assert socket.texts() == ["k=1", "k=2", "k=3"]
    assert not socket.outbox.full


@pytest.mark.parametrize(
    "limits", [OutboxLimits(frames=2), OutboxLimits(size_bytes=6)], ids=["frames", "bytes"]
)
def test_a_paused_outbox_at_a_bound_is_full_and_tells_it_once(twin: Twin, limits: OutboxLimits) -> None:
    socket = ScriptedSocket(twin, limits)
    socket.outbox.pause()
    socket.offer("j=1", "k=1", "k=2")
    assert not socket.outbox.full
    socket.offer("l=1", "m=1")
    assert socket.outbox.full
    assert socket.overflows == 1
    assert socket.outbox.waiting_bytes == 0


def test_a_longer_value_of_a_waiting_key_can_fill_the_outbox(twin: Twin) -> None:
    socket = ScriptedSocket(twin, OutboxLimits(size_bytes=6))
    socket.outbox.pause()
    socket.offer("k=1", "k=12345")
    assert socket.outbox.full
    assert socket.overflows == 1


def test_a_full_outbox_stays_so_whatever_the_socket_does(twin: Twin) -> None:
    socket = ScriptedSocket(twin, OutboxLimits(frames=1))
    socket.outbox.pause()
    socket.offer("a", "b")
    socket.open()
    socket.offer("c")
    socket.outbox.drain()
    assert (socket.writes, socket.dirty, socket.overflows) == (0, [], 1)


def test_a_socket_that_fills_up_may_leave_more_than_the_bound_allows(twin: Twin) -> None:
    socket = ScriptedSocket(twin, OutboxLimits(frames=2))
    socket.room = 0
    socket.offer("a", "b", "c")
    assert socket.outbox.full
    assert socket.overflows == 1


def test_a_dropped_outbox_forgets_and_refuses_all_and_tells_nobody(socket: ScriptedSocket) -> None:
    socket.offer("a", "b")
    socket.outbox.drop()
    socket.offer("c")
    socket.flush()
    socket.open()
    assert (socket.writes, socket.overflows, socket.outbox.waiting_bytes) == (0, 0, 0)
    assert socket.outbox.full


def test_at_a_bound_what_can_be_told_is_let_go_and_told_before_what_comes_later(twin: Twin) -> None:
    socket = ScriptedSocket(twin, OutboxLimits(frames=4))
    socket.outbox.pause()
    socket.trade(3, 4)
    socket.offer("k=1", "status")
    assert socket.outbox.lost == 0
    socket.trade(5)
    assert (socket.outbox.lost, socket.outbox.full) == (3, False)
    socket.trade(6)
    socket.open()
    socket.trade(7)
    socket.flush()
    assert socket.texts() == ["hole 1:3-5", "k=1", "status", "1:6", "1:7"]
    assert (socket.outbox.gaps, socket.outbox.lost, socket.overflows) == (1, 3, 0)


def test_a_hole_grows_until_it_is_told(twin: Twin) -> None:
    socket = ScriptedSocket(twin, OutboxLimits(frames=2))
    socket.outbox.pause()
    socket.trade(1, 2, 3, 4, 5, 6, 7)
    socket.open(room=0)
    socket.flush()
    assert socket.outbox.paused
    socket.trade(8, 9, 10)
    socket.open()
    socket.flush()
    assert socket.texts() == ["hole 1:1-9", "1:10"]
    assert (socket.outbox.gaps, socket.outbox.lost) == (1, 9)


def test_each_epoch_has_its_own_hole(twin: Twin) -> None:
    socket = ScriptedSocket(twin, OutboxLimits(frames=3))
    socket.outbox.pause()
    socket.trade(8, 9)
    socket.trade(1, 2, 3, epoch=2)
    socket.open()
    socket.flush()
    assert socket.texts() == ["hole 1:8-9", "hole 2:1-2", "2:3"]


def test_where_losses_are_not_wished_a_bound_makes_the_outbox_full(twin: Twin) -> None:
    socket = ScriptedSocket(twin, OutboxLimits(frames=2, gaps=False))
    socket.outbox.pause()
    socket.trade(1, 2, 3)
    assert (socket.outbox.full, socket.overflows, socket.outbox.lost) == (True, 1, 0)


def test_behind_a_hole_that_will_be_mended_nothing_of_its_stream_waits(twin: Twin) -> None:
    socket = ScriptedSocket(twin, OutboxLimits(frames=2), mends=True)
    socket.outbox.pause()
    socket.trade(1, 2)
    socket.row.offer(b"status", "", 1, 0)
    socket.trade(3, 4)
    socket.losable.offer_to(socket.outbox, b"given anew", 1, 2)
    socket.losable.offer_to(socket.outbox, b"may not be lost")
    socket.trade(1, epoch=2)
    socket.open()
    socket.trade(5)
    socket.flush()
    assert socket.texts() == ["hole 1:1-4", "hole 2:1-1", "status", "may not be lost", "1:5"]
    assert socket.outbox.statistics()["lost"] == 6


def test_a_hole_that_could_not_leave_has_what_came_behind_it(twin: Twin) -> None:
    socket = ScriptedSocket(twin, OutboxLimits(frames=2), mends=True)
    socket.outbox.pause()
    socket.trade(1, 2, 3)
    socket.open(room=0)
    socket.trade(4)
    socket.flush()
    assert socket.written == []
    socket.trade(5)
    socket.open()
    socket.flush()
    assert socket.texts() == ["hole 1:1-5"]


def test_a_value_for_one_outlet_may_be_lost_if_it_has_a_position(twin: Twin) -> None:
    socket = ScriptedSocket(twin, OutboxLimits(frames=2))
    socket.outbox.pause()
    socket.losable.offer_to(socket.outbox, b"first", 1, 7)
    socket.trade(8, 9)
    socket.open()
    socket.flush()
    assert socket.texts() == ["hole 1:7-9"]


def test_what_may_not_be_lost_fills_the_outbox_when_losses_do_not_help(twin: Twin) -> None:
    socket = ScriptedSocket(twin, OutboxLimits(frames=2))
    socket.outbox.pause()
    socket.trade(1)
    socket.offer("closed", "closed", "closed")
    assert (socket.outbox.full, socket.overflows) == (True, 1)


def test_who_leaves_a_row_gets_nothing_of_it_any_more(socket: ScriptedSocket) -> None:
    socket.outbox.pause()
    socket.offer("k=1", "k=2", "x")
    socket.trade(1)
    socket.row.discard(socket.outbox)
    assert socket.outbox.waiting_bytes == len("1:1")
    socket.open()
    socket.flush()
    assert socket.texts() == ["1:1"]


def test_nor_does_it_hear_of_holes_there(twin: Twin) -> None:
    socket = ScriptedSocket(twin, OutboxLimits(frames=1))
    socket.outbox.pause()
    socket.trade(1, 2)
    socket.losable.discard(socket.outbox)
    socket.offer("k=1")
    socket.open()
    socket.flush()
    assert socket.texts() == ["k=1"]


def test_a_frame_for_one_outlet_waits_like_others_and_leaves_with_its_row(twin: Twin) -> None:
    first, second = ScriptedSocket(twin), ScriptedSocket(twin)
    first.row.add(second.outbox, Reader())
    second.outbox.pause()
    first.row.offer_to(second.outbox, b"snapshot")
    first.row.offer_to(second.outbox, b"again")
    second.open()
    second.flush()
    assert (first.texts(), second.texts()) == ([], ["snapshot", "again"])
    second.outbox.pause()
    first.row.offer_to(second.outbox, b"too late")
    first.row.discard(second.outbox)
    assert second.outbox.waiting_bytes == 0


def test_a_row_offers_the_same_frame_to_every_outlet(twin: Twin) -> None:
    row, owner = twin.row(), Reader()
    sockets = [ScriptedSocket(twin) for _ in range(3)]
    for one in sockets:
        row.add(one.outbox, owner)
    frame = b"shared"
    row.offer(frame, "", 1, 1)
    for one in sockets:
        one.flush()
    assert all(one.written[0] is frame for one in sockets)


def test_a_row_holds_an_outlet_once_and_forgets_it_at_once(twin: Twin) -> None:
    row, socket, owner = twin.row(), ScriptedSocket(twin), Reader()
    row.add(socket.outbox, owner)
    row.add(socket.outbox, owner)
    assert socket.outbox in row
    assert "another" not in row
    assert list(row.subscribers()) == [owner]
    row.offer(b"1", "", 1, 1)
    row.discard(socket.outbox)
    row.discard(socket.outbox)
    assert socket.outbox not in row
    row.offer(b"2", "", 1, 2)
    socket.flush()
    assert socket.written == [b"1"]
    assert len(row) == 0


def test_whoever_leaves_the_others_stay(twin: Twin) -> None:
    row = twin.row()
    sockets = [ScriptedSocket(twin) for _ in range(5)]
    owners = [Reader() for _ in sockets]
    for one, owner in zip(sockets, owners, strict=True):
        row.add(one.outbox, owner)
    for gone in (0, 3, 4):
        row.discard(sockets[gone].outbox)
    assert set(row.subscribers()) == {owners[1], owners[2]}
    row.offer(b"left", "", 1, 1)
    for one in sockets:
        one.flush()
    assert [one.texts() for one in sockets] == [[], ["left"], ["left"], [], []]
