from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from feedmux.model.errors import MalformedMessage
from feedmux.model.event import Envelope
from feedmux.wire.envelope import decode, encode
from support.any_envelopes import ENVELOPES
from support.examples import EXAMPLES


@given(ENVELOPES)
def test_what_was_written_is_read(envelope: Envelope) -> None:
    data = encode(envelope)
    assert decode(data) == envelope
    assert decode(memoryview(bytearray(data))) == envelope


def readable_or_malformed(data: bytes) -> None:
    """The oracle: a documented error, or a value that has just this one spelling."""
    try:
        envelope = decode(data)
    except MalformedMessage:
        return
    assert encode(envelope) == data


@given(st.binary(max_size=120))
def test_any_bytes_are_an_envelope_or_malformed(data: bytes) -> None:
    readable_or_malformed(data)


@settings(max_examples=EXAMPLES)
@given(ENVELOPES, st.data())
def test_a_damaged_envelope_is_another_envelope_or_malformed(envelope: Envelope, data: st.DataObject) -> None:
    damaged = bytearray(encode(envelope))
    at = data.draw(st.integers(0, len(damaged) - 1))
    damaged[at] = data.draw(st.integers(0, 255))
    readable_or_malformed(bytes(damaged))
    readable_or_malformed(bytes(damaged[:at]))
