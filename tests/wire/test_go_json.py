from __future__ import annotations

import json

import pytest

from feedmux.wire import go_json

# What encoding/json of Go 1.26 itself says of each.
FAULTS = [
    (b"", "unexpected end of JSON input"),
    (b" ", "unexpected end of JSON input"),
    (b"x", "invalid character 'x' looking for beginning of value"),
    (b"ping!", "invalid character 'p' looking for beginning of value"),
    (b"\xff", "invalid character 'ÿ' looking for beginning of value"),
    (b"\xc3\xbc", "invalid character 'Ã' looking for beginning of value"),
    (b"\x00", "invalid character '\\x00' looking for beginning of value"),
    (b"\x07", "invalid character '\\a' looking for beginning of value"),
    (b"\x08", "invalid character '\\b' looking for beginning of value"),
    (b"\x0b", "invalid character '\\v' looking for beginning of value"),
    (b"\x0c", "invalid character '\\f' looking for beginning of value"),
    (b"\x1f", "invalid character '\\x1f' looking for beginning of value"),
    (b"\x7f", "invalid character '\\x7f' looking for beginning of value"),
    (b"\x80", "invalid character '\\u0080' looking for beginning of value"),
    (b"\xa0", "invalid character '\\u00a0' looking for beginning of value"),
    (b"\xad", "invalid character '\\u00ad' looking for beginning of value"),
    (b"'", "invalid character '\\'' looking for beginning of value"),
    (b"\\", "invalid character '\\\\' looking for beginning of value"),
    (b"<a>", "invalid character '<' looking for beginning of value"),
    (b"\xef\xbb\xbf{}", "invalid character 'ï' looking for beginning of value"),
    (b"{", "unexpected end of JSON input"),
    (b'{"', "unexpected end of JSON input"),
    (b'{"a', "unexpected end of JSON input"),
    (b'{"a"', "unexpected end of JSON input"),
    (b'{"a":', "unexpected end of JSON input"),
    (b'{"a":1', "unexpected end of JSON input"),
    (b'{"a":1,', "unexpected end of JSON input"),
    (b'{"a":1,}', "invalid character '}' looking for beginning of object key string"),
    (b"{,}", "invalid character ',' looking for beginning of object key string"),
    (b"{a:1}", "invalid character 'a' looking for beginning of object key string"),
    (b"{'a':1}", "invalid character '\\'' looking for beginning of object key string"),
    (b"{1:1}", "invalid character '1' looking for beginning of object key string"),
    (b'{"a" 1}', "invalid character '1' after object key"),
    (b'{"a"}', "invalid character '}' after object key"),
    (b'{"a":}', "invalid character '}' looking for beginning of value"),
    (b'{"a":1 "b":2}', "invalid character '\"' after object key:value pair"),
    (b'{"a":1]', "invalid character ']' after object key:value pair"),
    (b'{"a":[1}', "invalid character '}' after array element"),
    (b'{"a":"b" x', "invalid character 'x' after object key:value pair"),
    (b"{}}", "invalid character '}' after top-level value"),
    (b"{} {}", "invalid character '{' after top-level value"),
    (b"1 2", "invalid character '2' after top-level value"),
    (b"[", "unexpected end of JSON input"),
    (b"[1", "unexpected end of JSON input"),
    (b"[1,", "unexpected end of JSON input"),
    (b"[1,]", "invalid character ']' looking for beginning of value"),
    (b"[,", "invalid character ',' looking for beginning of value"),
    (b"[1 2]", "invalid character '2' after array element"),
    (b"[}", "invalid character '}' looking for beginning of value"),
    (b"{]", "invalid character ']' looking for beginning of object key string"),
    (b"]", "invalid character ']' looking for beginning of value"),
    (b"[1]]", "invalid character ']' after top-level value"),
    (b'"a\nb"', "invalid character '\\n' in string literal"),
    (b'"a\x00"', "invalid character '\\x00' in string literal"),
    (b'"\\', "invalid character ' ' in string escape code"),
    (b'"\\x"', "invalid character 'x' in string escape code"),
    (b'"\\u"', "invalid character '\"' in \\u hexadecimal character escape"),
    (b'"\\u12', "invalid character ' ' in \\u hexadecimal character escape"),
    (b'"\\u12g4"', "invalid character 'g' in \\u hexadecimal character escape"),
    (b'"\\u123', "invalid character ' ' in \\u hexadecimal character escape"),
    (b'"\\u00ff\\q"', "invalid character 'q' in string escape code"),
    (b'"', "unexpected end of JSON input"),
    (b"t", "invalid character ' ' in literal true (expecting 'r')"),
    (b"tru", "invalid character ' ' in literal true (expecting 'e')"),
    (b"trux", "invalid character 'x' in literal true (expecting 'e')"),
    (b"fals", "invalid character ' ' in literal false (expecting 'e')"),
    (b"faLse", "invalid character 'L' in literal false (expecting 'l')"),
    (b"n", "invalid character ' ' in literal null (expecting 'u')"),
    (b"nul", "invalid character ' ' in literal null (expecting 'l')"),
    (b"nil", "invalid character 'i' in literal null (expecting 'u')"),
    (b"truee", "invalid character 'e' after top-level value"),
    (b"NaN", "invalid character 'N' looking for beginning of value"),
    (b"-Infinity", "invalid character 'I' in numeric literal"),
    (b"-", "invalid character ' ' in numeric literal"),
    (b"-x", "invalid character 'x' in numeric literal"),
    (b"01", "invalid character '1' after top-level value"),
    (b"1.", "invalid character ' ' after decimal point in numeric literal"),
    (b"1.x", "invalid character 'x' after decimal point in numeric literal"),
    (b"1e", "invalid character ' ' in exponent of numeric literal"),
    (b"1e+", "invalid character ' ' in exponent of numeric literal"),
    (b"1ex", "invalid character 'x' in exponent of numeric literal"),
    (b"1.5e-", "invalid character ' ' in exponent of numeric literal"),
    (b".5", "invalid character '.' looking for beginning of value"),
    (b"+1", "invalid character '+' looking for beginning of value"),
    (b"--1", "invalid character '-' in numeric literal"),
    (b"1.2.3", "invalid character '.' after top-level value"),
    (b"0x10", "invalid character 'x' after top-level value"),
    (b'{"a":-}', "invalid character '}' in numeric literal"),
    (b"[1.]", "invalid character ']' after decimal point in numeric literal"),
]


