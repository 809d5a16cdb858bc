from __future__ import annotations

import pytest

from feedmux.core.outbox import OutboxLimits, TopicRow
from support.hubs import Reader
from support.sockets import ScriptedSocket


@pytest.fixture
def socket() -> ScriptedSocket:
    return ScriptedSocket()


def offer(socket: ScriptedSocket, *frames: str) -> None:
    """Offer frames written as ``key=text``, or ``text`` alone for one without a key."""
    for frame in frames:
        key = frame.partition("=")[0] if "=" in frame else ""
        socket.outbox.offer(frame.encode(), key)


def written(socket: ScriptedSocket) -> list[str]:
    return [frame.decode() for frame in socket.written]


def test_frames_leave_in_the_order_of_their_offers(socket: ScriptedSocket) -> None:
    offer(socket, "a=1", "trade", "a=2", "b=1")
    socket.flush()
    assert written(socket) == ["a=1", "trade", "a=2", "b=1"]
    assert socket.outbox.statistics() == {
        "sent": 4, "conflated": 0, "waiting_frames": 0, "waiting_bytes": 0, "paused": False, "full": False,
    }  # fmt: skip


def test_the_first_offer_of_a_turn_lists_the_outbox_and_no_other_does(socket: ScriptedSocket) -> None:
    offer(socket, "a=1", "a=2")
    assert socket.dirty == [socket.outbox]
    socket.flush()
    assert socket.dirty == []
    offer(socket, "a=3")
    assert socket.dirty == [socket.outbox]


def test_all_frames_of_a_turn_are_one_write(socket: ScriptedSocket) -> None:
    offer(socket, "a=1", "b=1", "c=1")
    socket.flush()
    assert socket.writes == 1


def test_draining_nothing_writes_nothing(socket: ScriptedSocket) -> None:
    socket.outbox.drain()
    assert socket.writes == 0


def test_what_a_full_socket_did_not_take_waits_and_comes_after_it(socket: ScriptedSocket) -> None:
    socket.room = 2
    offer(socket, "a", "b", "c", "d")
    socket.flush()
    assert written(socket) == ["a", "b"]
    assert socket.outbox.paused
    assert socket.outbox.waiting_bytes == 2
    socket.open()
    socket.flush()
    assert written(socket) == ["a", "b", "c", "d"]
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
    offer(socket, *offered)
    assert socket.dirty == []
    assert socket.outbox.waiting_bytes == sum(map(len, left))
    assert socket.outbox.statistics()["waiting_frames"] == len(left)
    socket.open()
    socket.flush()
    assert written(socket) == left
    assert socket.outbox.conflated == conflated


@pytest.mark.parametrize(("offered", "left", "conflated"), PAUSED)
def test_what_waits_when_the_socket_fills_up_is_conflated_as_well(
    socket: ScriptedSocket, offered: list[str], left: list[str], conflated: int
) -> None:
    offer(socket, *offered)
    socket.outbox.pause()
    assert socket.outbox.conflated == conflated
    socket.open()
    socket.flush()
    assert written(socket) == left


def test_a_paused_outbox_writes_nothing_though_it_was_listed(socket: ScriptedSocket) -> None:
    offer(socket, "a=1")
    socket.outbox.pause()
    socket.flush()
    assert socket.writes == 0


def test_resuming_lists_the_outbox_only_if_something_waits(socket: ScriptedSocket) -> None:
    socket.outbox.pause()
    socket.outbox.resume()
    assert socket.dirty == []
    socket.outbox.pause()
    offer(socket, "a=1")
    socket.outbox.resume()
    assert socket.dirty == [socket.outbox]


def test_pausing_and_resuming_before_the_flush_lists_it_once(socket: ScriptedSocket) -> None:
    offer(socket, "a=1")
    socket.outbox.pause()
    socket.outbox.resume()
    assert socket.dirty == [socket.outbox]
    socket.flush()
    assert written(socket) == ["a=1"]


def test_after_resuming_frames_pass_through_behind_those_that_waited(socket: ScriptedSocket) -> None:
    socket.outbox.pause()
    offer(socket, "k=1")
    socket.outbox.resume()
    offer(socket, "k=2")
    socket.flush()
    assert written(socket) == ["k=1", "k=2"]


@pytest.mark.parametrize(
    "limits", [OutboxLimits(frames=2), OutboxLimits(size_bytes=6)], ids=["frames", "bytes"]
)
def test_an_open_outbox_at_a_bound_is_drained_at_once(limits: OutboxLimits) -> None:
    socket = ScriptedSocket(limits)
    offer(socket, "k=1", "k=2", "k=3")
    assert written(socket) == ["k=1", "k=2", "k=3"]
    assert not socket.outbox.full


@pytest.mark.parametrize(
    "limits", [OutboxLimits(frames=2), OutboxLimits(size_bytes=6)], ids=["frames", "bytes"]
)
def test_a_paused_outbox_at_a_bound_is_full_and_tells_it_once(limits: OutboxLimits) -> None:
    socket = ScriptedSocket(limits)
    socket.outbox.pause()
    offer(socket, "j=1", "k=1", "k=2")
    assert not socket.outbox.full
    offer(socket, "l=1", "m=1")
    assert socket.outbox.full
    assert socket.overflows == 1
    assert socket.outbox.waiting_bytes == 0


def test_a_longer_value_of_a_waiting_key_can_fill_the_outbox() -> None:
    socket = ScriptedSocket(OutboxLimits(size_bytes=6))
    socket.outbox.pause()
    offer(socket, "k=1", "k=12345")
    assert socket.outbox.full
    assert socket.overflows == 1


def test_a_full_outbox_stays_so_whatever_the_socket_does() -> None:
    socket = ScriptedSocket(OutboxLimits(frames=1))
    socket.outbox.pause()
    offer(socket, "a", "b")
    socket.open()
    offer(socket, "c")
    socket.outbox.drain()
    assert (socket.writes, socket.dirty, socket.overflows) == (0, [], 1)


def test_a_socket_that_fills_up_may_leave_more_than_the_bound_allows() -> None:
    socket = ScriptedSocket(OutboxLimits(frames=2))
    socket.room = 0
    offer(socket, "a", "b", "c")
    assert socket.outbox.full
    assert socket.overflows == 1


def test_a_dropped_outbox_forgets_and_refuses_all_and_tells_nobody(socket: ScriptedSocket) -> None:
    offer(socket, "a", "b")
    socket.outbox.drop()
    offer(socket, "c")
    socket.flush()
    socket.open()
    assert (socket.writes, socket.overflows, socket.outbox.waiting_bytes) == (0, 0, 0)
    assert socket.outbox.full


def test_a_row_offers_the_same_frame_to_every_outlet() -> None:
    row, owner = TopicRow(), Reader()
    sockets = [ScriptedSocket() for _ in range(3)]
    for one in sockets:
        row.add(one.outbox, owner)
    frame = b"shared"
    row.offer(frame, "")
    for one in sockets:
        one.flush()
    assert all(one.written[0] is frame for one in sockets)


def test_a_row_holds_an_outlet_once_and_forgets_it_at_once() -> None:
    row, socket, owner = TopicRow(), ScriptedSocket(), Reader()
    row.add(socket.outbox, owner)
    row.add(socket.outbox, owner)
    assert socket.outbox in row
    assert list(row.subscribers()) == [owner]
    row.offer(b"1", "")
    row.discard(socket.outbox)
    row.discard(socket.outbox)
    row.offer(b"2", "")
    socket.flush()
    assert socket.written == [b"1"]
    assert len(row) == 0
