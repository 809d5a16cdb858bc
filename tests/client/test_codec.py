from __future__ import annotations

from decimal import Decimal

import pytest

from feedmux.client.codec import JsonCodec
from feedmux.client.deribit_adapter import DecimalCodec
from feedmux.model.errors import MalformedMessage


@pytest.mark.parametrize(
    ("message", "payload", "is_binary"),
    [(b"\x00", b"\x00", True), ("text", b"text", False), ({"a": [1, None]}, b'{"a":[1,null]}', False)],
)
def test_messages_are_written_by_their_kind(message: object, payload: bytes, is_binary: bool) -> None:
    assert JsonCodec().encode(message) == (payload, is_binary)


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(MalformedMessage, match="malformed message to send"):
        JsonCodec().encode({"a": object()})


@pytest.mark.parametrize(
    ("payload", "message"),
    [(b'{"a":1.5}', {"a": 1.5}), (b"hello", "hello"), ("ü {".encode(), "ü {"), (b"", "")],
)
def test_text_is_json_or_stays_text(payload: bytes, message: object) -> None:
    assert JsonCodec().decode(payload, False) == message


@pytest.mark.parametrize("payload", [b"\xff", b'{"a": "\xff"}', b"[" * 100_000 + b"\xff"])
def test_text_that_is_not_utf8_is_refused(payload: bytes) -> None:
    with pytest.raises(MalformedMessage, match="not UTF-8"):
        JsonCodec().decode(payload, False)


@pytest.mark.parametrize(
    "text",
    [
        "NaN", "[Infinity]", '{"a": -NaN}', "9" * 5000, "NULL",
        "[" * 100_000, '{"a":' * 100_000, "01", "\ufeff{}", "'a'", '"\\ud800"', '{"a" 1}', '{"a":1', "\x00",
    ],
    ids=lambda text: f"{text:.10}",
)  # fmt: skip
@pytest.mark.parametrize("codec", [JsonCodec(), DecimalCodec()], ids=["json", "decimal"])
def test_text_that_is_no_json_stays_text_whatever_it_is(codec: JsonCodec, text: str) -> None:
    assert codec.decode(text.encode(), False) == text


@pytest.mark.parametrize("text", ["1e99999999999999999999", "[-1e-99999999999999999999]"])
def test_a_number_that_no_decimal_can_be_stays_text(text: str) -> None:
    assert DecimalCodec().decode(text.encode(), False) == text


@pytest.mark.parametrize("message", ["s3cret \ud800", {"key": "s3cret \ud800"}, {"s3cret": object()}])
def test_an_error_does_not_carry_what_could_not_be_written(message: object) -> None:
    with pytest.raises(MalformedMessage) as caught:
        JsonCodec().encode(message)
    assert caught.value.__context__ is None
    assert "s3cret" not in f"{caught.value!s} {caught.value!r}"


def test_an_error_does_not_carry_what_could_not_be_read() -> None:
    for payload in (b"s3cret \xff", b'{"key": "s3cret \xff"}'):
        with pytest.raises(MalformedMessage) as caught:
            JsonCodec().decode(payload, False)
        assert caught.value.__context__ is None
        assert "s3cret" not in f"{caught.value!s} {caught.value!r}"


def test_of_two_members_of_one_name_the_last_counts() -> None:
    assert JsonCodec().decode(b'{"id":1,"id":2}', False) == {"id": 2}


def test_decimals_are_exact_where_it_matters() -> None:
    assert DecimalCodec().decode(b"[0.1, 1.423e-4, 7]", False) == [Decimal("0.1"), Decimal("0.0001423"), 7]
