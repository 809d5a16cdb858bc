from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from feedmux.model.errors import MalformedMessage
from feedmux.model.event import Envelope
from feedmux.wire.record import Drop, Hello, Lost, Record, RecordDecoder, Want, encode
from support.any_envelopes import ENVELOPES, SIGNED, TOPICS, UNSIGNED

RECORDS = st.one_of(
    ENVELOPES, st.builds(Lost, UNSIGNED), st.builds(Want, TOPICS, SIGNED), st.builds(Drop, TOPICS)
)
HELLO = encode(Hello())


def everything(pieces: Iterable[bytes]) -> tuple[list[Record], str]:
    """What a decoder hands out of a stream cut into ``pieces``, and how it ended."""
    decoder = RecordDecoder(Envelope, Lost, Want, Drop)
    records: list[Record] = []
    try:
        for piece in pieces:
            decoder.feed(piece)
            records.extend(decoder.records())  # extend keeps what came before a fault
    except MalformedMessage as error:
        return records, str(error)
    return records, "open" if decoder.is_open else "expecting"


def bytewise(stream: bytes) -> list[bytes]:
    return [stream[at : at + 1] for at in range(len(stream))]


@given(st.lists(RECORDS, max_size=6))
def test_what_was_written_is_read(records: list[Record]) -> None:
    stream = HELLO + b"".join(map(encode, records))
    assert everything([stream]) == (records, "open")


@given(st.lists(RECORDS, max_size=4), st.binary(max_size=12), st.data())
def test_fed_in_any_pieces_is_fed_whole(records: list[Record], tail: bytes, data: st.DataObject) -> None:
    stream = HELLO + b"".join(map(encode, records)) + tail
    whole = everything([stream])
    assert everything(bytewise(stream)) == whole
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=5)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert everything(pieces) == whole


@given(st.booleans(), st.binary(max_size=80))
def test_any_bytes_are_records_or_malformed(is_greeted: bool, noise: bytes) -> None:
    stream = HELLO + noise if is_greeted else noise
    assert everything([stream]) == everything(bytewise(stream))


@given(st.lists(RECORDS, min_size=1, max_size=3), st.data())
def test_a_damaged_stream_is_records_or_malformed(records: list[Record], data: st.DataObject) -> None:
    stream = bytearray(HELLO + b"".join(map(encode, records)))
    stream[data.draw(st.integers(0, len(stream) - 1))] = data.draw(st.integers(0, 255))
    assert everything([bytes(stream)]) == everything(bytewise(bytes(stream)))
