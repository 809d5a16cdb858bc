from __future__ import annotations

import json
import os
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from feedmux.core.ticker import TickerMerge
from feedmux.model.errors import InvalidSetting, InvalidTopic
from feedmux.model.topic import PUBLIC, Topic
from feedmux.model.venue import Answer, Malformed, Merge, Pong, Value, Venue, VenueEvent
from feedmux.venue.bybit import INTERVALS, LABELS, Bybit

LINEAR = Bybit("linear")
TICKER = Topic(PUBLIC, "bybit", "linear", "ticker", "XYZUSDT")
TRADE = Topic(PUBLIC, "bybit", "linear", "trade", "XYZUSDT")
KLINE = Topic(PUBLIC, "bybit", "linear", "kline", "XYZUSDT", "60")
AT_MS = 1_800_000_000_123
AT_NS = AT_MS * 1_000_000

OPEN_CANDLE: dict[str, object] = {
    "start": 1_799_998_800_000, "end": 1_800_002_399_999, "interval": "60", "open": "10.0", "close": "10.50",
    "high": "11", "low": "9.90", "volume": "120.000", "turnover": "1230.5", "confirm": False,
    "timestamp": AT_MS,
}  # fmt: skip
CANDLE_PAYLOAD = (
    b'{"symbol":"XYZUSDT","interval":"1h","openTime":1799998800000,"closeTime":1800002399999,'
    b'"open":"10.0","high":"11","low":"9.90","close":"10.50","volume":"120.000","turnover":"1230.5",'
    b'"confirmed":false}'
)
ONE_TRADE: dict[str, object] = {
    "T": AT_MS, "s": "XYZUSDT", "S": "Buy", "v": "0.10", "p": "10.50", "L": "PlusTick", "i": "a-1",
    "BT": True, "RPI": False, "seq": 7,
}  # fmt: skip


def ticker_frame(**changes: object) -> bytes:
    data = {"symbol": "XYZUSDT", "markPrice": "10.5", "preQty": ""}
    frame = {"topic": "tickers.XYZUSDT", "type": "delta", "data": data, "cs": 9, "ts": AT_MS}
    return packed({**frame, **changes})


def kline_frame(*candles: object) -> bytes:
    return packed({"topic": "kline.60.XYZUSDT", "data": list(candles), "ts": AT_MS, "type": "snapshot"})


def trade_frame(*trades: object) -> bytes:
    return packed({"topic": "publicTrade.XYZUSDT", "type": "snapshot", "ts": AT_MS, "data": list(trades)})


def two_topics(frame: bytes) -> bytes:
    """The frame as it opens, with another kind's topic at its end."""
    other = b"kline.D.AB" if b"kline" not in frame else b"tickers.AB"
    return frame[:-1] + b',"topic":"%s"}' % other


