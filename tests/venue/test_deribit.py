from __future__ import annotations

import json
import os
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from feedmux.model.errors import InvalidTopic
from feedmux.model.topic import PUBLIC, Topic
from feedmux.model.venue import (
    Answer,
    Candle,
    Greeted,
    Malformed,
    Pong,
    Reply,
    Value,
    Venue,
    VenueEvent,
)
from feedmux.venue.deribit import INTERVALS, LABELS, Deribit

DERIBIT = Deribit()
NAME = "ABC-PERPETUAL"
TICKER = Topic(PUBLIC, "deribit", "", "ticker", NAME)
TRADE = Topic(PUBLIC, "deribit", "", "trade", NAME)
KLINE = Topic(PUBLIC, "deribit", "", "kline", NAME, "60")
AT_MS = 1_800_000_000_123
AT_NS = AT_MS * 1_000_000

ONE_TICKER: dict[str, Any] = {"instrument_name": NAME, "timestamp": AT_MS, "mark_price": 10.5}
ONE_TRADE: dict[str, Any] = {
    "trade_seq": 7, "trade_id": "403", "timestamp": AT_MS, "price": 10.5, "instrument_name": NAME,
    "direction": "sell", "amount": 10.0,
}  # fmt: skip
ONE_CANDLE: dict[str, Any] = {
    "tick": 1_800_000_000_000, "open": 10.0, "high": 11.0, "low": 9.5, "close": 10.5, "volume": 0.5,
    "cost": 5.25,
}  # fmt: skip
CHANNELS = {
    "ticker": (f"ticker.{NAME}.100ms", ONE_TICKER, TICKER),
    "trade": (f"trades.{NAME}.100ms", [ONE_TRADE], TRADE),
    "kline": (f"chart.trades.{NAME}.60", ONE_CANDLE, KLINE),
}


