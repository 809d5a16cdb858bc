from __future__ import annotations

import json
from typing import Any

import pytest

from feedmux.model.errors import InvalidTopic
from feedmux.model.topic import PUBLIC, Topic
from feedmux.model.venue import (
    Answer,
    Greeted,
    Malformed,
    Manners,
    Parting,
    Remark,
    Value,
    Venue,
    VenueEvent,
    Welcome,
)
from feedmux.venue.alpaca import Alpaca
from support.alpaca_feed import bar, quote, topic, trade

KEY, SECRET = "AKTESTKEY", "a-secret-of-tests"
CODEC = Alpaca(KEY, SECRET)
TICKER, TRADES, CANDLES = topic("ticker"), topic("trade"), topic("kline")
LAST = 1_795_188_600_000_000_000  # half past three, when trades and quotes of the tests begin


def events(*objects: object) -> list[VenueEvent]:
    return list(CODEC.decode(json.dumps(objects).encode()))


def only(*objects: object) -> VenueEvent:
    (event,) = events(*objects)
    return event


def payload(event: VenueEvent) -> Any:
    assert isinstance(event, Value)
    return json.loads(event.payload)


# --- what is sent -------------------------------------------------------------------------------


def test_it_is_a_venue_that_speaks_first_numbers_nothing_and_rests() -> None:
    venue: Venue = CODEC
    assert (venue.name, venue.market) == ("alpaca", "")
    assert venue.manners == Manners(speaks_first=True, numbers=False, rests=True)
    assert venue.ping() is None


def test_the_greeting_is_the_login_and_no_output_shows_it() -> None:
    (login,) = CODEC.greetings()
    assert json.loads(login) == {"action": "auth", "key": KEY, "secret": SECRET}
    assert repr(CODEC) == str(CODEC) == "Alpaca()"


def test_requests_name_the_symbols_of_each_channel() -> None:
    topics = [TICKER, topic("kline", "BRK.B"), topic("trade", "BTC/USD")]
    lists = {"quotes": ["AAPL"], "bars": ["BRK.B"], "updatedBars": ["BRK.B"], "trades": ["BTC/USD"]}
    assert json.loads(CODEC.subscribe(topics, "7")) == {"action": "subscribe", **lists}
    assert json.loads(CODEC.unsubscribe(topics, "8")) == {"action": "unsubscribe", **lists}


def test_the_longest_request_stays_below_what_a_message_may_have() -> None:
    longest = [topic("kline", f"{number:024}/{'A' * 12}") for number in range(CODEC.max_args)]
    assert all(CODEC.problem(one) is None for one in longest)
    assert len(CODEC.subscribe(longest, "1")) <= 32_768


def test_one_connection_has_room_for_everything() -> None:
    assert sum(CODEC.cost(topic(kind, "A" * 24)) for kind in ("ticker", "trade", "kline")) == 4 * 27
    assert CODEC.cost(TICKER) * 1_000_000 < CODEC.max_characters
    with pytest.raises(InvalidTopic):
        CODEC.cost(Topic(PUBLIC, "alpaca", "", "book", "AAPL"))


def test_what_cannot_exist_is_refused_without_asking() -> None:
    assert CODEC.problem(TICKER) is None
    assert "upper-case" in str(CODEC.problem(topic("ticker", "aapl")))


# --- control messages ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "event"),
    [
        ({"T": "success", "msg": "connected"}, Welcome()),
        ({"T": "success", "msg": "authenticated"}, Greeted()),
        ({"T": "success", "msg": "upgraded"}, Remark("it reports a success of its own: upgraded")),
    ],
)
def test_successes(message: object, event: VenueEvent) -> None:
    assert only(message) == event


@pytest.mark.parametrize(
    ("code", "kinds", "sentence"),
    [
        (400, (Answer,), "it could not make sense of a request"),
        (401, (Parting,), "it was asked for something before it let us in"),
        (402, (Greeted,), "it does not know this key and secret"),
        (403, (Remark, Greeted), "it had let us in before"),
        (404, (Parting,), "it was not told in time who we are"),
        (405, (Answer,), "the account's plan carries no more symbols"),
        (406, (Greeted,), "another connection of the account is open"),
        (407, (Parting,), "we took its messages too slowly"),
        (408, (Answer,), "the account has no access to market data v2"),
        (409, (Answer,), "the account's plan does not have this feed"),
        (410, (Answer,), "this feed does not have such a stream"),
        (411, (Answer,), "the key may not be used for this"),
        (500, (Parting,), "something went wrong on its side"),
    ],
)
def test_every_error_is_a_sentence_with_alpacas_words_and_number(
    code: int, kinds: tuple[type, ...], sentence: str
) -> None:
    found = events({"T": "error", "code": code, "msg": "its words"})
    assert tuple(map(type, found)) == kinds
    assert f"its words ({code}): {sentence}" in str(found[0])


def test_what_an_error_leads_to() -> None:
    def said(code: int) -> Any:
        return events({"T": "error", "code": code, "msg": "words"})[-1]

    assert (said(406).later, bool(said(406).refused)) == (True, True)
    assert (said(402).later, bool(said(402).refused)) == (False, True)
    assert said(403) == Greeted()
    assert (said(405).request_id, said(405).accepted, said(405).topic) == ("", False, None)
    assert said(999).reason == "words (999)"