def packed(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def only(events: tuple[VenueEvent, ...]) -> VenueEvent:
    assert len(events) == 1
    return events[0]


# --- requests ---------------------------------------------------------------------------------


def test_bybit_is_a_venue() -> None:
    venue: Venue = Bybit("spot")
    assert (venue.name, venue.market, repr(venue)) == ("bybit", "spot", "Bybit('spot')")


def test_a_market_of_other_shapes_is_refused() -> None:
    with pytest.raises(InvalidSetting, match="'option' does not work; expected one of linear, spot, inverse"):
        Bybit("option")


def test_requests_name_their_topics_in_bybits_texts() -> None:
    wanted = [TICKER, KLINE, TRADE]
    args = '["tickers.XYZUSDT","kline.60.XYZUSDT","publicTrade.XYZUSDT"]'
    assert LINEAR.subscribe(wanted, "7").decode() == f'{{"req_id":"7","op":"subscribe","args":{args}}}'
    assert LINEAR.unsubscribe(wanted, "8").decode() == f'{{"req_id":"8","op":"unsubscribe","args":{args}}}'
    assert json.loads(LINEAR.ping())["op"] == "ping"


def test_only_what_bybit_has_can_be_asked_for() -> None:
    book = Topic(PUBLIC, "bybit", "linear", "book", "XYZUSDT", "50")
    for ask in (lambda: LINEAR.cost(book), lambda: LINEAR.subscribe([book], "1")):
        with pytest.raises(InvalidTopic):
            ask()


@pytest.mark.parametrize(("market", "args"), [("linear", 200), ("inverse", 200), ("spot", 10)])
def test_limits_of_a_market(market: str, args: int) -> None:
    assert (Bybit(market).max_args, Bybit(market).max_characters) == (args, 20_000)


def test_costs_add_up_to_the_length_of_the_arguments() -> None:
    wanted = [TICKER, KLINE, TRADE]
    args = json.loads(LINEAR.subscribe(wanted, "1"))["args"]
    assert sum(map(LINEAR.cost, wanted)) == len(packed(args)) - len("[]") + len(",")


def test_problems_are_those_of_its_own_market() -> None:
    assert LINEAR.problem(TICKER) is None
    assert "not a topic of bybit.spot" in (Bybit("spot").problem(TICKER) or "")


def test_intervals_are_offered_both_ways() -> None:
    assert {LABELS[code]: code for code in INTERVALS.values()} == INTERVALS


# --- data -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["snapshot", "delta"])
def test_a_ticker_becomes_a_merge(kind: str) -> None:
    fields = {"symbol": "XYZUSDT", "markPrice": "10.5", "preQty": ""}
    expected = Merge(TICKER, AT_NS, kind == "snapshot", 9, fields)
    assert only(LINEAR.decode(ticker_frame(type=kind))) == expected


def test_a_spot_ticker_is_whole_each_time() -> None:
    payload = packed(
        {
            "topic": "tickers.XYZUSDT", "ts": AT_MS, "type": "snapshot", "cs": 5,
            "data": {"symbol": "XYZUSDT", "lastPrice": "10.50", "price24hPcnt": "0.0196", "extra": "9"},
        }
    )  # fmt: skip
    spot = Bybit("spot")
    event = only(spot.decode(payload))
    assert isinstance(event, Merge)
    assert (event.topic.market, event.snapshot, event.order) == ("spot", True, 5)
    rendered = spot.render(event.topic, event.fields)
    assert rendered == b'{"symbol":"XYZUSDT","price":"10.50","change24hPercent":"1.96"}'


def test_an_open_candle_conflates_by_its_open_time() -> None:
    key = "public:bybit:linear:kline:XYZUSDT:60:1799998800000"
    assert only(LINEAR.decode(kline_frame(OPEN_CANDLE))) == Value(KLINE, AT_NS, key, CANDLE_PAYLOAD)


def test_a_closed_candle_has_no_key_and_candles_keep_their_order() -> None:
    closed, opened = LINEAR.decode(kline_frame({**OPEN_CANDLE, "confirm": True}, {**OPEN_CANDLE, "start": 5}))
    assert isinstance(closed, Value)
    assert isinstance(opened, Value)
    assert closed.key == ""
    assert json.loads(closed.payload)["confirmed"] is True
    assert opened.key == KLINE.text + ":5"


def test_trades_of_a_frame_become_one_list() -> None:
    spot_like = {"i": "22", "T": 6, "p": "1", "v": "2", "S": "Sell", "seq": 7, "s": "XYZUSDT"}
    payload = (
        b'[{"id":"a-1","symbol":"XYZUSDT","price":"10.50","quantity":"0.10","side":"buy",'
        b'"time":1800000000123,"isBlockTrade":true},'
        b'{"id":"22","symbol":"XYZUSDT","price":"1","quantity":"2","side":"sell","time":6,"isBlockTrade":false}]'
    )
    assert only(LINEAR.decode(trade_frame(ONE_TRADE, spot_like))) == Value(TRADE, AT_NS, "", payload)


@pytest.mark.parametrize("payload", [ticker_frame(), kline_frame(OPEN_CANDLE), trade_frame(ONE_TRADE)])
def test_key_order_white_space_and_new_keys_change_nothing(payload: bytes) -> None:
    frame = json.loads(payload)
    turned = dict(reversed([*frame.items(), ("id", "x"), ("cts", [1])]))
    assert LINEAR.decode(json.dumps(turned, indent=2).encode()) == LINEAR.decode(payload)


@pytest.mark.parametrize(
    ("payload", "topic"),
    [
        pytest.param(ticker_frame(data={"markPrice": 10.5}), TICKER, id="a ticker field is a number"),
        pytest.param(ticker_frame(data=[]), TICKER, id="ticker data is a list"),
        pytest.param(ticker_frame(type="other"), TICKER, id="neither snapshot nor delta"),
        pytest.param(ticker_frame(type="x" * 999), TICKER, id="a long word instead"),
        pytest.param(ticker_frame(cs=None), TICKER, id="no order"),
        pytest.param(ticker_frame(cs=-1), TICKER, id="a negative order"),
        pytest.param(ticker_frame(ts="1800000000123"), TICKER, id="the time is a text"),
        pytest.param(ticker_frame(ts=0), TICKER, id="the time is 0"),
        pytest.param(ticker_frame(ts=AT_NS), TICKER, id="the time does not fit nanoseconds"),
        pytest.param(ticker_frame(ts=1.5), TICKER, id="the time is a fraction"),
        pytest.param(kline_frame(), KLINE, id="no candle"),
        pytest.param(kline_frame({**OPEN_CANDLE, "start": "5"}), KLINE, id="a candle starts at a text"),
        pytest.param(kline_frame({**OPEN_CANDLE, "close": 1}), KLINE, id="a candle's price is a number"),
        pytest.param(kline_frame({**OPEN_CANDLE, "confirm": None}), KLINE, id="nobody knows if it closed"),
        pytest.param(trade_frame(), TRADE, id="no trade"),
        pytest.param(trade_frame({**ONE_TRADE, "S": "buy"}), TRADE, id="a third side"),
        pytest.param(trade_frame({**ONE_TRADE, "p": None}), TRADE, id="a trade without price"),
        pytest.param(
            packed({"topic": "publicTrade.XYZUSDT", "ts": AT_MS, "data": ONE_TRADE}),
            TRADE,
            id="trades are no list",
        ),
        pytest.param(ticker_frame()[:-30], TICKER, id="the end is missing"),
        pytest.param(ticker_frame().replace(b"10.5", b"\xff"), TICKER, id="not UTF-8"),
        pytest.param(b'{"topic":"tickers.XYZUSDT","x":' + b"[" * 99_999, TICKER, id="a deep nest"),
        pytest.param(b"[" * 99_999, None, id="a nest and nothing else"),
        pytest.param(b'{"data":' + b'{"a":' * 99_999, None, id="a deep nest of objects"),
        pytest.param(b"", None, id="nothing"),
        pytest.param(b"null", None, id="null"),
        pytest.param(b"{}", None, id="an empty object"),
        pytest.param(b"Failed to decode incoming data:readObjectStart", None, id="no JSON"),
        pytest.param(b'{"topic":5}', None, id="the topic is a number"),
        pytest.param(two_topics(ticker_frame()), None, id="a ticker of two topics"),
        pytest.param(two_topics(kline_frame(OPEN_CANDLE)), None, id="a candle of two topics"),
        pytest.param(two_topics(trade_frame(ONE_TRADE)), None, id="a trade of two topics"),
        pytest.param(b'{"success":true,"op":"auth"}', None, id="an answer that nobody asked for"),
        pytest.param(b'{"success":false,"ret_msg":"pong","op":"ping"}', None, id="a refused ping"),
        pytest.param(b'{"success":"yes","op":"subscribe"}', None, id="success is a text"),
        pytest.param(
            b'{"success":true,"conn_id":"a","data":{"failTopics":[],"successTopics":[]},"type":"COMMAND_RESP"}',
            None,
            id="an option answer",
        ),
    ],
)
def test_what_cannot_be_read_is_malformed_with_the_topic_it_names(
    payload: bytes, topic: Topic | None
) -> None:
    event = only(LINEAR.decode(payload))
    assert isinstance(event, Malformed)
    assert event.topic == topic
    assert 0 < len(event.reason) <= 200


@pytest.mark.parametrize(
    "topic", ["orderbook.50.XYZUSDT", "tickers.xyzusdt", "kline.7.XYZUSDT", "publicTrade.*", "é" * 300]
)
def test_a_topic_that_is_not_ours_is_named_in_the_reason_and_belongs_to_none(topic: str) -> None:
    data = {"s": "XYZUSDT", "b": [["1", "2"]], "a": []}
    for payload in (
        packed({"topic": topic, "type": "delta", "ts": AT_MS, "data": data}),
        packed({"topic": topic, "type": "delta", "ts": AT_MS, "cs": 1, "data": {}}),
        packed({"topic": topic, "ts": AT_MS, "data": [OPEN_CANDLE | ONE_TRADE]}),
    ):
        event = only(LINEAR.decode(payload))
        assert isinstance(event, Malformed)
        assert event.topic is None
        assert len(event.reason) <= 200
    assert "unknown topic: 'orderbook.50.AB'" in str(LINEAR.decode(b'{"topic":"orderbook.50.AB"}'))


# --- answers ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "event"),
    [
        (
            {"success": True, "ret_msg": "", "conn_id": "c", "req_id": "7", "op": "subscribe"},
            Answer("7", True, None, ""),
        ),
        (
            {"success": True, "ret_msg": "subscribe", "conn_id": "c", "op": "subscribe"},
            Answer("", True, None, "subscribe"),
        ),
        (
            {"success": True, "ret_msg": "", "conn_id": "c", "req_id": "8", "op": "unsubscribe"},
            Answer("8", True, None, ""),
        ),
        ({"success": True, "ret_msg": "pong", "conn_id": "c", "req_id": "p", "op": "ping"}, Pong()),
        ({"success": True, "ret_msg": "pong", "conn_id": "c", "op": "ping"}, Pong()),
        ({"args": ["1800000000000"], "op": "pong"}, Pong()),
    ],
)  # fmt: skip
def test_answers_and_pongs(answer: dict[str, object], event: VenueEvent) -> None:
    assert only(LINEAR.decode(packed(answer))) == event