def packed(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def push(channel: str, data: object) -> bytes:
    return packed({"jsonrpc": "2.0", "method": "subscription", "params": {"channel": channel, "data": data}})


def pushed(kind: str, data: object = ...) -> bytes:
    """A message of a kind's channel."""
    channel, usual, _ = CHANNELS[kind]
    return push(channel, usual if data is ... else data)


def answer(**members: object) -> bytes:
    """An answer as Deribit sends it."""
    return packed({"jsonrpc": "2.0", **members, "usIn": 1, "usOut": 2, "usDiff": 1, "testnet": True})


def refusal(code: int, message: str, data: object = None, **members: object) -> bytes:
    error = {"code": code, "message": message} | ({} if data is None else {"data": data})
    return answer(error=error, **({"id": "7"} | members))


def only(events: tuple[VenueEvent, ...]) -> VenueEvent:
    assert len(events) == 1
    return events[0]


# --- requests ---------------------------------------------------------------------------------


def test_deribit_is_a_venue_with_one_market() -> None:
    venue: Venue = Deribit()
    assert (venue.name, venue.market, repr(venue)) == ("deribit", "", "Deribit()")


def test_requests_are_json_rpc_and_name_their_topics_by_channel() -> None:
    wanted = [TICKER, KLINE, TRADE]
    channels = [f"ticker.{NAME}.100ms", f"chart.trades.{NAME}.60", f"trades.{NAME}.100ms"]
    expected = {"jsonrpc": "2.0", "id": "7", "method": "public/subscribe", "params": {"channels": channels}}
    assert json.loads(DERIBIT.subscribe(wanted, "7")) == expected
    assert json.loads(DERIBIT.unsubscribe(wanted, "8")) == expected | {
        "id": "8",
        "method": "public/unsubscribe",
    }
    assert json.loads(DERIBIT.ping())["method"] == "public/test"


def test_a_connection_begins_with_a_wish_for_heartbeats() -> None:
    (greeting,) = DERIBIT.greetings()
    request = json.loads(greeting)
    assert (request["method"], request["params"]) == ("public/set_heartbeat", {"interval": 30})


def test_only_what_deribit_has_can_be_asked_for() -> None:
    book = Topic(PUBLIC, "deribit", "", "book", NAME, "100ms")
    for ask in (lambda: DERIBIT.cost(book), lambda: DERIBIT.subscribe([book], "1")):
        with pytest.raises(InvalidTopic):
            ask()


def test_limits_are_those_of_the_documentation() -> None:
    assert DERIBIT.max_args == 500
    assert (DERIBIT.budget.rate, DERIBIT.budget.burst) == (3.3, 10)


def test_costs_add_up_to_the_length_of_the_channels() -> None:
    wanted = [TICKER, KLINE, TRADE]
    channels = json.loads(DERIBIT.subscribe(wanted, "1"))["params"]["channels"]
    assert sum(map(DERIBIT.cost, wanted)) == len(packed(channels)) - len("[]") + len(",")


def test_problems_are_sentences() -> None:
    assert DERIBIT.problem(TICKER) is None
    assert "no Deribit instrument" in (DERIBIT.problem(Topic(PUBLIC, "deribit", "", "ticker", "b")) or "")


def test_intervals_are_offered_both_ways() -> None:
    assert {LABELS[code]: code for code in INTERVALS.values()} == INTERVALS


def test_what_nobody_asks_for_is_rendered_all_the_same() -> None:
    assert DERIBIT.render(TICKER, {"price": "5"}) == b'{"symbol":"ABC-PERPETUAL","price":"5"}'


# --- data -------------------------------------------------------------------------------------


def test_a_ticker_is_a_value_that_a_newer_one_replaces() -> None:
    payload = b'{"symbol":"ABC-PERPETUAL","markPrice":"10.5"}'
    assert only(DERIBIT.decode(pushed("ticker"))) == Value(TICKER, AT_NS, TICKER.text, payload)


def test_trades_of_a_message_are_one_value_as_old_as_the_last_of_them() -> None:
    later = ONE_TRADE | {"timestamp": AT_MS + 5, "trade_seq": 8, "trade_id": "404"}
    event = only(DERIBIT.decode(pushed("trade", [ONE_TRADE, later])))
    assert isinstance(event, Value)
    assert (event.topic, event.venue_ns, event.key) == (TRADE, AT_NS + 5_000_000, "")
    assert [trade["id"] for trade in json.loads(event.payload)] == ["403", "404"]


def test_a_candle_is_named_by_its_beginning_and_comes_with_its_final_form() -> None:
    event = only(DERIBIT.decode(pushed("kline")))
    assert isinstance(event, Candle)
    assert (event.topic, event.opened_ms) == (KLINE, ONE_CANDLE["tick"])
    assert event.key == "public:deribit::kline:ABC-PERPETUAL:60:1800000000000"
    assert json.loads(event.payload) | {"confirmed": True} == json.loads(event.closed)


@pytest.mark.parametrize("kind", CHANNELS)
def test_member_order_white_space_and_new_members_change_nothing(kind: str) -> None:
    message = json.loads(pushed(kind))
    message["params"] = dict(reversed([*message["params"].items(), ("label", "x")]))
    turned = dict(reversed([*message.items(), ("new", [1])]))
    assert DERIBIT.decode(json.dumps(turned, indent=2).encode()) == DERIBIT.decode(pushed(kind))


WRONG_DATA = [
    pytest.param("ticker", {**ONE_TICKER, "mark_price": "10.5"}, id="a ticker's price is a text"),
    pytest.param("ticker", {**ONE_TICKER, "instrument_name": "XYZ-PERPETUAL"}, id="a ticker of another one"),
    pytest.param("ticker", {**ONE_TICKER, "instrument_name": "x" * 999}, id="a ticker of a long name"),
    pytest.param("ticker", {**ONE_TICKER, "timestamp": None}, id="a ticker without a time"),
    pytest.param("ticker", {**ONE_TICKER, "timestamp": AT_NS}, id="a time that does not fit nanoseconds"),
    pytest.param("ticker", {**ONE_TICKER, "timestamp": 1.5}, id="a time that is a fraction"),
    pytest.param("ticker", [], id="a ticker is a list"),
    pytest.param("ticker", None, id="no data"),
    pytest.param("trade", [], id="no trade"),
    pytest.param("trade", ONE_TRADE, id="trades are no list"),
    pytest.param("trade", [{**ONE_TRADE, "direction": "hold"}], id="a third side"),
    pytest.param("trade", [ONE_TRADE, {**ONE_TRADE, "instrument_name": "X"}], id="a trade of another one"),
    pytest.param("kline", {**ONE_CANDLE, "tick": "5"}, id="a candle starts at a text"),
    pytest.param("kline", {**ONE_CANDLE, "close": None}, id="a candle without a close"),
    pytest.param("kline", [ONE_CANDLE], id="a candle is a list"),
]


@pytest.mark.parametrize(("kind", "data"), WRONG_DATA)
def test_data_that_cannot_be_read_is_malformed_and_its_channels(kind: str, data: object) -> None:
    event = only(DERIBIT.decode(pushed(kind, data)))
    assert isinstance(event, Malformed)
    assert (event.topic, event.foreign) == (CHANNELS[kind][2], False)
    assert 0 < len(event.reason) <= 200


@pytest.mark.parametrize(
    ("payload", "topic"),
    [
        pytest.param(pushed("ticker")[:-20], TICKER, id="the end is missing"),
        pytest.param(pushed("kline")[:100], KLINE, id="half of it is missing"),
        pytest.param(pushed("ticker").replace(b"10.5", b"\xff"), TICKER, id="not UTF-8"),
        pytest.param(
            b'{"params":{"channel":"ticker.ABC-PERPETUAL.100ms","data":' + b"[" * 99_999,
            TICKER,
            id="a deep nest",
        ),
        pytest.param(b"[" * 99_999, None, id="a nest and nothing else"),
        pytest.param(b"", None, id="nothing"),
        pytest.param(b"null", None, id="null"),
        pytest.param(b"[]", None, id="a list"),
        pytest.param(b"<html>", None, id="no JSON"),
        pytest.param(b'{"method":"subscription","params":[]}', None, id="parameters in a list"),
        pytest.param(b'{"method":5}', None, id="the method is a number"),
        pytest.param(b'{"id":1.5,"result":[]}', None, id="the id is a fraction"),
        pytest.param(b'{"id":"1","error":5}', None, id="the error is a number"),
    ],
)
def test_what_cannot_be_read_is_malformed_with_the_topic_it_names(
    payload: bytes, topic: Topic | None
) -> None:
    event = only(DERIBIT.decode(payload))
    assert isinstance(event, Malformed)
    assert (event.topic, event.foreign) == (topic, False)
    assert 0 < len(event.reason) <= 200


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (push("book.ABC-PERPETUAL.100ms", {}), "unknown channel: 'book.ABC-PERPETUAL.100ms'"),
        (push("trades.ABC-PERPETUAL.raw", [ONE_TRADE]), "unknown channel"),
        (push("é" * 300, []), "unknown channel"),
        (b'{"method":"subscription","params":{}}', "unknown channel: ''"),
        (b'{"method":"subscription"}', "neither data nor an answer: method 'subscription'"),
        (b'{"method":"public/test","id":"1","params":{}}',
        "neither data nor an answer: method 'public/test'"),
        (b"{}", "neither data nor an answer: method ''"),
        (answer(id="7", result="ok"), "an answer without a list of channels to request '7'"),
        (answer(id="7", result=[5]), "an answer without a list of channels to request '7'"),
        (answer(id="7"), "an answer without a list of channels to request '7'"),
        (answer(error={"code": 11050, "message": "bad_request", "data": "invalid json"}),
         "neither data nor an answer: bad_request (11050): invalid json"),
        (refusal(10028, "too_many_requests", id="ping"), "no answer to a ping: too_many_requests (10028)"),
    ],
)  # fmt: skip
def test_what_is_not_ours_is_foreign_and_says_what_it_was(payload: bytes, words: str) -> None:
    event = only(DERIBIT.decode(payload))
    assert isinstance(event, Malformed)
    assert (event.topic, event.foreign) == (None, True)
    assert words in event.reason
    assert len(event.reason) <= 200