@pytest.mark.parametrize(("text", "fault"), FAULTS)
def test_a_fault_is_told_in_go_s_words(text: bytes, fault: str) -> None:
    assert go_json.fault_of(text) == fault


def test_a_fault_is_found_behind_a_string_of_any_length() -> None:
    assert go_json.fault_of(b'{"' + b"a" * 1_000_000 + b'"}') == "invalid character '}' after object key"
    assert go_json.fault_of(b'{"' + b"\\n" * 1_000_000) == "unexpected end of JSON input"


def test_a_fault_behind_very_many_tokens_is_not_looked_for() -> None:
    assert go_json.fault_of(b"[" * 4000) == "unexpected end of JSON input"
    assert go_json.fault_of(b"[" * 1_000_000) == "invalid JSON after the first 4096 tokens"


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("", b'""'),
        ("eurusd.trades", b'"eurusd.trades"'),
        ("<a>&'", b'"\\u003ca\\u003e\\u0026\'"'),
        ("\u2028\u2029", b'"\\u2028\\u2029"'),
        ('"\\/', b'"\\"\\\\/"'),
        ("\n\r\t\b\f\v\x00\x1f\x7f", b'"\\n\\r\\t\\u0008\\u000c\\u000b\\u0000\\u001f\x7f"'),
        ("ü☃😀", '"ü☃😀"'.encode()),
        ("\ud800", b'"?"'),
    ],
)
def test_a_string_is_written_as_go_writes_it(text: str, written: bytes) -> None:
    assert go_json.string(text) == written
    if text.isprintable():
        assert json.loads(written) == text