@pytest.mark.parametrize(
    ("words", "topic", "already"),
    [
        ("error:handler not found,topic:tickers.XYZUSDT", TICKER, False),
        ("error:already subscribed,topic:kline.60.XYZUSDT", KLINE, True),
        ("Invalid symbol :[publicTrade.XYZUSDT]", TRADE, False),
        ("Invalid topic: tickers.XYZUSDT", TICKER, False),
        ("error:handler not found,topic:orderbook.30.XYZUSDT", None, False),
        ("args size >10", None, False),
        ("error:invalid op", None, False),
        ("", None, False),
    ],
)
def test_a_refusal_names_the_topic_and_takes_nothing_of_the_request(
    words: str, topic: Topic | None, already: bool
) -> None:
    refusal = {"success": False, "ret_msg": words, "conn_id": "c", "req_id": "7", "op": "subscribe"}
    assert only(LINEAR.decode(packed(refusal))) == Answer("7", False, topic, words, already)


def test_a_refusal_without_request_id_says_so_and_long_words_are_cut() -> None:
    event = only(LINEAR.decode(packed({"success": False, "ret_msg": "x" * 999, "op": "subscribe"})))
    assert event == Answer("", False, None, "x" * 200)


# --- captures: what Bybit really sent; kept outside this repository ----------------------------


