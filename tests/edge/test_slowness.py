from __future__ import annotations

import asyncio
import socket

import pytest

from feedmux.edge.slowness import Pace, Slowness, taken_bytes
from support.loops import on_both_loops
from support.waiting import until


@pytest.fixture
def slow() -> Slowness:
    return Slowness(100.0, 5000, stall_s=4.0, lag_s=10.0)


@pytest.mark.parametrize(
    ("now", "pace", "goes"),
    [
        (100.0, Pace.CONFLATING, False),
        (101.9, Pace.CONFLATING, False),
        (102.0, Pace.STALLED, False),
        (103.9, Pace.STALLED, False),
        (104.0, Pace.STALLED, True),
    ],
)
def test_who_takes_nothing_is_stalled_and_then_has_to_go(
    slow: Slowness, now: float, pace: Pace, goes: bool
) -> None:
    slow.look(now, 5000)
    assert slow.pace(now) is pace
    assert bool(slow.verdict(now)) is goes


def test_who_takes_something_now_and_then_is_not_stalled_but_may_not_stay_for_ever(slow: Slowness) -> None:
    for second in range(1, 10):
        slow.look(100.0 + second, 5000 + second)
        assert slow.pace(100.0 + second) is Pace.CONFLATING
        assert slow.verdict(100.0 + second) == ""
    assert slow.verdict(110.0) == "Too slow: behind for 10 s"


def test_more_looks_are_no_progress(slow: Slowness) -> None:
    slow.look(101.0, 5000)
    slow.look(104.0, 5000)
    assert slow.verdict(104.0) == "Too slow: nothing was read for 4 s"


def test_a_stalled_client_that_takes_something_has_time_again(slow: Slowness) -> None:
    slow.look(103.0, 5000)
    assert slow.pace(103.0) is Pace.STALLED
    slow.look(103.5, 5001)
    assert slow.pace(103.5) is Pace.CONFLATING
    assert slow.verdict(107.4) == ""
    assert slow.verdict(107.5)


def test_it_is_looked_at_when_something_may_have_changed_and_not_in_between(slow: Slowness) -> None:
    now, looks = 100.0, []
    while not slow.verdict(now):
        wait = slow.next_look(now)
        assert wait > 0
        now += wait
        looks.append(now)
        slow.look(now, 5000)
    assert looks == [102.0, 104.0]


def test_the_end_of_its_time_is_looked_at_as_well(slow: Slowness) -> None:
    slow.look(109.0, 5010)
    assert slow.next_look(109.0) == 1.0


@on_both_loops
async def test_the_kernel_tells_what_the_peer_has_taken() -> None:
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        transport, _ = await loop.create_connection(asyncio.Protocol, *listener.getsockname())
        peer, _ = await loop.sock_accept(listener)
    peer.setblocking(False)
    with peer:
        begun = taken_bytes(transport)
        transport.write(b"x" * 1000)
        await until(lambda: taken_bytes(transport) == begun + 1000)
        transport.write(b"x" * 20_000_000)
        assert taken_bytes(transport) < begun + 20_001_000
        read = 0
        while read < 20_001_000:
            read += len(await loop.sock_recv(peer, 1 << 20))
        await until(lambda: taken_bytes(transport) == begun + 20_001_000)
        transport.abort()
        await until(lambda: taken_bytes(transport) == 0)
