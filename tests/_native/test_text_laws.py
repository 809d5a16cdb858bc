"""The native writers write what their specifications write, to the byte."""

from __future__ import annotations

import json
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from feedmux._native.text import MergedText, ObjectText, data_frame, data_text
from feedmux.core.ticker import MAX_FIELDS, Unmerged
from feedmux.feed.writer import RenderedMerge
from feedmux.venue.bybit_data import CARRIED, TICKER_PLAN, write_ticker
from feedmux.wire import frame
from support.examples import EXAMPLES

PIECES = st.one_of(
    st.binary(max_size=200),
    st.integers(60, 130).map(lambda size: b"x" * size),
    st.integers(65_400, 65_600).map(lambda size: b"x" * size),
)
NUMBERS = st.one_of(st.integers(0, 2**63 - 1), st.integers(-(2**63), 0), st.sampled_from([0, 9, 10, 99, 100]))
TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    st.decimals(allow_nan=False, allow_infinity=False, places=4).map(str),
    st.just(""),
    st.just("x" * 3000),
)

HOW = ObjectText(TICKER_PLAN)
FIELDS = st.sampled_from([*sorted(CARRIED), "other"])


@given(prefix=PIECES, payload=PIECES, milliseconds=NUMBERS, source=PIECES, seq=NUMBERS)
@settings(max_examples=EXAMPLES, deadline=None)
def test_a_data_frame_is_the_same_and_so_is_its_text(
    prefix: bytes, payload: bytes, milliseconds: int, source: bytes, seq: int
) -> None:
    expected = frame.data_frame(prefix, payload, milliseconds, source, seq)
    assert data_frame(prefix, payload, milliseconds, source, seq) == expected
    expected = frame.data_text(prefix, payload, milliseconds, source, seq)
    assert data_text(prefix, payload, milliseconds, source, seq) == expected


def twins(symbol: str) -> tuple[MergedText, RenderedMerge]:
    return MergedText(HOW, symbol), RenderedMerge(partial(write_ticker, symbol))


class MergeModel(RuleBasedStateMachine):
    """Both are told the same."""

    @initialize(symbol=TEXTS)
    def begin(self, symbol: str) -> None:
        self.symbol = symbol
        self.native, self.python = twins(symbol)

    @rule(
        snapshot=st.sampled_from([False, False, False, True]),
        order=st.integers(0, 5),
        fields=st.dictionaries(FIELDS, TEXTS, max_size=25),
    )
    def part(self, snapshot: bool, order: int, fields: dict[str, str]) -> None:
        written = self.python.apply(snapshot, order, fields)
        assert self.native.apply(snapshot, order, fields) == written
        if isinstance(written, bytes):
            assert json.loads(written)["symbol"] == self.symbol

    @rule()
    def clear(self) -> None:
        self.native.clear()
        self.python.clear()


TestMerges = MergeModel.TestCase
TestMerges.settings = settings(max_examples=EXAMPLES, stateful_step_count=20, deadline=None)


def test_every_field_of_a_whole_ticker_is_written() -> None:
    state = {name: f"{number}" for number, name in enumerate(sorted(CARRIED))}
    written = MergedText(HOW, "BTCUSDT").apply(True, 1, state)
    assert written == write_ticker("BTCUSDT", state)
    assert len(json.loads(written)) == len(TICKER_PLAN) + 1


def test_a_state_that_is_too_large_is_no_ticker() -> None:
    native, python = twins("BTCUSDT")
    fields = {f"f{number}": "1" for number in range(MAX_FIELDS + 1)}
    assert native.apply(True, 1, fields) is python.apply(True, 1, fields) is Unmerged.DESYNC
    assert native.apply(False, 2, {}) is python.apply(False, 2, {}) is Unmerged.WAITING


def test_anything_else_is_refused() -> None:
    with pytest.raises(TypeError):
        MergedText(HOW, b"BTCUSDT")  # type: ignore[arg-type]
    merged = MergedText(HOW, "BTCUSDT")
    for wrong in ({"lastPrice": 5}, None, [("lastPrice", "1")]):
        with pytest.raises(TypeError):
            merged.apply(True, 1, wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [None, "text", bytearray(b"x")])
def test_frames_are_made_of_bytes(wrong: object) -> None:
    with pytest.raises(TypeError):
        data_frame(wrong, b"", 0, b"", 0)  # type: ignore[arg-type]
