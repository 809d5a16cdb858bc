from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from feedmux.core.hiding import MASK, SECRET_NAMES, Mask
from support.examples import EXAMPLES

SECRET = "hunter22"
KNOWING = Mask([SECRET])

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
NUMBERS = st.decimals(allow_nan=False, allow_infinity=False, places=3).map(lambda number: f"{number:f}")
NAMES = st.sampled_from(["price", "data", "ts", "key", "é"])
SECRETS = st.sampled_from(sorted(SECRET_NAMES))
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(), TEXTS, st.just(f"a {SECRET} b"))


def nested(leaves: st.SearchStrategy[Any], names: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    return st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4)
    )


VALUES = nested(LEAVES, NAMES | SECRETS | st.just(SECRET))
HARMLESS = nested(st.one_of(st.none(), st.booleans(), st.integers(), TEXTS), NAMES)


def hidden(value: Any) -> Any:
    """The law in plain words."""
    if isinstance(value, str):
        return value.replace(SECRET, MASK)
    if isinstance(value, list):
        return [hidden(item) for item in value]
    if isinstance(value, dict):
        return {
            name.replace(SECRET, MASK): MASK if name in SECRET_NAMES else hidden(item)
            for name, item in value.items()
        }
    return value


@given(value=VALUES, ascii_only=st.booleans())
@settings(max_examples=EXAMPLES, deadline=None)
def test_of_any_json_exactly_the_secrets_are_hidden(value: Any, ascii_only: bool) -> None:
    payload = json.dumps(value, ensure_ascii=ascii_only).encode()
    assert json.loads(KNOWING.payload(payload)) == hidden(value)


@given(value=HARMLESS, ascii_only=st.booleans())
@settings(max_examples=EXAMPLES, deadline=None)
def test_json_without_secrets_is_not_touched(value: Any, ascii_only: bool) -> None:
    payload = json.dumps(value, ensure_ascii=ascii_only).encode()
    assert KNOWING.payload(payload) is payload


@given(number=NUMBERS)
@settings(max_examples=EXAMPLES, deadline=None)
def test_numbers_beside_a_secret_keep_their_digits(number: str) -> None:
    masked = KNOWING.payload(f'{{"price":{number},"token":1}}'.encode())
    assert str(json.loads(masked, parse_float=Decimal)["price"]) == str(Decimal(number))


@given(before=st.binary(max_size=20), after=st.binary(max_size=20))
@settings(max_examples=EXAMPLES, deadline=None)
def test_whatever_is_around_it_a_known_secret_never_passes(before: bytes, after: bytes) -> None:
    assert SECRET.encode() not in KNOWING.payload(before + SECRET.encode() + after)


@given(value=VALUES, cut=st.integers(1, 30))
@settings(max_examples=EXAMPLES, deadline=None)
def test_half_a_message_gives_no_more_away_than_a_whole_one(value: Any, cut: int) -> None:
    payload = json.dumps({"token": "s3cr3t", "more": value}).encode()
    masked = KNOWING.payload(payload[:-cut])
    assert b"s3cr3t" not in masked
    assert SECRET.encode() not in masked


@given(data=st.binary(max_size=60))
@settings(max_examples=EXAMPLES, deadline=None)
def test_nothing_raises_whatever_the_bytes(data: bytes) -> None:
    KNOWING.payload(data)
    KNOWING.payload(b'{"token":' + data)
    KNOWING.text(data.decode(errors="surrogateescape"))
