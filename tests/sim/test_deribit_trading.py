"""Trading at a simulated Deribit, seen by an independent WebSocket client."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from feedmux.sim.deribit_options import DEMO
from support.deribit_client import (
    EVERYTHING,
    OTHER,
    PERPETUAL,
    STILL,
    Client,
    Message,
    client,
    running,
    until,
)

LIMIT = {"instrument_name": PERPETUAL, "amount": 100, "type": "limit"}
MARKET = {"instrument_name": PERPETUAL, "amount": 100, "type": "market"}


def captured(name: str) -> Message:
    """A real answer; the test is skipped where there is none."""
    folder = os.environ.get("FEEDMUX_CAPTURES")
    if not folder:
        pytest.skip("FEEDMUX_CAPTURES is not set: no real frames to compare with")
    message: Message = json.loads((Path(folder) / "deribit" / "nautilus" / name).read_text())
    return message


async def listening(peer: Client, *channels: str) -> None:
    await peer.result("private/subscribe", channels=list(channels))


# -- orders ------------------------------------------------------------------------------------


async def test_a_market_order_is_filled_and_its_owner_told() -> None:
    channels = [f"user.{kind}.{PERPETUAL}.raw" for kind in ("orders", "trades", "changes")]
    async with running() as sim, client(sim, DEMO) as peer:
        await listening(peer, *channels, "user.portfolio.btc")
        before = await peer.data("user.portfolio.btc")
        _, ask = await peer.best()
        done = await peer.result("private/buy", **MARKET, label="mine")
        order, (trade,) = done["order"], done["trades"]
        assert (order["order_state"], order["filled_amount"], order["average_price"]) == ("filled", 100, ask)
        assert (order["label"], order["order_type"], order["price"]) == ("mine", "market", "market_price")
        assert (trade["order_id"], trade["price"], trade["amount"]) == (order["order_id"], ask, 100)
        assert (trade["liquidity"], trade["label"], trade["fee_currency"]) == ("T", "mine", "BTC")
        assert trade["fee"] > 0
        assert await peer.data(channels[0]) == order
        assert await peer.data(channels[1]) == [trade]
        changes = await peer.data(channels[2])
        assert (changes["orders"], changes["trades"]) == ([order], [trade])
        (position,) = await peer.result("private/get_positions", currency="BTC", kind="future")
        assert changes["positions"] == [position]
        assert (position["size"], position["direction"], position["average_price"]) == (100, "buy", ask)
        assert (await peer.data("user.portfolio.btc"))["balance"] < before["balance"]


async def test_a_limit_order_waits_is_edited_and_filled_when_the_market_comes() -> None:
    async with running() as sim, client(sim, DEMO) as peer:
        await listening(peer, "user.orders.future.BTC.raw", "user.trades.any.any.raw")
        bid, ask = await peer.best()
        placed = await peer.result("private/sell", **LIMIT, price=ask + 20)
        ident = placed["order"]["order_id"]
        assert (placed["order"]["order_state"], placed["trades"]) == ("open", [])
        assert (await peer.data("user.orders.future.BTC.raw"))["order_state"] == "open"
        edited = await peer.result("private/edit", order_id=ident, amount=200, price=ask + 10)
        assert (edited["order"]["amount"], edited["order"]["price"], edited["order"]["replaced"]) == (
            200,
            ask + 10,
            True,
        )
        assert await peer.data("user.orders.future.BTC.raw") == edited["order"]
        assert await peer.result("private/get_open_orders") == [edited["order"]]
        sim.move(PERPETUAL, ask + 50)
        told = await peer.data("user.orders.future.BTC.raw")
        assert (told["order_id"], told["order_state"], told["filled_amount"]) == (ident, "filled", 200)
        (trade,) = await peer.data("user.trades.any.any.raw")
        assert (trade["liquidity"], trade["price"], trade["direction"]) == ("M", ask + 10, "sell")
        assert await peer.result("private/get_order_state", order_id=ident) == told
        assert (await peer.result("private/get_position", instrument_name=PERPETUAL))["size"] == -200
        assert bid < ask


async def test_aggregated_channels_tell_lists() -> None:
    names = [f"user.{kind}.{PERPETUAL}.100ms" for kind in ("orders", "trades")]
    async with running() as sim, client(sim, DEMO) as peer:
        await listening(peer, *names)
        orders = [await peer.result("private/buy", **MARKET) for _ in range(3)]
        told: list[Any] = []
        while len(told) < 3:
            told += await peer.data(names[0])
        assert [order["order_id"] for order in told] == [done["order"]["order_id"] for done in orders]
        assert isinstance(await peer.data(names[1]), list)


async def test_a_cancelled_order_is_told_and_gone() -> None:
    async with running() as sim, client(sim, DEMO) as peer:
        await listening(peer, f"user.orders.{PERPETUAL}.raw")
        bid, _ = await peer.best()
        ident = (await peer.result("private/buy", **LIMIT, price=bid - 10))["order"]["order_id"]
        cancelled = await peer.result("private/cancel", order_id=ident)
        assert (cancelled["order_state"], cancelled["cancel_reason"]) == ("cancelled", "user_request")
        await peer.data(f"user.orders.{PERPETUAL}.raw")
        assert await peer.data(f"user.orders.{PERPETUAL}.raw") == cancelled
        assert await peer.result("private/get_open_orders") == []
        assert (await peer.error("private/cancel", order_id=ident))["message"] == "not_open_order"


@pytest.mark.parametrize(
    ("method", "params", "gone"),
    [
        ("private/cancel_all", {}, {"a", "b", "c"}),
        ("private/cancel_all_by_instrument", {"instrument_name": "ETH-PERPETUAL"}, {"c"}),
        ("private/cancel_all_by_currency", {"currency": "BTC"}, {"a", "b"}),
        ("private/cancel_by_label", {"label": "b"}, {"b"}),
    ],
)
async def test_many_orders_are_cancelled_and_counted(
    method: str, params: dict[str, Any], gone: set[str]
) -> None:
    async with running(EVERYTHING) as sim, client(sim, DEMO) as peer:
        for label, name, price in (
            ("a", PERPETUAL, 80_000),
            ("b", PERPETUAL, 81_000),
            ("c", "ETH-PERPETUAL", 2600),
        ):
            await peer.result("private/buy", instrument_name=name, amount=100, price=price, label=label)
        assert await peer.result(method, **params) == len(gone)
        left = await peer.result("private/get_open_orders")
        assert {order["label"] for order in left} == {"a", "b", "c"} - gone


async def test_open_orders_can_be_asked_for_in_parts() -> None:
    async with running(EVERYTHING) as sim, client(sim, DEMO) as peer:
        await peer.result("private/buy", **LIMIT, price=80_000)
        await peer.result("private/buy", instrument_name="BTC-28DEC29-80000-C", amount=1, price=0.3)
        for params, count in (
            ({"kind": "future"}, 1),
            ({"kind": "option"}, 1),
            ({"kind": "any", "type": "limit"}, 2),
            ({"type": "stop_limit"}, 0),
        ):
            assert len(await peer.result("private/get_open_orders", **params)) == count
        method = "private/get_open_orders_by_instrument"
        assert len(await peer.result(method, instrument_name=PERPETUAL)) == 1


async def test_contracts_may_be_named_instead_of_an_amount() -> None:
    async with running() as sim, client(sim, DEMO) as peer:
        order = {"instrument_name": PERPETUAL, "price": 80_000}
        done = await peer.result("private/buy", **order, contracts=7)
        assert (done["order"]["amount"], done["order"]["contracts"]) == (70, 7)
        assert "order" in await peer.result("private/buy", **order, contracts=7, amount=70)


LINEAR = "BTC_USDC-PERPETUAL"
AT_ONCE = {"time_in_force": "immediate_or_cancel"}
WRONG: list[tuple[str, dict[str, Any], int, object]] = [
    ("private/buy", {"instrument_name": "NOPE-PERPETUAL", "amount": 10}, 10020, None),
    ("private/buy", {"instrument_name": PERPETUAL}, -32602, "amount"),
    ("private/buy", {"instrument_name": PERPETUAL, "amount": 10}, -32602, "price"),
    ("private/buy", MARKET | {"amount": 15}, -32602, "amount"),
    ("private/buy", MARKET | {"amount": "10"}, -32602, "amount"),
    ("private/buy", MARKET | {"amount": -10}, -32602, "amount"),
    ("private/buy", MARKET | {"amount": 1e300}, -32602, "amount"),
    ("private/buy", LIMIT | {"price": 83_000.3}, -32602, "price"),
    ("private/buy", LIMIT | {"price": 200_000}, 10007, None),
    ("private/sell", LIMIT | {"price": 20_000}, 10005, None),
    ("private/buy", LIMIT | {"price": 80_000, "contracts": 7}, 11029, "contracts"),
    ("private/buy", MARKET | {"post_only": True}, 11029, "post_only"),
    ("private/buy", LIMIT | {"price": 80_000, "post_only": True} | AT_ONCE, 11029, "post_only"),
    ("private/buy", LIMIT | {"price": 84_000, "post_only": True, "reject_post_only": True}, 11054, None),
    ("private/buy", MARKET | {"type": "stop_market"}, -32602, "type"),
    ("private/buy", MARKET | {"type": "nope"}, -32602, "type"),
    ("private/buy", MARKET | {"time_in_force": "nope"}, -32602, "time_in_force"),
    ("private/buy", MARKET | {"label": "x" * 65}, -32602, "label"),
    ("private/buy", MARKET | {"reduce_only": True}, 11030, None),
    ("private/buy", MARKET | {"amount": 1_000_000_000}, 10009, None),
    ("private/sell", {"instrument_name": LINEAR, "amount": 100_000, "type": "market"}, 10009, None),
    ("private/edit", {"order_id": "nope", "amount": 10, "price": 80_000}, 10004, None),
    ("private/edit", {}, -32602, "order_id"),
    ("private/cancel", {"order_id": "nope"}, 10004, None),
    ("private/get_order_state", {"order_id": "nope"}, 10004, None),
    ("private/get_positions", {"currency": "nope"}, -32602, "currency"),
    ("private/get_open_orders", {"kind": "nope"}, -32602, "kind"),
    ("private/get_account_summary", {}, -32602, "currency"),
    ("private/enable_cancel_on_disconnect", {"scope": "nope"}, -32602, "scope"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "params", "code", "param"), WRONG)
async def test_what_is_wrong_is_refused(
    method: str, params: dict[str, Any], code: int, param: object
) -> None:
    async with running(EVERYTHING) as sim, client(sim, DEMO) as peer:
        error = await peer.error(method, **params)
        assert error["code"] == code
        assert error.get("data", {}).get("param") == param
        assert await peer.result("private/get_open_orders") == []


async def test_an_order_of_somebody_else_is_not_ones_own() -> None:
    async with running() as sim, client(sim, DEMO) as peer, client(sim, OTHER) as other:
        ident = (await peer.result("private/buy", **LIMIT, price=80_000))["order"]["order_id"]
        assert (await other.error("private/cancel", order_id=ident))["message"] == "not_owner_of_order"
        assert len(await peer.result("private/get_open_orders")) == 1


async def test_two_accounts_trade_with_each_other_and_each_is_told_its_side() -> None:
    async with running() as sim, client(sim, DEMO) as peer, client(sim, OTHER) as other:
        for one in (peer, other):
            await listening(one, f"user.trades.{PERPETUAL}.raw")
        await peer.result("private/buy", **MARKET | {"amount": 10})
        await peer.data(f"user.trades.{PERPETUAL}.raw")
        bid, ask = await peer.best()
        tick = 0.5
        while bid + tick < ask:
            bid += tick
        made = await peer.result("private/sell", **LIMIT, price=ask)
        there = (await peer.result("public/get_order_book", instrument_name=PERPETUAL, depth=1))["asks"][0][1]
        await other.result("private/buy", **LIMIT | {"amount": there}, price=ask)
        (mine,) = await peer.data(f"user.trades.{PERPETUAL}.raw")
        theirs = (await other.data(f"user.trades.{PERPETUAL}.raw"))[-1]
        assert (mine["order_id"], mine["liquidity"], mine["direction"]) == (
            made["order"]["order_id"],
            "M",
            "sell",
        )
        assert (theirs["liquidity"], theirs["direction"], theirs["trade_id"]) == (
            "T",
            "buy",
            mine["trade_id"],
        )


async def test_an_account_summary_counts_profits_and_fees() -> None:
    async with running() as sim, client(sim, DEMO) as peer:
        before = await peer.result("private/get_account_summary", currency="BTC", extended=True)
        assert (before["balance"], before["equity"], before["username"]) == (10, 10, DEMO.client_id)
        await peer.result("private/buy", **MARKET | {"amount": 10_000})
        sim.move(PERPETUAL, 84_000)
        during = await peer.result("private/get_account_summary", currency="BTC")
        assert during["equity"] > 10
        assert during["available_funds"] < during["equity"]
        await peer.result("private/sell", **MARKET | {"amount": 10_000})
        after = await peer.result("private/get_account_summary", currency="BTC")
        assert after["balance"] == after["equity"] > 10
        assert after["initial_margin"] == 0


async def test_private_news_stop_with_the_token_and_go_on_with_the_next() -> None:
    name = f"user.orders.{PERPETUAL}.raw"
    async with running() as sim, client(sim, DEMO) as peer, client(sim, DEMO) as trader:
        await listening(peer, name)
        sim.expire_tokens()
        await trader.log_in()
        await trader.result("private/buy", **LIMIT, price=80_000)
        await peer.result("public/test")
        assert peer.kept(name) == []
        await peer.log_in()
        placed = await trader.result("private/buy", **LIMIT, price=80_000)
        assert (await peer.data(name))["order_id"] == placed["order"]["order_id"]


# -- cancel on disconnect ----------------------------------------------------------------------


async def orders_of(peer: Client) -> set[str]:
    return {order["label"] for order in await peer.result("private/get_open_orders")}


async def test_it_is_off_until_it_is_enabled_for_the_connection_or_the_account() -> None:
    method = "private/get_cancel_on_disconnect"
    async with running() as sim:
        async with client(sim, DEMO) as peer:
            assert await peer.result(method) == {"scope": "connection", "enabled": False}
            assert await peer.result("private/enable_cancel_on_disconnect") == "ok"
            assert await peer.result(method) == {"scope": "connection", "enabled": True}
            assert await peer.result(method, scope="account") == {"scope": "account", "enabled": False}
            assert await peer.result("private/disable_cancel_on_disconnect") == "ok"
            assert await peer.result("private/enable_cancel_on_disconnect", scope="account") == "ok"
            assert await peer.result(method) == {"scope": "connection", "enabled": False}
        async with client(sim, DEMO) as later:
            assert await later.result(method) == {"scope": "connection", "enabled": True}


@pytest.mark.parametrize("how", ["close", "abort", "heartbeat", "limit"])
async def test_orders_of_a_lost_connection_are_cancelled_and_others_are_not(how: str) -> None:
    options = msgspec.structs.replace(STILL, heartbeat_min_s=0.02, heartbeat_grace_s=0.05)
    async with running(options) as sim, client(sim, DEMO) as watcher, client(sim, OTHER) as other:
        await watcher.result("private/buy", **LIMIT, price=80_000, label="watcher")
        await other.result("private/buy", **LIMIT, price=80_000, label="other")
        await listening(watcher, f"user.orders.{PERPETUAL}.raw")
        async with client(sim, DEMO) as peer:
            await peer.result("private/enable_cancel_on_disconnect", scope="connection")
            await peer.result("private/buy", **LIMIT, price=80_000, label="lost")
            assert await orders_of(watcher) == {"watcher", "lost"}
            if how == "abort":
                peer.socket.transport.abort()
            elif how == "heartbeat":
                await peer.result("public/set_heartbeat", interval=0.02)
                assert await peer.closed() == (4000, "heartbeat close")
            elif how == "limit":
                sim.limit()
                await peer.error("public/test")
                assert await peer.closed() == (1008, "too_many_requests")
        await until(lambda: len(sim.floor.members) == 2)
        told = [await watcher.data(f"user.orders.{PERPETUAL}.raw") for _ in range(2)][-1]
        assert (told["label"], told["order_state"]) == ("lost", "cancelled")
        assert told["cancel_reason"] == "cancel_on_disconnect"
        assert await orders_of(watcher) == {"watcher"}
        assert await orders_of(other) == {"other"}


@pytest.mark.parametrize("method", [None, "private/logout"])
async def test_orders_stay_when_it_is_off_or_somebody_logs_out(method: str | None) -> None:
    async with running() as sim, client(sim, DEMO) as watcher:
        async with client(sim, DEMO) as peer:
            if method is not None:
                await peer.result("private/enable_cancel_on_disconnect")
            await peer.result("private/buy", **LIMIT, price=80_000, label="kept")
            if method is not None:
                await peer.send(method)
                assert await peer.closed() == (1000, "")
        await until(lambda: len(sim.floor.members) == 1)
        assert await orders_of(watcher) == {"kept"}


# -- captures ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("capture", "method", "params"),
    [
        ("ws_order_buy_response.json", "private/buy", LIMIT | {"price": 80_000, "post_only": True}),
        ("ws_order_sell_response.json", "private/sell", LIMIT | {"price": 90_000, "post_only": True}),
    ],
)
async def test_answers_to_orders_have_the_fields_of_captured_ones(
    capture: str, method: str, params: dict[str, Any]
) -> None:
    real = captured(capture)
    async with running() as sim, client(sim, DEMO) as peer:
        own = await peer.call(method, **params)
        edited = await peer.call("private/edit", order_id=own["result"]["order"]["order_id"], amount=200)
        cancelled = await peer.call("private/cancel", order_id=own["result"]["order"]["order_id"])
    assert list(own) == list(real)
    for answer, example in (
        (own["result"]["order"], real["result"]["order"]),
        (edited["result"]["order"], captured("ws_order_edit_response.json")["result"]["order"]),
        (cancelled["result"], captured("ws_order_cancel_response.json")["result"]),
    ):
        assert {k: type(v) for k, v in answer.items()} == {k: type(v) for k, v in example.items()}


async def test_many_requests_at_once_are_all_answered() -> None:
    async with running() as sim, client(sim, DEMO) as peer:
        idents = [await peer.send("private/buy", **LIMIT, price=80_000 - n) for n in range(50)]
        async with asyncio.timeout(5):
            answers = [await peer.answer(ident) for ident in idents]
        assert len({answer["result"]["order"]["order_id"] for answer in answers}) == 50
        assert await peer.result("private/cancel_all") == 50