# --- answers ----------------------------------------------------------------------------------


def test_an_answer_lists_what_is_granted_in_any_order_and_with_what_is_not_ours() -> None:
    channels = [CHANNELS["trade"][0], "book.ABC-PERPETUAL.100ms", CHANNELS["ticker"][0]]
    event = only(DERIBIT.decode(answer(id="7", result=channels)))
    words = "it knows no such channel; its answer leaves it out"
    assert event == Answer("7", True, None, words, granted=frozenset({TICKER, TRADE}))


def test_an_answer_that_grants_nothing_is_an_answer() -> None:
    event = only(DERIBIT.decode(answer(id=7, result=[])))
    assert isinstance(event, Answer)
    assert (event.request_id, event.accepted, event.granted) == ("7", True, frozenset())


@pytest.mark.parametrize(
    ("payload", "words", "later"),
    [
        (refusal(13778, "raw_subscriptions_not_available_for_unauthorized"),
         "raw_subscriptions_not_available_for_unauthorized (13778)", False),
        (refusal(-32602, "Invalid params", {"reason": "value must be >= 10", "param": "interval"}),
         "Invalid params (-32602): interval: value must be >= 10", False),
        (refusal(-32602, "Invalid params", {"reason": "wrong"}), "Invalid params (-32602): wrong", False),
        (refusal(-32601, "Method not found", 5), "Method not found (-32601)", False),
        (refusal(11050, "bad_request", "invalid json"), "bad_request (11050): invalid json", False),
        (refusal(13009, "unauthorized", {"reason": "invalid_token", "param": "x"}),
         "unauthorized (13009): x: invalid_token", False),
        (refusal(10028, "too_many_requests"), "too_many_requests (10028)", True),
        (refusal(11051, "system_maintenance"), "system_maintenance (11051)", True),
        (refusal(13028, "temporarily_unavailable"), "temporarily_unavailable (13028)", True),
        (refusal(1, "x" * 999), "x" * 200, False),
        (answer(id="7", error={}), " (0)", False),
    ],
)  # fmt: skip
def test_a_refusal_has_the_venues_words_and_says_whether_asking_later_helps(
    payload: bytes, words: str, *, later: bool
) -> None:
    assert only(DERIBIT.decode(payload)) == Answer("7", False, None, words, later=later)


