from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from feedmux.client.events import Subscribed
from feedmux.client.plain import PlainAdapter
from feedmux.client.wishes import Wishes
from feedmux.model.adapter import Dialogue
from feedmux.model.errors import AuthenticationFailed, Overflow, Refused
from feedmux.model.link_errors import LinkLost


class Desk(PlainAdapter):
    """A platform that answers as the test says, and remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, list[str]]] = []
        self.refused: dict[str, str] = {}
        self.problem: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    async def subscribe(self, dialogue: Dialogue, channels: Sequence[str], /) -> Mapping[str, str]:
        self.asked.append(("subscribe", list(channels)))
        await self.gate.wait()
        if self.problem is not None:
            raise self.problem
        return {channel: self.refused[channel] for channel in channels if channel in self.refused}

    async def unsubscribe(self, dialogue: Dialogue, channels: Sequence[str], /) -> None:
        self.asked.append(("unsubscribe", list(channels)))


class Nobody:
    async def request(self, method: str, params: object = None, /) -> object:
        raise NotImplementedError

    async def send(self, message: object, /) -> None:
        raise NotImplementedError


def wishes() -> tuple[Wishes, Desk, list[tuple[list[str], list[str]]]]:
    desk, changes = Desk(), list[tuple[list[str], list[str]]]()
    return (
        Wishes(desk, Nobody(), lambda there, gone: changes.append((list(there), list(gone)))),
        desk,
        changes,
    )


async def test_what_is_wanted_is_held_after_one_request() -> None:
    wanted, desk, changes = wishes()
    assert wanted.want(["a", "b", "a"]) == ["a", "b"]
    await wanted.reconcile()
    assert (wanted.held, wanted.is_whole) == (("a", "b"), True)
    assert desk.asked == [("subscribe", ["a", "b"])]
    assert changes == [(["a", "b"], [])]
    assert wanted.want(["b", "c"]) == ["c"]


async def test_a_wish_that_changes_meanwhile_is_not_forgotten() -> None:
    wanted, desk, _ = wishes()
    desk.gate.clear()
    wanted.want(["a", "b"])
    working = asyncio.ensure_future(wanted.reconcile())
    await asyncio.sleep(0)
    wanted.want(["c"])
    wanted.drop(["a"])
    await wanted.reconcile()  # somebody is at it already
    desk.gate.set()
    await working
    assert wanted.held == ("b", "c")
    assert desk.asked == [("subscribe", ["a", "b"]), ("unsubscribe", ["a"]), ("subscribe", ["c"])]


async def test_who_asks_is_told_what_became_of_it() -> None:
    wanted, desk, _ = wishes()
    desk.refused = {"b": "no such thing"}
    wanted.want(["a", "b"])
    fate = asyncio.ensure_future(wanted.fate(["a", "b"]))
    await asyncio.sleep(0)
    await wanted.reconcile()
    assert await fate == Subscribed(confirmed=("a",), refused={"b": "no such thing"})
    assert wanted.wanted == ("a",)
    assert wanted.refused == {"b": "no such thing"}
    assert await wanted.fate(["a"]) == Subscribed(confirmed=("a",))


async def test_who_asks_while_the_connection_ends_is_told_that_it_is_pending() -> None:
    wanted, desk, changes = wishes()
    desk.problem = LinkLost("gone")
    wanted.want(["a"])
    fate = asyncio.ensure_future(wanted.fate(["a"]))
    await asyncio.sleep(0)
    with pytest.raises(LinkLost):
        await wanted.reconcile()
    assert await fate == Subscribed(pending=("a",))
    assert (wanted.wanted, wanted.held) == (("a",), ())
    desk.problem = None
    await wanted.reconcile()
    wanted.forget_connection()
    assert (wanted.held, changes[-1]) == ((), ([], ["a"]))
    await wanted.reconcile()
    assert wanted.held == ("a",)


async def test_what_is_renewed_is_given_back_first() -> None:
    wanted, desk, _ = wishes()
    wanted.want(["a", "b"])
    await wanted.reconcile()
    wanted.renew(["a", "unknown"])
    assert not wanted.is_whole
    await wanted.reconcile()
    assert desk.asked[1:] == [("unsubscribe", ["a"]), ("subscribe", ["a"])]


async def test_who_waits_for_what_is_given_back_is_not_left_waiting() -> None:
    wanted, _, _ = wishes()
    wanted.want(["a"])
    fate = asyncio.ensure_future(wanted.fate(["a"]))
    await asyncio.sleep(0)
    wanted.drop(["a"])
    assert (await fate).refused == {"a": "it was given back meanwhile"}


async def test_the_guilty_one_of_a_batch_is_found_in_halves() -> None:
    wanted, desk, _ = wishes()

    async def subscribe(dialogue: Dialogue, channels: Sequence[str], /) -> Mapping[str, str]:
        desk.asked.append(("subscribe", list(channels)))
        if "x" in channels:
            raise Refused("all of it", "there is an x")
        return {}

    desk.subscribe = subscribe  # type: ignore[method-assign]
    wanted.want(["a", "b", "c", "x"])
    await wanted.reconcile()
    assert (wanted.held, wanted.refused) == (("a", "b", "c"), {"x": "there is an x"})
    assert [channels for _, channels in desk.asked] == [
        ["a", "b", "c", "x"],
        ["a", "b"],
        ["c", "x"],
        ["c"],
        ["x"],
    ]


async def test_credentials_that_are_not_taken_are_no_fault_of_a_channel() -> None:
    wanted, desk, _ = wishes()
    desk.problem = AuthenticationFailed("it", "no")
    wanted.want(["a", "b"])
    with pytest.raises(AuthenticationFailed):
        await wanted.reconcile()
    assert wanted.wanted == ("a", "b")


class Narrow(Desk):
    """Takes a few channels at a time."""

    room = 10

    async def subscribe(self, dialogue: Dialogue, channels: Sequence[str], /) -> Mapping[str, str]:
        if len(channels) > self.room:
            raise Overflow("the write buffer", f"{self.room} channels")
        return await super().subscribe(dialogue, channels)


async def test_what_does_not_fit_into_one_request_goes_in_several() -> None:
    desk = Narrow()
    wanted = Wishes(desk, Nobody(), lambda there, gone: None)
    many = [str(number) for number in range(35)]
    wanted.want(many)
    await wanted.reconcile()
    assert wanted.held == tuple(many)
    assert [len(channels) for _, channels in desk.asked] == [8, 9, 9, 9]


async def test_where_not_even_one_fits_none_is_refused() -> None:
    desk = Narrow()
    desk.room = 0
    wanted = Wishes(desk, Nobody(), lambda there, gone: None)
    wanted.want(["a", "b"])
    with pytest.raises(Overflow):
        await wanted.reconcile()
    assert wanted.wanted == ("a", "b")


async def test_what_is_secret_is_taken_out_of_reasons() -> None:
    desk = Desk()
    desk.refused = {"a": "s3cret", "b": 5}  # type: ignore[dict-item]
    wanted = Wishes(desk, Nobody(), lambda there, gone: None, lambda text: text.replace("s3cret", "***"))
    wanted.want(["a", "b"])
    await wanted.reconcile()
    assert wanted.refused == {"a": "***", "b": "5"}