def test_the_answer_lists_what_this_connection_has() -> None:
    whole = {
        "T": "subscription",
        "trades": ["AAPL", "BTC/USD"],
        "quotes": ["BRK.B"],
        "bars": ["AAPL", "F"],
        "updatedBars": ["AAPL"],
        "dailyBars": [],
        "corrections": ["AAPL"],
    }
    answer = only(whole)
    assert isinstance(answer, Answer)
    assert (answer.request_id, answer.accepted) == ("", True)
    assert answer.granted == frozenset({TRADES, topic("trade", "BTC/USD"), topic("ticker", "BRK.B"), CANDLES})


@pytest.mark.parametrize("empty", [{}, {"trades": None, "bars": None}, {"trades": [], "quotes": ["*"]}])
def test_lists_that_are_left_out_are_empty(empty: dict[str, object]) -> None:
    answer = only({"T": "subscription", **empty})
    assert isinstance(answer, Answer)
    assert answer.granted == frozenset()


def test_a_secret_that_is_repeated_is_cut_out() -> None:
    for echo in (
        {"T": "error", "code": 402, "msg": f"no {KEY}/{SECRET}"},
        {"T": "error", "code": 405, "msg": f"no {KEY}/{SECRET}"},
        {"T": "success", "msg": SECRET},
        {"T": SECRET},
        {"T": "q", "S": SECRET},
        {"T": "q", "S": f"{SECRET}!", "t": "2026-11-20T15:30:00Z"},
        {"T": "t", "S": "AAPL", "i": 1, "p": 1, "s": 1, "t": SECRET},
    ):
        assert SECRET not in str(events(echo))
        assert KEY not in str(events(echo))
    assert Alpaca("", "").decode(b'[{"T":"success","msg":"connected"}]') == [Welcome()]


# --- data ---------------------------------------------------------------------------------------


def test_one_frame_mixes_types_and_symbols_and_trades_of_a_symbol_are_one_list() -> None:
    found = events(trade(1), quote(2), trade(3, "F"), bar(0, 1.5), trade(4))
    topics = [event.topic for event in found if isinstance(event, Value)]
    assert topics == [TICKER, CANDLES, TRADES, topic("trade", "F")]
    assert [one["id"] for one in payload(found[2])] == ["1", "4"]


def test_times_are_exact_and_those_of_quotes_are_no_order() -> None:
    ticker, trades = (only(made(123_456_789)) for made in (quote, trade))
    assert isinstance(ticker, Value)
    assert isinstance(trades, Value)
    assert ticker.venue_ns == trades.venue_ns == LAST + 123_456_789
    assert (ticker.key, ticker.ordered) == (TICKER.text, False)
    assert trades.key == ""


def test_a_correction_and_a_cancel_stand_in_the_list_of_trades() -> None:
    cancel = {"T": "x", "S": "AAPL", "i": 1, "p": 1.5, "s": 2, "a": "C", "t": "2026-11-20T15:31:00Z"}
    fixed = {"oi": 1, "op": 1, "os": 1, "ci": 2, "cp": 2, "cs": 2, "t": "2026-11-20T15:32:00.5Z"}
    value = only(trade(9), cancel, {"T": "c", "S": "AAPL", **fixed})
    assert isinstance(value, Value)
    assert value.venue_ns == LAST + 120_500_000_000
    assert [sorted(one)[0] for one in payload(value)] == ["conditions", "action", "corrected"]


def test_bars_are_never_replaced() -> None:
    for kind in ("b", "u"):
        value = only(bar(0, 1.5, kind=kind))
        assert isinstance(value, Value)
        assert (value.topic, value.venue_ns, value.key) == (CANDLES, 0, "")


# --- what cannot be read ------------------------------------------------------------------------


def test_one_object_that_cannot_be_read_takes_nothing_else_with_it() -> None:
    found = events(trade(1), {**quote(2), "bp": "dear"}, {"T": "luld", "S": "AAPL"}, trade(3))
    first, broken, strange, second = found
    assert (payload(first)[0]["id"], payload(second)[0]["id"]) == ("1", "3")
    assert isinstance(broken, Malformed)
    assert (broken.topic, broken.foreign) == (TICKER, False)
    assert strange == Malformed("unknown type: 'luld'", None, foreign=True)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[",
        b"{}",
        b"null",
        b'"text"',
        b"1",
        b'[{"T":"q","S":"AAP',
        b"\xff",
        b"[[[[",
        b"[1]",
        b'[{"T":1}]',
    ],
)
def test_what_is_no_frame_may_have_been_anything(text: bytes) -> None:
    assert all(
        isinstance(one, Malformed) and one.topic is None and not one.foreign for one in CODEC.decode(text)
    )
    assert CODEC.decode(text)


def test_an_answer_that_cannot_be_read_may_have_been_anything() -> None:
    for broken in (
        {"T": "subscription", "trades": 1},
        {"T": "error", "code": "x"},
        {"T": "success", "msg": 1},
    ):
        event = only(broken)
        assert isinstance(event, Malformed)
        assert not event.foreign


def test_symbols_that_are_none_belong_to_nobody() -> None:
    for made in (trade(1, "*"), quote(1, "a b"), bar(0, 1.0, "")):
        event = only(made)
        assert isinstance(event, Malformed)
        assert event.foreign
    broken = only({"T": "q", "S": "a b"})
    assert isinstance(broken, Malformed)
    assert broken.foreign


def test_an_empty_frame_needs_nothing() -> None:
    assert events() == []
    assert CODEC.render(TICKER, {"price": "1"}) == b'{"symbol":"AAPL","price":"1"}'
