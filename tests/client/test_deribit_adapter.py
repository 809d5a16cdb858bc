"""What the adapter asks of whom; how it does with a venue is seen in test_deribit.py."""

from __future__ import annotations

import asyncio
import math
from decimal import Decimal
from typing import Any

import pytest

from feedmux.client.clock import SystemClock
from feedmux.client.deribit_adapter import MISSING, DeribitAdapter, apply
from feedmux.core.book import Book, BookState
from feedmux.model.errors import CallFailed, InvalidSetting
from feedmux.model.link_errors import LinkError, RequestTimeout

MANY = [f"ticker.{number}.100ms" for number in range(35)]
RAW = "raw_subscriptions_not_available_for_unauthorized"


class Venue:
    """Grants what it is asked for, unless it is told otherwise.

    Attributes:
        asked: every request: its method and how many channels it names.
        at: when each came, seconds.
        forbidden: channels for which it refuses the whole request.
        unknown: channels that it leaves out of its answers.
        problem: what the next request meets instead.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []
        self.at: list[float] = []
        self.forbidden: set[str] = set()
        self.unknown: set[str] = set()
        self.problem: Exception | None = None

    async def request(self, method: str, params: Any = None, /) -> object:
        channels = params["channels"]
        self.asked.append((method, len(channels)))
        self.at.append(asyncio.get_running_loop().time())
        if self.problem is not None:
            raise self.problem
        if self.forbidden.intersection(channels):
            raise CallFailed(method, 13778, RAW)
        return [channel for channel in channels if channel not in self.unknown]

    async def send(self, message: object, /) -> None:
        raise NotImplementedError


def adapter(**options: Any) -> DeribitAdapter:
    return DeribitAdapter(None, clock=SystemClock(), **({"batch_delay_s": 0.0} | options))


async def test_many_channels_are_asked_for_ten_by_ten() -> None:
    venue = Venue()
    assert await adapter().subscribe(venue, MANY) == {}
    assert venue.asked == [("public/subscribe", 10)] * 3 + [("public/subscribe", 5)]
    venue.asked.clear()
    await adapter(batch_size=20).subscribe(venue, [*MANY, "user.orders.any.any.raw"])
    assert venue.asked == [("public/subscribe", 20), ("public/subscribe", 15), ("private/subscribe", 1)]


async def test_batches_leave_some_time_apart() -> None:
    venue = Venue()
    await adapter(batch_delay_s=0.02).subscribe(venue, MANY)
    assert len(venue.at) == 4
    assert all(late - early >= 0.02 for early, late in zip(venue.at, venue.at[1:], strict=False))


async def test_the_first_batch_leaves_at_once() -> None:
    async with asyncio.timeout(5):
        assert await adapter(batch_delay_s=3600).subscribe(Venue(), MANY[:10]) == {}


async def test_of_a_batch_that_is_refused_only_the_guilty_are() -> None:
    venue = Venue()
    venue.forbidden, venue.unknown = {MANY[13], MANY[17]}, {MANY[33]}
    refused = await adapter().subscribe(venue, MANY)
    assert refused == {
        MANY[13]: f"{RAW} (13778)", MANY[17]: f"{RAW} (13778)", MANY[33]: MISSING
    }  # fmt: skip


async def test_a_book_that_is_refused_is_kept_no_longer() -> None:
    venue, made = Venue(), adapter()
    books = ["book.A.raw", "book.B.raw"]
    venue.forbidden = {"book.B.raw"}
    await made.subscribe(venue, books)
    assert list(made.books) == ["book.A.raw"]


@pytest.mark.parametrize("number", [10028, 11051])
async def test_not_now_is_no_refusal_of_any_channel(number: int) -> None:
    venue = Venue()
    venue.problem = CallFailed("public/subscribe", number, "later")
    with pytest.raises(LinkError, match=rf"cannot subscribe now: .*later \({number}\)"):
        await adapter().subscribe(venue, MANY[:1])


async def test_what_is_not_known_of_a_batch_is_told() -> None:
    venue = Venue()
    venue.problem = RequestTimeout("public/subscribe", 1.0, maybe_executed=True)
    with pytest.raises(RequestTimeout):
        await adapter().subscribe(venue, MANY)


@pytest.mark.parametrize(
    "wrong",
    [
        {"batch_size": 0}, {"batch_size": 501}, {"batch_size": True}, {"batch_size": 1.5},
        {"batch_delay_s": -1}, {"batch_delay_s": math.nan}, {"batch_delay_s": math.inf},
        {"batch_delay_s": "1"},
    ],
)  # fmt: skip
def test_batches_that_cannot_be_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidSetting) as caught:
        adapter(**wrong)
    assert caught.value.name in wrong


SNAPSHOT = {"type": "snapshot", "change_id": 5, "bids": [["new", Decimal("8.5"), 10]], "asks": []}
CHANGE = {"type": "change", "prev_change_id": 5, "change_id": 6, "bids": [["new", 8, 1]], "asks": []}


def test_a_book_is_made_of_a_snapshot_and_its_changes() -> None:
    book = Book()
    assert apply(book, SNAPSHOT).state is BookState.VALID
    assert apply(book, CHANGE).state is BookState.VALID
    assert book.bids() == ((Decimal("8.5"), Decimal(10)), (Decimal(8), Decimal(1)))


@pytest.mark.parametrize(
    "data",
    [
        None, [], "change", 5, {}, CHANGE | {"type": None}, CHANGE | {"bids": None}, CHANGE | {"bids": [[]]},
        CHANGE | {"bids": [["new", 8]]}, CHANGE | {"bids": [["new", 8, 1, 1]]}, CHANGE | {"bids": {"a": 1}},
        CHANGE | {"asks": [["new", None, 1]]}, CHANGE | {"asks": [["new", {}, 1]]},
        CHANGE | {"asks": [["new", "NaN", 1]]}, CHANGE | {"asks": [["new", 8, "Infinity"]]},
        CHANGE | {"asks": [["new", "eight", 1]]}, CHANGE | {"change_id": Decimal("1e999999999")},
        CHANGE | {"prev_change_id": Decimal("Infinity")}, CHANGE | {"change_id": "6"},
        CHANGE | {"change_id": True},
        CHANGE | {"change_id": 6.0}, CHANGE | {"prev_change_id": None},
    ],
    ids=lambda data: f"{data!r:.0}",
)  # fmt: skip
def test_a_change_that_cannot_be_read_breaks_the_book_and_raises_nothing(data: Any) -> None:
    book = Book()
    apply(book, SNAPSHOT)
    applied = apply(book, data)
    assert applied.state is BookState.BROKEN
    assert applied.reason.startswith("a message cannot be read: ")
    assert len(applied.reason) < 200
    assert book.bids() == ()


@pytest.mark.parametrize(
    "message",
    [
        None, True, 5, "text", b"bytes", [], [[]], {}, {"method": None}, {"method": 5},
        {"method": "subscription"}, {"method": "subscription", "params": {"channel": []}},
        {"method": "subscription", "params": None}, {"method": "subscription", "params": []},
        {"method": "subscription", "params": {"channel": None}},
        {"method": "heartbeat"}, {"method": "heartbeat", "params": None},
        {"method": "heartbeat", "params": []}, {"method": "heartbeat", "params": {"type": []}},
        {"result": None}, {"result": []}, {"error": None},
        {"method": "subscription", "params": {"channel": "book.A.raw"}},
        {"method": "subscription", "params": {"channel": "book.A.raw", "data": None}},
    ],
    ids=lambda message: f"{message!r:.0}",
)  # fmt: skip
async def test_nothing_that_comes_raises(message: object) -> None:
    made = adapter()
    await made.subscribe(Venue(), ["book.A.raw"])
    made.inspect(message)