def test_the_answer_to_a_ping_is_a_pong() -> None:
    request = json.loads(DERIBIT.ping())
    assert only(DERIBIT.decode(answer(id=request["id"], result={"version": "1.2.26"}))) == Pong()


def test_the_answer_to_the_greeting_says_whether_it_was_taken() -> None:
    request_id = json.loads(DERIBIT.greetings()[0])["id"]
    assert only(DERIBIT.decode(answer(id=request_id, result="ok"))) == Greeted()
    more = {"reason": "value must be >= 10", "param": "interval"}
    event = only(DERIBIT.decode(refusal(-32602, "Invalid params", more, id=request_id)))
    assert event == Greeted("Invalid params (-32602): interval: value must be >= 10")


def test_ids_of_our_own_are_none_that_a_subscription_could_have() -> None:
    for request in (*DERIBIT.greetings(), DERIBIT.ping()):
        assert not json.loads(request)["id"].isdecimal()


def test_a_test_request_is_answered_and_a_heartbeat_needs_nothing() -> None:
    asked = b'{"params":{"type":"test_request"},"method":"heartbeat","jsonrpc":"2.0"}'
    assert only(DERIBIT.decode(asked)) == Reply(DERIBIT.ping())
    for other in (
        b'{"params":{"type":"heartbeat"},"method":"heartbeat"}',
        b'{"method":"heartbeat","params":{}}',
    ):
        assert DERIBIT.decode(other) == ()


