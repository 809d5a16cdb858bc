from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from feedmux.app.table import Facts, PriceTable, facts_of, interval, label_of_arg, label_of_stream

TICKER = "mudrex.futures.ticker.BTCUSDT"
RED, GREEN = "\x1b[31m", "\x1b[32m"


class FrozenClock:
    """A clock that moves when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def time_ns(self) -> int:
        return int(self.now * 1e9)


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
def table(clock: FrozenClock) -> PriceTable:
    return PriceTable("ws://127.0.0.1:8000/ws", clock)


def ticker(price: str, change: str = "-1.44", kind: str = "update") -> dict[str, Any]:
    data = {"symbol": "BTCUSDT", "price": price, "change24hPercent": change}
    sides = {"bid": {"price": "61234.40", "size": "1.5"}, "ask": {"price": "61234.60", "size": "0.5"}}
    return {"stream": TICKER, "type": kind, "data": data | sides}


def status(state: str, reason: str = "") -> dict[str, Any]:
    return {"stream": TICKER, "type": "status", "data": {"state": state, "reason": reason}}


def drawn(table: PriceTable, width: int = 120, *, colours: bool = False) -> list[str]:
    console = Console(
        file=io.StringIO(), record=True, width=width, force_terminal=colours, color_system="standard"
    )
    console.print(table)
    return console.export_text(styles=colours).splitlines()


def row(table: PriceTable, label: str, width: int = 120, *, colours: bool = False) -> str:
    return next(line for line in drawn(table, width, colours=colours) if label in line)


def test_a_ticker_shows_price_change_bid_ask_age_and_state(table: PriceTable, clock: FrozenClock) -> None:
    table.update(ticker("61234.50"))
    clock.now += 1.5
    cells = row(table, "ticker BTCUSDT", 80).split()
    assert cells == ["ticker", "BTCUSDT", "61234.50", "-1.44%", "61234.40", "61234.60", "1.5s", "live"]


def test_a_wide_terminal_shows_sizes_and_counts_too(table: PriceTable) -> None:
    table.update(ticker("61234.50"))
    assert "61234.40 × 1.5" in row(table, "ticker BTCUSDT", 120)
    assert row(table, "ticker BTCUSDT", 120).split()[-3:] == ["1", "0.0s", "live"]


@pytest.mark.parametrize("width", [60, 80, 106, 120, 200])
def test_no_line_is_wider_than_the_terminal(width: int, table: PriceTable) -> None:
    table.update(ticker("61234.50"))
    table.update({**ticker("0.0000123456"), "stream": "mudrex.spot.ticker.1000000BABYDOGEUSDT"})
    table.update(status("reconnecting", "the venue closed the connection"))
    assert max(map(len, drawn(table, width))) <= width


@pytest.mark.parametrize(
    ("before", "after", "colour"), [("5", "6.0", GREEN), ("10", "9.5", RED), ("9", "9.00", None)]
)
def test_the_price_is_coloured_by_where_it_went(
    before: str, after: str, colour: str | None, table: PriceTable
) -> None:
    table.update(ticker(before, change="0"))
    table.update(ticker(after, change="0"))
    line = row(table, "ticker BTCUSDT", colours=True)
    shown = line[: line.index(after)]
    assert (colour is not None and colour.removesuffix("m")[2:] in shown) or (
        colour is None and "31" not in shown and "32" not in shown
    )


def test_a_price_that_repeats_keeps_its_colour(table: PriceTable) -> None:
    for price in ("5", "6", "6"):
        table.update(ticker(price, change="0"))
    line = row(table, "ticker BTCUSDT", colours=True)
    assert "32" in line[: line.index("6")]


def test_what_is_not_known_stays_blank(table: PriceTable) -> None:
    table.update({"stream": TICKER, "type": "update", "data": {"markPrice": "1"}})
    assert row(table, "ticker BTCUSDT", 80).split() == ["ticker", "BTCUSDT", "0.0s", "live"]


@pytest.mark.parametrize(
    ("data", "facts"),
    [
        (
            {"open": "100", "close": "101.5", "low": "99", "high": "102"},
            Facts("101.5", "1.50", "low 99", "high 102"),
        ),
        ({"open": "0", "close": "1"}, Facts("1", "")),
        ({"open": "?", "close": "1"}, Facts("1", "")),
        ([{"price": "1"}, {"price": "2", "quantity": "3", "side": "buy"}], Facts("2", "", "buy 3")),
        ([{"price": "2", "quantity": "3", "side": "sell"}], Facts("2", "", "", "sell 3")),
        ({"price": "1", "bid": None}, Facts("1")),
        ([], None),
        ([{"symbol": "F", "cancelled": {"id": "1", "price": "1"}}], None),
        (None, None),
        ("text", None),
    ],
)
def test_what_a_message_says(data: object, facts: Facts | None) -> None:
    assert facts_of(data) == facts


@pytest.mark.parametrize(
    ("stream", "label"),
    [
        ("mudrex.futures.ticker.BTCUSDT", "ticker BTCUSDT"),
        ("mudrex.futures.kline.60.BTCUSDT", "kline 1h BTCUSDT"),
        ("acme.spot.trade.ETHUSDT", "spot trade ETHUSDT"),
        ("mudrex.deribit.kline.1D.BTC-PERPETUAL", "deribit kline 1d BTC-PERPETUAL"),
        ("mudrex.alpaca.ticker.BRK.B", "alpaca ticker BRK.B"),
        ("mudrex.alpaca.kline.1.BRK.B", "alpaca kline 1m BRK.B"),
        ("mudrex.futures.ticker", "mudrex.futures.ticker"),
        ("odd", "odd"),
    ],
)
def test_streams_are_named_for_people(stream: str, label: str) -> None:
    assert label_of_stream(stream) == label


@pytest.mark.parametrize(
    ("arg", "label"),
    [
        ("ticker:BTCUSDT", "ticker BTCUSDT"),
        ("tickers.BTCUSDT", "ticker BTCUSDT"),
        ("kline:1h:BTCUSDT@bybit.spot", "kline 1h BTCUSDT"),
        ("kline:60:BTCUSDT", "kline 1h BTCUSDT"),
        ("kline:1d:BTC-PERPETUAL@deribit", "kline 1d BTC-PERPETUAL"),
    ],
)
def test_args_are_named_like_their_streams(arg: str, label: str) -> None:
    assert label_of_arg(arg) == label


@pytest.mark.parametrize(
    ("code", "text"), [("1", "1m"), ("60", "1h"), ("720", "12h"), ("D", "1d"), ("M", "1M"), ("4h", "4h")]
)
def test_intervals_are_named_for_people(code: str, text: str) -> None:
    assert interval(code) == text


def test_a_stream_waits_until_its_first_message(table: PriceTable) -> None:
    args = ["ticker:BTCUSDT", "ticker:ETHUSDT"]
    table.update({"op": "subscribe", "success": True, "args": args, "message": "", "rejected": None})
    assert "waiting" in row(table, "ticker BTCUSDT")
    table.update(ticker("1"))
    table.update({"op": "subscribe", "success": True, "args": args, "message": "", "rejected": None})
    assert "live" in row(table, "ticker BTCUSDT")
    assert sum("ticker BTCUSDT" in line for line in drawn(table)) == 1
    assert "waiting" in row(table, "ticker ETHUSDT")


def test_rejected_args_are_shown_with_their_reason_until_they_are_accepted(table: PriceTable) -> None:
    rejected = [{"arg": "ticker:NOPE", "reason": "no such symbol"}]
    table.update({"op": "subscribe", "success": False, "args": [], "rejected": rejected})
    assert row(table, "ticker:NOPE").split() == ["✗", "ticker:NOPE", "no", "such", "symbol"]
    table.update(
        {"op": "subscribe", "success": True, "args": [], "pending": ["ticker:NOPE"], "rejected": None}
    )
    assert not any("ticker:NOPE" in line for line in drawn(table))
    assert "waiting" in row(table, "ticker NOPE")


@pytest.mark.parametrize("state", ["stale", "reconnecting", "refused"])
def test_a_status_changes_the_state_and_keeps_the_price(state: str, table: PriceTable) -> None:
    table.update(ticker("61234.50"))
    table.update(status(state, "because"))
    assert state in row(table, "ticker BTCUSDT ") and "61234.50" in row(table, "ticker BTCUSDT ")
    assert row(table, "because").strip() == "! ticker BTCUSDT: because"


def test_gaps_and_errors_are_shown_below_and_only_the_latest(table: PriceTable) -> None:
    table.update({"op": "error", "code": "INVALID_ARGS", "message": "No streams specified"})
    assert row(table, "INVALID_ARGS").strip() == "! INVALID_ARGS: No streams specified"
    for first in range(9):
        gap = {"from": first, "to": None if first else 1, "reason": "slow"}
        table.update({"stream": TICKER, "type": "gap", "data": gap})
    problems = [line.strip() for line in drawn(table) if "!" in line]
    assert problems == [f"! ticker BTCUSDT: {n} to ? missing (slow)" for n in range(4, 9)]


def test_the_head_shows_connection_rate_and_title(table: PriceTable, clock: FrozenClock) -> None:
    table.note("connected", good=True)
    for _ in range(30):
        table.update(ticker("1"))
    clock.now += 1
    assert drawn(table)[0].split() == ["●", "connected", "10", "msg/s", "ws://127.0.0.1:8000/ws"]
    clock.now += 10
    assert "0 msg/s" in drawn(table)[0]


def test_bad_news_have_a_line_of_their_own(table: PriceTable) -> None:
    assert drawn(table)[1].strip() == "connecting"
    table.note("connection refused; next attempt in 2.0 s")
    head = [line.strip() for line in drawn(table, 80)[:2]]
    assert head == ["● 0 msg/s   ws://127.0.0.1:8000/ws", "connection refused; next attempt in 2.0 s"]


def test_without_a_connection_no_stream_is_live(table: PriceTable) -> None:
    table.note("connected", good=True)
    table.update(ticker("61234.50"))
    table.note("connection refused")
    assert row(table, "ticker BTCUSDT").split()[-1] == "offline"
    table.note("connected", good=True)
    assert row(table, "ticker BTCUSDT").split()[-1] == "offline"
    table.update(ticker("61234.50"))
    assert row(table, "ticker BTCUSDT").split()[-1] == "live"


@pytest.mark.parametrize(
    "message",
    [{}, {"op": "pong"}, {"stream": 5}, {"stream": TICKER}, {"stream": TICKER, "type": "status", "data": 5}],
)
def test_strange_messages_do_no_harm(message: dict[str, Any], table: PriceTable) -> None:
    table.update(message)
    assert drawn(table)