def captures() -> Path:
    folder = os.environ.get("FEEDMUX_CAPTURES")
    if not folder:
        pytest.skip("FEEDMUX_CAPTURES is not set: no captured messages to read")
    return Path(folder) / "bybit"


def lines(name: str) -> Iterator[bytes]:
    yield from (captures() / name).read_bytes().splitlines()


def pushes(path: Path) -> Iterator[bytes]:
    """The received frames of a file of requests (>), answers (<) and pushes (=)."""
    for block in path.read_text().replace("\n=", "\n\0=").replace("\n<", "\n\0<").split("\0"):
        if block.startswith(("=", "<")):
            yield block[1:].lstrip("0123456789").strip().encode()


def check_invariants(state: dict[str, Decimal]) -> None:
    value = state["openInterest"] * state["markPrice"]
    assert abs(value - state["openInterestValue"]) <= Decimal("0.01")
    change = (state["lastPrice"] - state["prevPrice24h"]) / state["prevPrice24h"]
    assert abs(change - state["price24hPcnt"]) <= Decimal("0.000001")
    assert state["bid1Price"] < state["ask1Price"]


def test_captured_linear_tickers_keep_their_invariants_after_every_frame() -> None:
    merges: dict[Topic, TickerMerge] = {}
    kinds: list[type] = []
    for line in lines("fastmm_linear_tickers_btc_eth_20260930_excerpt.jsonl"):
        event = only(LINEAR.decode(line))
        kinds.append(type(event))
        if isinstance(event, Merge):
            state = merges.setdefault(event.topic, TickerMerge()).apply(
                event.snapshot, event.order, event.fields
            )
            assert isinstance(state, dict)
            numbers = {n: Decimal(t) for n, t in state.items() if n not in {"symbol", "tickDirection"}}
            check_invariants(numbers)
            ours = json.loads(LINEAR.render(event.topic, state))
            assert (ours["price"], ours["bid"]["size"]) == (state["lastPrice"], state["bid1Size"])
            assert abs(Decimal(ours["change24hPercent"]) - 100 * numbers["price24hPcnt"]) <= Decimal("0.005")
    assert len(merges) == 2
    assert kinds.count(Merge) == 47
    assert kinds.index(Answer) == 32