# --- captures: what Deribit really sent; kept outside this repository ---------------------------


def captures() -> Path:
    folder = os.environ.get("FEEDMUX_CAPTURES")
    if not folder:
        pytest.skip("FEEDMUX_CAPTURES is not set: no captured messages to read")
    return Path(folder) / "deribit"


def lines(name: str) -> Iterator[bytes]:
    yield from (captures() / name).read_bytes().splitlines()


def numbers(value: Any) -> Iterator[Decimal]:
    """Every number of a captured message, as exact as it was written."""
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from numbers(inner)
    elif isinstance(value, Decimal):
        yield value


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from texts(inner)
    elif isinstance(value, str):
        yield value


@pytest.mark.parametrize("name", ["ws_ticker", "ws_trades", "ws_chart"])
def test_captured_data_is_carried_number_by_number(name: str) -> None:
    payload = (captures() / "nautilus" / f"{name}.json").read_bytes()
    event = only(DERIBIT.decode(payload))
    assert isinstance(event, Value | Candle)
    sent = list(numbers(json.loads(payload, parse_float=Decimal)["params"]["data"]))
    ours = [
        text for text in texts(json.loads(event.payload)) if text.lstrip("-").replace(".", "").isdecimal()
    ]
    carried = [text for text in ours if Decimal(text) in sent]
    assert carried == [text for text in ours if "." in text]
    assert len(carried) >= {"ws_ticker": 19, "ws_trades": 8, "ws_chart": 6}[name]


def test_captured_trades_of_another_pace_are_read_by_the_same_shapes() -> None:
    for line in lines("gocryptotrader_wsAllTrades.jsonl"):
        assert isinstance(only(DERIBIT.decode(line)), Malformed)
        event = only(DERIBIT.decode(line.replace(b".agg2", b".100ms")))
        assert isinstance(event, Value)
        (trade,) = json.loads(event.payload)
        assert trade["quantity"] == str(json.loads(line)["params"]["data"][0]["amount"])


def test_captured_errors_are_refusals_in_the_venues_words() -> None:
    events = [only(DERIBIT.decode(line)) for line in lines("fastmm_testnet_errors_20260913.jsonl")]
    assert [event.reason for event in events if isinstance(event, Answer)] == [
        "invalid_credentials (13004)",
        "Invalid params (-32602): interval: value must be >= 10",
        "Invalid params (-32602): kind: invalid value",
    ]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("ws_test_request", Reply), ("ws_subscribe_response", Answer), ("ws_error", Answer),
        ("ws_book_delta", Malformed), ("ws_book_snapshot", Malformed), ("ws_book_grouped_snapshot",
        Malformed),
        ("ws_quote", Malformed), ("ws_portfolio", Malformed), ("ws_volatility_index", Malformed),
        ("ws_order_buy_response", Malformed), ("ws_trades_option_combo", Malformed),
    ],
)  # fmt: skip
def test_captured_messages_of_every_family_are_told_apart(name: str, kind: type[VenueEvent]) -> None:
    event = only(DERIBIT.decode((captures() / "nautilus" / f"{name}.json").read_bytes()))
    assert type(event) is kind
    assert not isinstance(event, Malformed) or event.foreign


def test_a_captured_trade_with_legs_is_read_without_them() -> None:
    payload = (captures() / "nautilus" / "ws_trades_option_combo.json").read_bytes()
    event = only(DERIBIT.decode(payload.replace(b".raw", b".100ms")))
    assert isinstance(event, Value)
    (trade,) = msgspec.json.decode(event.payload)
    assert (trade["symbol"], trade["price"]) == ("BTC-CS-19MAY26-70000_75000", "0.0639")
    assert "legs" not in trade
