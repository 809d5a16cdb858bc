"""The Deribit client beside the simulated Deribit, which shares no code with it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from feedmux.client.deribit import Credentials, Deribit, OrderRequest, from_environment
from feedmux.client.deribit_adapter import MISSING, BookInvalid, BookValid
from feedmux.client.events import Interrupted, Restored
from feedmux.client.limiter import Limiter
from feedmux.client.link import LinkState
from feedmux.client.settings import LinkConfig
from feedmux.client.telemetry import TelemetryEvent
from feedmux.core.allowance import deribit as allowance
from feedmux.core.book import BookState
from feedmux.core.budget import single
from feedmux.model.errors import AuthenticationFailed, CallFailed, InvalidSetting
from feedmux.sim.deribit import DeribitSim
from feedmux.sim.deribit_options import DEMO, INSTRUMENTS, DeribitOptions
from feedmux.venue.deribit_requests import OrderType, TimeInForce
from support.loops import on_both_loops
from support.peers import QUICK
from support.waiting import until

KEY = Credentials(DEMO.client_id, DEMO.secret)
PERPETUAL = "BTC-PERPETUAL"
KINDS = ("ticker.{}.100ms", "trades.{}.100ms", "quote.{}", "chart.trades.{}.1", "book.{}.none.10.100ms")
CHANNELS = [kind.format(name) for name in INSTRUMENTS for kind in (*KINDS, "incremental_ticker.{}")]
"""36, six for each instrument."""
STILL = DeribitOptions(rate=0, credits=None)
LIVELY = DeribitOptions(rate=100, credits=None)


@asynccontextmanager
async def venue(options: DeribitOptions = STILL) -> AsyncIterator[DeribitSim]:
    sim = DeribitSim(options)
    await sim.start()
    try:
        yield sim
    finally:
        await sim.stop()


def client(sim: DeribitSim, credentials: Credentials | None = KEY, **changes: Any) -> Deribit:
    config = msgspec.structs.replace(QUICK, **({"request_timeout_s": 2.0} | changes.pop("config", {})))
    return Deribit(sim.url(), credentials=credentials, config=config, **changes)


async def soon(deribit: Deribit, wanted: Callable[[object], bool]) -> object:
    """The next message or notice that is wanted."""
    async with asyncio.timeout(5):
        async for message in deribit:
            if wanted(message):
                return message
    raise AssertionError("the link was closed")


def of(channel: str) -> Callable[[object], bool]:
    return lambda message: isinstance(message, dict) and message.get("params", {}).get("channel") == channel


def is_a(kind: type) -> Callable[[object], bool]:
    return lambda message: isinstance(message, kind)


# Market data


@on_both_loops
async def test_anonymous_market_data_has_types_and_exact_numbers() -> None:
    async with venue() as sim, client(sim, None) as deribit:
        instruments = {each.instrument_name: each for each in await deribit.instruments()}
        assert {PERPETUAL, "BTC-28DEC29-80000-C"} <= set(instruments)
        assert instruments["BTC-28DEC29-80000-C"].option_type == "call"
        assert isinstance(instruments[PERPETUAL].tick_size, Decimal)
        book = await deribit.order_book(PERPETUAL, 5)
        ticker = await deribit.ticker(PERPETUAL)
        assert len(book.bids) == len(book.asks) == 5
        assert book.bids[0][0] == ticker.best_bid_price
        assert book.bids[0][0] > book.bids[1][0]
        assert await deribit.trades(PERPETUAL) is not None
        with pytest.raises(CallFailed):
            await deribit.ticker("NOTHING")


@on_both_loops
async def test_channels_that_deribit_leaves_out_are_refused() -> None:
    async with venue(LIVELY) as sim, client(sim) as deribit:
        good = [f"ticker.{PERPETUAL}.100ms", f"trades.{PERPETUAL}.100ms", "user.orders.any.any.raw"]
        outcome = await deribit.subscribe([*good, "ticker.NOTHING.100ms"])
        assert sorted(outcome.confirmed) == sorted(good)
        assert outcome.refused == {"ticker.NOTHING.100ms": MISSING}
        message = await soon(deribit, of(good[0]))
        assert isinstance(message["params"]["data"]["stats"]["volume"], Decimal | int | None)  # type: ignore[index]
        await deribit.unsubscribe(good)
        await until(lambda: deribit.statistics()["held"] == 0)


async def test_a_raw_channel_needs_a_key_and_the_others_of_its_batch_do_not() -> None:
    async with venue() as sim, client(sim, None) as deribit:
        outcome = await deribit.subscribe([f"ticker.{PERPETUAL}.raw", f"ticker.{PERPETUAL}.100ms"])
        assert outcome.confirmed == (f"ticker.{PERPETUAL}.100ms",)
        assert "raw_subscriptions_not_available" in outcome.refused[f"ticker.{PERPETUAL}.raw"]


@on_both_loops
async def test_many_channels_are_subscribed_to_and_restored_in_batches() -> None:
    many, limiter = CHANNELS[:34], Limiter(single(1000, 1000))
    async with venue() as sim, client(sim, None, limiter=limiter, batch_delay_s=0.01) as deribit:
        outcome = await deribit.subscribe([*many[:17], f"ticker.{PERPETUAL}.raw", *many[17:]])
        assert sorted(outcome.confirmed) == sorted(many)
        assert list(outcome.refused) == [f"ticker.{PERPETUAL}.raw"]
        asked = sim.floor.requests["public/subscribe"]
        sim.cut()
        restored = await soon(deribit, is_a(Restored))
        assert isinstance(restored, Restored)
        assert (sorted(restored.channels), restored.refused) == (sorted(many), {})
        assert sim.floor.requests["public/subscribe"] == asked + 4


async def test_a_batch_without_an_answer_loses_none_of_the_others() -> None:
    many, quick = CHANNELS[:35], {"request_timeout_s": 0.2}
    async with venue() as sim, client(sim, None, batch_delay_s=0.0, config=quick) as deribit:
        sim.drop_answer("public/subscribe")
        outcome = await deribit.subscribe(many)
        assert sorted(outcome.pending) == sorted(many)
        restored = await soon(deribit, is_a(Restored))
        assert isinstance(restored, Restored)
        assert sorted(restored.channels) == sorted(many)


@on_both_loops
async def test_a_book_is_kept_and_says_when_it_is_not_valid() -> None:
    async with venue(LIVELY) as sim, client(sim) as deribit:
        channel = f"book.{PERPETUAL}.raw"
        await deribit.subscribe(channel)
        await soon(deribit, of(channel))
        book = deribit.book(channel)
        assert book.state is BookState.VALID
        assert book.bids()[0][0] < book.asks()[0][0]
        sim.skip(channel)
        invalid = await soon(deribit, is_a(BookInvalid))
        assert "follows" in invalid.reason  # type: ignore[attr-defined]
        assert book.bids() == ()
        assert await soon(deribit, is_a(BookValid)) == BookValid(channel)
        assert deribit.book(channel).bids()
        assert deribit.link.state is LinkState.LIVE


async def test_a_book_that_is_not_subscribed_to_is_none() -> None:
    async with venue() as sim, client(sim) as deribit:
        with pytest.raises(InvalidSetting, match="subscribed to"):
            deribit.book(f"book.{PERPETUAL}.raw")


# Orders


@on_both_loops
async def test_orders_are_placed_edited_found_and_cancelled() -> None:
    async with venue() as sim, client(sim) as deribit:
        order = OrderRequest(
            instrument_name=PERPETUAL, amount=Decimal(10), price=Decimal("1000.5"), label="mine",
            time_in_force=TimeInForce.GOOD_TIL_CANCELLED, post_only=True,
        )  # fmt: skip
        placed = await deribit.buy(order)
        assert (placed.order.order_state, placed.order.price, placed.trades) == (
            "open",
            Decimal("1000.5"),
            (),
        )
        edited = await deribit.edit(placed.order.order_id, amount=Decimal(20), price=Decimal(1001))
        assert (edited.order.amount, edited.order.price) == (Decimal(20), Decimal(1001))
        assert [each.order_id for each in await deribit.open_orders()] == [placed.order.order_id]
        assert (await deribit.cancel(placed.order.order_id)).order_state == "cancelled"
        await deribit.buy(order)
        assert await deribit.cancel_all() == 1
        with pytest.raises(CallFailed) as caught:
            await deribit.cancel("nothing")
        assert caught.value.number


@on_both_loops
async def test_a_fill_moves_the_position() -> None:
    async with venue() as sim, client(sim) as deribit:
        order = OrderRequest(instrument_name=PERPETUAL, amount=Decimal(30), type=OrderType.MARKET)
        placed = await deribit.buy(order)
        assert placed.order.order_state == "filled"
        assert sum(trade.amount for trade in placed.trades) == 30
        (position,) = [each for each in await deribit.positions() if each.size]
        assert (position.instrument_name, position.size) == (PERPETUAL, Decimal(30))


@pytest.mark.parametrize("scope", [None, "connection"])
async def test_open_orders_go_with_the_connection_if_that_is_wanted(scope: str | None) -> None:
    async with venue() as sim:
        order = OrderRequest(instrument_name=PERPETUAL, amount=Decimal(10), price=Decimal(1000))
        async with client(sim, cancel_on_disconnect=scope) as deribit:
            await deribit.buy(order)
            sim.cut()
            await soon(deribit, is_a(Restored))
            assert len(await deribit.open_orders()) == (0 if scope else 1)


# Who we are


@pytest.mark.parametrize("signs", [True, False])
async def test_both_ways_to_prove_a_key_work(signs: bool) -> None:
    async with venue() as sim, client(sim, msgspec.structs.replace(KEY, signs=signs)) as deribit:
        assert await deribit.open_orders() == []


async def test_a_wrong_key_ends_the_link_and_says_so() -> None:
    async with venue() as sim:
        with pytest.raises(AuthenticationFailed, match=r"Deribit does not accept the credentials: .*13004"):
            await client(sim, Credentials("simulated", "wrong-secret")).link


async def test_tokens_are_renewed_before_they_expire() -> None:
    options = msgspec.structs.replace(STILL, expires_in_s=2.0)
    async with venue(options) as sim, client(sim) as deribit:
        await until(lambda: sim.floor.requests["public/auth"] >= 3, "two renewals")
        assert await deribit.open_orders() == []
        assert deribit.statistics()["connection"]["opens"] == 1  # type: ignore[index]


async def test_after_a_reset_private_channels_are_there_again() -> None:
    async with venue() as sim, client(sim) as deribit:
        channels = ["user.orders.any.any.raw", f"ticker.{PERPETUAL}.raw"]
        await deribit.subscribe(channels)
        sim.cut()
        assert isinstance(await soon(deribit, is_a(Interrupted)), Interrupted)
        restored = await soon(deribit, is_a(Restored))
        assert isinstance(restored, Restored)
        assert (sorted(restored.channels), restored.refused) == (sorted(channels), {})
        order = OrderRequest(instrument_name=PERPETUAL, amount=Decimal(10), price=Decimal(1000))
        await deribit.buy(order)
        assert await soon(deribit, of(channels[0]))


async def test_heartbeats_are_answered() -> None:
    options = msgspec.structs.replace(STILL, heartbeat_speed=200.0, heartbeat_grace_s=0.3)
    async with venue(options) as sim, client(sim, heartbeat_s=10) as deribit:
        await until(lambda: sim.floor.requests["public/test"] >= 5, "several heartbeats")
        assert deribit.link.state is LinkState.LIVE
        assert deribit.statistics()["connection"]["opens"] == 1  # type: ignore[index]


# Limits


async def test_two_connections_that_share_a_budget_are_never_told_that_it_was_too_much() -> None:
    limiter = Limiter(allowance())
    async with (
        venue(DeribitOptions(rate=0)) as sim,
        client(sim, limiter=limiter) as one,
        client(sim, limiter=limiter) as two,
    ):
        asked = [each.ticker(PERPETUAL) for each in (one, two) for _ in range(53)]
        assert len(await asyncio.gather(*asked)) == 106
        assert limiter.utilisation()["other"] > 0.5


async def test_what_a_request_costs_is_told_where_the_link_tells() -> None:
    async with venue() as sim, client(sim) as deribit:
        told: list[TelemetryEvent] = []
        deribit.link.telemetry.attach(told.append)
        await deribit.ticker(PERPETUAL)
        (taken,) = (event for event in told if event.name[1] == "rate_limiter")
        assert (taken.metadata, taken.measures["cost"]) == ({"name": "deribit.other"}, 500.0)


async def test_10028_is_obeyed() -> None:
    async with venue() as sim, client(sim) as deribit:
        sim.limit("public/ticker")
        with pytest.raises(CallFailed, match="too_many_requests"):
            await deribit.link.request("public/ticker", {"instrument_name": PERPETUAL})
        assert deribit.limiter.statistics()["penalties"] == 1


# What cannot be


def test_a_key_is_read_from_the_environment() -> None:
    found = from_environment({"DERIBIT_CLIENT_ID": "me", "DERIBIT_CLIENT_SECRET": "hush"})
    assert found == Credentials("me", "hush")
    assert "hush" not in repr(found)
    with pytest.raises(InvalidSetting, match="DERIBIT_CLIENT_SECRET"):
        from_environment({"DERIBIT_CLIENT_ID": "me"})


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("heartbeat_s", [9, 30.5, "30", True, None, math.inf]),
        ("cancel_on_disconnect", ["sometimes", "", True, 5, ["account"]]),
        ("credentials", [5, "s3cret", ("me", "s3cret"), {"client_secret": "s3cret"}, Credentials]),
    ],
)
def test_what_deribit_would_refuse_is_refused_here(name: str, values: list[Any]) -> None:
    for value in values:
        with pytest.raises(InvalidSetting) as caught:
            Deribit(**{name: value})
        assert caught.value.name == name
        assert "s3cret" not in f"{caught.value!s} {caught.value!r}"


async def test_what_cannot_be_asked_is_refused_before_it_is_sent() -> None:
    async with venue() as sim, client(sim) as deribit:
        asked = deribit.limiter.statistics()["taken"]
        wrong: list[tuple[str, Callable[[], Awaitable[object]]]] = [
            ("instrument_name", lambda: deribit.ticker("")),
            ("instrument_name", lambda: deribit.order_book(5)),  # type: ignore[arg-type]
            ("depth", lambda: deribit.order_book(PERPETUAL, 0)),
            ("depth", lambda: deribit.order_book(PERPETUAL, True)),
            ("count", lambda: deribit.trades(PERPETUAL, 1.5)),  # type: ignore[arg-type]
            ("currency", lambda: deribit.instruments(None)),  # type: ignore[arg-type]
            ("kind", lambda: deribit.instruments("BTC", 5)),  # type: ignore[arg-type]
            ("currency", lambda: deribit.positions("")),
            ("order", lambda: deribit.buy({"amount": 10})),  # type: ignore[arg-type]
            ("order", lambda: deribit.sell(None)),  # type: ignore[arg-type]
            ("order_id", lambda: deribit.cancel("")),
            ("order_id", lambda: deribit.edit(7, amount=Decimal(1))),  # type: ignore[arg-type]
            ("amount", lambda: deribit.edit("7", amount=Decimal("NaN"))),
            ("price", lambda: deribit.edit("7", amount=Decimal(1), price="1")),  # type: ignore[arg-type]
        ]
        for name, ask in wrong:
            with pytest.raises(InvalidSetting) as caught:
                await ask()
            assert caught.value.name == name
        assert deribit.limiter.statistics()["taken"] == asked


def test_secrets_cross_no_network_in_the_open() -> None:
    with pytest.raises(InvalidSetting, match="wss://"):
        Deribit("ws://192.0.2.1/", credentials=KEY, config=LinkConfig())
