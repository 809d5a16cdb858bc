"""The native envelope is the specification's: the same bytes, the same envelopes, the same errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feedmux._native import envelope as native
from feedmux.model.errors import MalformedMessage
from feedmux.model.event import Envelope, EventKind
from feedmux.wire import envelope as specification
from feedmux.wire.envelope import MAX_KEY_BYTES, MAX_PAYLOAD_BYTES
from support.any_envelopes import ENVELOPES
from support.envelopes import TICKER, update
from support.examples import EXAMPLES


def outcome(call: Callable[[Any], object], argument: object) -> object:
    """What it returns, or which error it raises with which words."""
    try:
        return call(argument)
    except MalformedMessage as error:
        return type(error), str(error)


@settings(max_examples=EXAMPLES)
@given(st.lists(ENVELOPES, min_size=1, max_size=5))
def test_what_was_written_is_the_same_and_is_read(envelopes: list[Envelope]) -> None:
    written = [native.encode(envelope) for envelope in envelopes]
    assert written == [specification.encode(envelope) for envelope in envelopes]
    assert [native.decode(one) for one in written] == envelopes
    assert native.decode_all(b"".join(written)) == envelopes
    assert native.decode(memoryview(bytearray(written[0]))) == envelopes[0]


@settings(max_examples=EXAMPLES)
@given(st.lists(ENVELOPES, min_size=1, max_size=3), st.data())
def test_what_is_damaged_is_the_same(envelopes: list[Envelope], data: st.DataObject) -> None:
    damaged = bytearray(b"".join(map(native.encode, envelopes)))
    at = data.draw(st.integers(0, min(len(damaged) - 1, 60)) | st.integers(0, len(damaged) - 1))
    damaged[at] = data.draw(st.integers(0, 255))
    for said in (bytes(damaged), bytes(damaged[:at]), bytes(damaged) + b"f"):
        assert outcome(native.decode_all, said) == outcome(specification.decode_all, said)
        assert outcome(native.decode, said) == outcome(specification.decode, said)


@pytest.mark.parametrize(
    "change",
    [
        {"epoch": -1},
        {"epoch": 2**64},
        {"seq": 2**64},
        {"seq": -1},
        {"venue_ns": 2**63},
        {"receive_ns": -(2**63) - 1},
        {"epoch": "x"},
        {"key": "\ud800"},
        {"key": "k" * (MAX_KEY_BYTES + 1)},
        {"key": "\xe9" * (MAX_KEY_BYTES // 2 + 1)},
        {"payload": b"x" * (MAX_PAYLOAD_BYTES + 1)},
        {"topic": msgspec.structs.replace(TICKER, instrument="B" * 2000)},
    ],
)
def test_what_does_not_fit_is_refused_in_the_same_words(change: dict[str, Any]) -> None:
    unfit = msgspec.structs.replace(update(TICKER, 1), **change)
    said = outcome(native.encode, unfit)
    assert isinstance(said, tuple)
    assert said == outcome(specification.encode, unfit)


@pytest.mark.parametrize(
    "change",
    [
        {"payload": bytearray(b"{}")},
        {"payload": memoryview(b"{}")},
        {"kind": 3},
        {"kind": EventKind.STATUS},
        {"key": "k" * MAX_KEY_BYTES},
        {"payload": b"x" * MAX_PAYLOAD_BYTES},
        {"epoch": 2**64 - 1, "seq": 2**64 - 1, "venue_ns": -(2**63), "receive_ns": 2**63 - 1},
    ],
)
def test_what_is_unusual_is_written_in_the_same_way(change: dict[str, Any]) -> None:
    unusual = msgspec.structs.replace(update(TICKER, 1), **change)
    assert native.encode(unusual) == specification.encode(unusual)
