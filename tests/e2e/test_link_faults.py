"""A link through a network that does all that networks do: afterwards the wanted set is whole again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from feedmux.client.events import Interrupted, Restored
from feedmux.model.errors import Overflow
from feedmux.model.link_errors import RequestLost
from support.link_scene import CONFIG, Scene, gone, is_whole, of, scene, traces
from support.waiting import until

PATIENT = msgspec.structs.replace(CONFIG, ping_interval_s=0.05, ping_timeout_s=8.0, request_timeout_s=8.0)
STALL_S = 0.3


async def cut(set_up: Scene) -> None:
    set_up.proxy.cut()


async def stall(set_up: Scene) -> None:
    """The host vanishes: nothing is answered any more, and nobody says so."""
    set_up.proxy.stall()
    await until(lambda: of(set_up.seen, Interrupted), "the silence is noticed")
    set_up.proxy.resume()


async def stall_for_attempts(set_up: Scene) -> None:
    """The host vanishes, and its successor takes connections and says nothing."""
    set_up.proxy.cut()
    set_up.proxy.stall()
    await set_up.failed(1, "no answer within 0.3 s while upgrading to WebSocket")
    set_up.proxy.resume()


async def half_open(set_up: Scene) -> None:
    """The host vanishes while we send: first the kernel's buffers are full, then ours."""
    set_up.proxy.stall()
    asked = asyncio.create_task(set_up.link.request("echo", ["nobody reads this"]))
    with pytest.raises(Overflow):
        while True:
            await set_up.link.send("x" * 60_000)
    with pytest.raises(RequestLost) as caught:
        await asked
    assert caught.value.maybe_executed
    set_up.proxy.resume()


async def refuse(set_up: Scene) -> None:
    """Nobody is there for a while."""
    await set_up.proxy.refuse(True)
    set_up.proxy.cut()
    await set_up.failed(3, "connection refused")
    await set_up.proxy.refuse(False)


async def dribble(set_up: Scene) -> None:
    """Every byte comes by itself, the upgrade and all answers included."""
    set_up.proxy.dribble(1)
    set_up.proxy.cut()


async def reset_in_mid_frame(set_up: Scene) -> None:
    set_up.proxy.reset_after(40)
    await set_up.server.publish("trades.a", "x" * 500)


async def garbage(set_up: Scene) -> None:
    """Bytes that are no frame."""
    await write(set_up, b"\xff\xff\xff\xff this is no frame")


async def end_without_close(set_up: Scene) -> None:
    """TCP ends in peace and WebSocket does not: what others call 1006."""
    for connection in set_up.server.open:
        connection.transport.close()


async def half_close(set_up: Scene) -> None:
    """The server says that it sends no more, and would go on reading."""
    for connection in set_up.server.open:
        connection.transport.write_eof()


async def close_without_code(set_up: Scene) -> None:
    """A CLOSE frame that says nothing: what others call 1005."""
    await write(set_up, b"\x88\x00")


def closes_with(code: int) -> Callable[[Scene], Awaitable[None]]:
    async def close(set_up: Scene) -> None:
        for connection in list(set_up.server.open):
            await connection.close(code, "said the test")

    close.__name__ = f"close_{code}"
    return close


def closes_illegally_with(code: int) -> Callable[[Scene], Awaitable[None]]:
    """A code that no CLOSE frame may have (RFC 6455 §7.4.1), in one."""

    async def close(set_up: Scene) -> None:
        await write(set_up, b"\x88\x02" + code.to_bytes(2, "big"))

    close.__name__ = f"close_{code}"
    return close


async def write(set_up: Scene, data: bytes) -> None:
    """Let the server send bytes of our choice."""
    for connection in set_up.server.open:
        connection.transport.write(data)


CODES = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 4000, 4999)
FAULTS = [
    cut, stall, stall_for_attempts, half_open, refuse, dribble, reset_in_mid_frame, garbage,
    end_without_close, half_close, close_without_code,
    *map(closes_with, CODES), *map(closes_illegally_with, (1005, 1006, 1015)),
]  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
async def test_after_every_fault_the_link_is_whole_again(fault: Callable[[Scene], Awaitable[None]]) -> None:
    config = msgspec.structs.replace(CONFIG, connect_timeout_s=0.3) if fault is stall_for_attempts else CONFIG
    async with scene(config) as set_up:
        before = traces()
        await fault(set_up)
        await is_whole(set_up)
        await gone(before)


async def test_a_stall_that_is_shorter_than_the_limits_is_survived_on_the_same_connection() -> None:
    async with scene(PATIENT) as set_up:
        loop = asyncio.get_running_loop()
        set_up.proxy.stall()
        asked = asyncio.create_task(set_up.link.request("echo", ["late"]))
        await set_up.server.publish("trades.a", "late")
        end = loop.time() + STALL_S
        await until(lambda: loop.time() > end, "the stall lasts")
        assert not asked.done()
        assert not set_up.seen
        set_up.proxy.resume()
        assert await asked == ["late"]
        await until(lambda: len(set_up.seen) == 1, "what was held up arrives")
        await until(lambda: set_up.carried["round_trip_s"] > STALL_S / 2, "a ping was answered late")
        await is_whole(set_up, restored=0)
        assert set_up.carried["opens"] == 1


async def test_faults_without_end_leave_nothing_behind() -> None:
    async with scene() as set_up:
        before = traces()
        for number in range(1, 201):
            set_up.proxy.cut()
            await is_whole(set_up, number)
        await gone(before)
        statistics = set_up.link.statistics()
        assert (statistics["channels"], statistics["held"]) == (3, 3)


async def test_everything_that_was_missed_lies_between_two_notices() -> None:
    """The server counts; the reader misses numbers only where it was told that something is missing."""
    async with scene(msgspec.structs.replace(CONFIG, ping_interval_s=5.0)) as set_up:
        for number in range(600):
            if number % 60 == 30:
                set_up.proxy.cut()
            await set_up.server.publish("trades.a", number)
            await asyncio.sleep(0.001)
        await is_whole(set_up, 10)
    last, told = -1, True
    for item in set_up.seen[:-1]:
        if isinstance(item, Interrupted | Restored):
            told = True
            continue
        number = item["params"]["data"]  # type: ignore[index]
        assert told or number == last + 1, f"{number} after {last}"
        last, told = number, False
