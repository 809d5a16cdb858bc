from __future__ import annotations

import asyncio
import math
import re
from typing import Any

import pytest

from feedmux.model.errors import InvalidSetting
from feedmux.sim.mailbox import Mailbox, Received
from support.loops import on_asyncio


def fill(mailbox: Mailbox, *messages: str) -> None:
    for message in messages:
        mailbox.add(Received(message, 1))


async def started(mailbox: Mailbox, wanted: Any, times: int = 1) -> asyncio.Task[Received]:
    """A wait that has begun."""
    task = asyncio.create_task(mailbox.wait(wanted, times=times, timeout_s=5.0))
    await asyncio.sleep(0)
    return task


@on_asyncio
async def test_what_is_there_is_found_without_waiting() -> None:
    mailbox = Mailbox(10)
    fill(mailbox, "a", "b", "a")
    assert await mailbox.wait("b", times=1, timeout_s=0.0) == Received("b", 1)
    assert await mailbox.wait("a", times=2, timeout_s=0.0) == Received("a", 1)


@on_asyncio
async def test_what_comes_later_wakes_who_waits() -> None:
    mailbox = Mailbox(10)
    task = await started(mailbox, "b")
    fill(mailbox, "a")
    await asyncio.sleep(0)
    assert not task.done()
    fill(mailbox, "b")
    assert (await task).message == "b"


@on_asyncio
async def test_what_was_there_and_what_comes_add_up() -> None:
    mailbox = Mailbox(10)
    fill(mailbox, "a")
    task = await started(mailbox, re.compile("a"), times=3)
    fill(mailbox, "a", "b", "aa")
    assert (await task).message == "aa"


@on_asyncio
async def test_a_message_is_seen_even_if_it_is_let_go_before_anybody_runs() -> None:
    mailbox = Mailbox(2)
    task = await started(mailbox, "rare")
    fill(mailbox, "rare", *(str(number) for number in range(100)))
    assert (await task).message == "rare"
    assert [one.message for one in mailbox.kept] == ["98", "99"]
    assert mailbox.let_go == 99


@on_asyncio
async def test_in_vain_it_says_what_came_instead() -> None:
    mailbox = Mailbox(2)
    with pytest.raises(AssertionError, match=r"^exactly 'x' came not within 0 s; nothing came at all$"):
        await mailbox.wait("x", times=1, timeout_s=0.0)
    fill(mailbox, "a", "b", "x")
    with pytest.raises(AssertionError) as caught:
        await mailbox.wait("x", times=2, timeout_s=0.0)
    assert str(caught.value) == (
        "exactly 'x' came 1 of 2 times within 0 s; 3 messages came, of which 1 are not kept; "
        "the latest: 'b' (client 1); 'x' (client 1)"
    )


def raising(message: object) -> bool:
    raise KeyError(message)


@on_asyncio
async def test_what_a_predicate_raises_reaches_who_waits_and_nobody_else() -> None:
    mailbox = Mailbox(2)
    task = await started(mailbox, raising)
    other = await started(mailbox, "a")
    fill(mailbox, "a")
    with pytest.raises(KeyError):
        await task
    assert (await other).message == "a"


@on_asyncio
async def test_a_wait_that_ended_leaves_nothing_behind() -> None:
    mailbox = Mailbox(2)
    task = await started(mailbox, "never")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert mailbox._waiters == []


@pytest.mark.parametrize("keep", [0, -1, 1.5, "5", True, None, 10**6 + 1])
def test_a_mailbox_keeps_something(keep: Any) -> None:
    with pytest.raises(InvalidSetting, match="keep"):
        Mailbox(keep)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        *(("timeout_s", {"timeout_s": value}) for value in (-1, math.nan, math.inf, "5", True, None)),
        *(("times", {"times": value}) for value in (0, -1, 1.5, "2", True, None)),
        *(("wanted", {"wanted": value}) for value in (None, 5, ["a"])),
    ],
)
async def test_a_wait_that_cannot_be_is_refused(name: str, wrong: dict[str, Any]) -> None:
    mailbox = Mailbox(2)
    asked: dict[str, Any] = {"wanted": "a", "times": 1, "timeout_s": 1.0} | wrong
    with pytest.raises(InvalidSetting) as caught:
        await mailbox.wait(asked.pop("wanted"), **asked)
    assert caught.value.name == name
    assert mailbox._waiters == []