def test_captured_spot_frames_are_trades_answers_and_what_is_not_ours() -> None:
    spot, found = Bybit("spot"), dict.fromkeys((Value, Answer, Pong, Malformed), 0)
    for line in lines("fastmm_testnet_spot_ob50_ob1_trades_20260913.jsonl"):
        event = only(spot.decode(line))
        assert not isinstance(event, Merge)
        found[type(event)] += 1
        if isinstance(event, Malformed):
            assert event == Malformed(f"unknown topic: '{json.loads(line)['topic']}'", None, foreign=True)
        if isinstance(event, Value):
            sent, ours = json.loads(line)["data"], json.loads(event.payload)
            fields = ["id", "symbol", "price", "quantity", "side", "time", "isBlockTrade"]
            assert [list(trade) for trade in ours] == [fields] * len(sent)
            assert [trade["price"] for trade in ours] == [trade["p"] for trade in sent]
    assert found == {Value: 7, Answer: 2, Pong: 1, Malformed: 33}


def test_captured_tickers_of_four_markets_are_read_where_they_belong() -> None:
    for line in lines("gocryptotrader_wsTicker.jsonl"):
        sent = json.loads(line)
        event = only(LINEAR.decode(line))
        if "cs" in sent:
            assert isinstance(event, Merge)
            assert (event.order, event.fields) == (sent["cs"], sent["data"])
        else:  # an option's, which carries no order
            assert isinstance(event, Malformed)
            assert event.topic is not None


def test_captured_single_frames_are_read() -> None:
    found = {}
    for path in sorted((captures() / "jkorf").glob("V5_*.txt")):
        market = "spot" if "_Spot_" in path.name else "linear"
        events = [event for frame in pushes(path) for event in Bybit(market).decode(frame)]
        found[path.stem] = "".join(type(event).__name__[0] for event in events)
    public = {name: kinds for name, kinds in found.items() if "Private" not in name}
    assert public == {
        "V5_Linear_Liquidations": "AM", "V5_Linear_Ticker": "AM", "V5_Linear_Trades": "AV",
        "V5_Option_Book": "MM", "V5_Option_Klines": "MV", "V5_Option_Ticker": "MM", "V5_Option_Trades": "MV",
        "V5_Spot_Concurrent": "AAMM", "V5_Spot_PriceLimit": "AM", "V5_Spot_SystemStatus": "AM",
        "V5_Spot_Ticker": "AM", "V5_Spot_Trades": "AV",
    }  # fmt: skip
    merges = [
        event
        for name in ("V5_Linear_Ticker", "V5_Spot_Ticker")
        for frame in pushes(captures() / "jkorf" / f"{name}.txt")
        for event in LINEAR.decode(frame)
        if isinstance(event, Merge)
    ]
    assert [merge.snapshot for merge in merges] == [True, True]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("ws_kline", Value), ("ws_ticker_linear", Merge), ("ws_ticker_option", Malformed),
        ("ws_subscription_ack", Answer), ("ws_subscription_failure", Answer),
        ("ws_orderbook_delta", Malformed), ("ws_orderbook_snapshot", Malformed),
        ("ws_public_trade", Malformed),  # its topic was never Bybit's
    ],
)  # fmt: skip
def test_captured_documents_are_read(name: str, kind: type[VenueEvent]) -> None:
    payload = (captures() / "nautilus" / f"{name}.json").read_bytes()
    event = only(LINEAR.decode(payload))
    assert type(event) is kind
    if isinstance(event, Value):
        sent, ours = json.loads(payload), json.loads(event.payload)
        assert list(ours) == list(json.loads(CANDLE_PAYLOAD))
        assert (ours["interval"], ours["high"], ours["confirmed"]) == ("5m", sent["data"][0]["high"], False)
