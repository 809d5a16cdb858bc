from __future__ import annotations

import json
import re

from hypothesis import given, settings
from hypothesis import strategies as st

from feedmux.wire import go_json
from support.examples import EXAMPLES

TOKENS = st.sampled_from(
    [
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b'"',
        b'"a"',
        b"\\",
        b"u12",
        b"1",
        b"-",
        b".",
        b"e",
        b"true",
        b"nul",
        b" ",
    ]
) | st.binary(max_size=2)
TEXTS = st.binary(max_size=60) | st.lists(TOKENS, max_size=12).map(b"".join)
SENTENCE = re.compile(r"invalid character '.*' \S.*|unexpected end of JSON input")


def is_json(text: bytes) -> bool:
    try:
        json.loads(text.decode(errors="replace"), parse_constant=int)
    except ValueError:
        return False
    return True


@given(text=TEXTS)
@settings(max_examples=EXAMPLES, deadline=None)
def test_any_text_that_is_no_json_has_a_fault(text: bytes) -> None:
    if not is_json(text):
        assert SENTENCE.fullmatch(go_json.fault_of(text))


@given(text=TEXTS, more=TEXTS)
@settings(max_examples=EXAMPLES, deadline=None)
def test_what_follows_a_fault_does_not_change_it(text: bytes, more: bytes) -> None:
    fault, longer = go_json.fault_of(text), go_json.fault_of(text + more)
    if "'" in fault and "' '" not in fault:
        assert longer == fault


@given(text=st.text(st.characters(exclude_categories=["Cs"])))
@settings(max_examples=EXAMPLES, deadline=None)
def test_a_string_reads_back_and_is_safe_in_a_page(text: str) -> None:
    written = go_json.string(text)
    assert json.loads(written) == text
    assert not set(written.decode()) & set("<>&\u2028\u2029\n")
