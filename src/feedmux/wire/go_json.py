"""JSON as Go's encoding/json writes it, and what that says of a text that is none.

Clients of the dialects that were born in Go compare these texts, so they are the same to the letter:
strings are written with ``<``, ``>``, ``&``, U+2028 and U+2029 escaped, and a fault is named by the
first character that cannot stand where it stands.

Theory of operation
-------------------
A text is read token by token; what may come next is a state, and every token that is a value leads to
``after``::

    state         a value  other tokens                 anything else is
    value         after                                 looking for beginning of value
    value or ]    after    ``]``: after                 looking for beginning of value
    key           colon    (only a string is a key)     looking for beginning of object key string
    key or }      colon    ``}``: after                 looking for beginning of object key string
    colon         -        ``:``: value                 after object key
    after, in {}  -        ``,``: key · ``}``: after    after object key:value pair
    after, in []  -        ``,``: value · ``]``: after  after array element
    after, at top -                                     after top-level value

The end of the text is read as one blank more, as Go does: where a blank cannot stand, it is the fault.

Source: Go's encoding/json, scanner.go and encode.go (Go 1.20); tried against the library itself.
"""

from __future__ import annotations

import re
from typing import Final

UNEXPECTED_END: Final = "unexpected end of JSON input"
MAX_TOKENS: Final = 4096
"""How far a fault is looked for; behind that it is only said that there is one."""
FAR: Final = f"invalid JSON after the first {MAX_TOKENS} tokens"

_SPACE: Final = re.compile(rb"[ \t\r\n]*")
_CHARACTERS: Final = re.compile(rb'(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+')
_HEXADECIMAL: Final = re.compile(rb"[0-9a-fA-F]{0,4}")
_NUMBER: Final = re.compile(rb"-?(0|[1-9][0-9]*)?(\.([0-9]+)?)?([eE][+-]?([0-9]+)?)?")
_LITERALS: Final = {word[0]: word for word in (b"true", b"false", b"null")}

_VALUE = "looking for beginning of value"
_KEY = "looking for beginning of object key string"
_EXPECTED: Final = {
    "value": _VALUE,
    "value or ]": _VALUE,
    "key": _KEY,
    "key or }": _KEY,
    "colon": "after object key",
    "after {": "after object key:value pair",
    "after [": "after array element",
    "after": "after top-level value",
}
"""What is said of a character that cannot stand in a state."""
_STEPS: Final = {
    ("value", b"{"): ("key or }", b"{"),
    ("value", b"["): ("value or ]", b"["),
    ("value or ]", b"{"): ("key or }", b"{"),
    ("value or ]", b"["): ("value or ]", b"["),
    ("value or ]", b"]"): ("after", b"]"),
    ("key or }", b"}"): ("after", b"}"),
    ("colon", b":"): ("value", b""),
    ("after {", b","): ("key", b""),
    ("after {", b"}"): ("after", b"}"),
    ("after [", b","): ("value", b""),
    ("after [", b"]"): ("after", b"]"),
}
"""State and token to the next state, and the bracket that is opened or closed on the way."""

_ESCAPES: Final = {
    **{code: f"\\u{code:04x}" for code in (*range(0x20), *map(ord, "<>&\u2028\u2029"))},
    **{ord(char): escape for char, escape in {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.items()},
    **{ord(char): f"\\{char}" for char in '"\\'},
}
_NAMED: Final = {
    **{code: f"\\{letter}" for code, letter in enumerate("abtnvfr", 7)},
    **{ord('"'): '"', ord("'"): "\\'", ord("\\"): "\\\\"},
}


class _Fault(Exception):
    """Where a text stops being JSON, and what was read there."""

    def __init__(self, at: int, context: str) -> None:
        super().__init__(at, context)
        self.at, self.context = at, context


def string(text: str) -> bytes:
    """Write a string, quotes included; half a surrogate pair, which has no bytes, becomes ``?``."""
    return b'"%b"' % text.translate(_ESCAPES).encode(errors="replace")


def fault_of(data: bytes) -> str:
    """Say what is wrong with a text that is no JSON, as Go says it.

    Args:
        data: the text, of any length; no more than :data:`MAX_TOKENS` tokens of it are read.
    """
    padded = data + b" "
    try:
        _read(padded)
    except _Fault as fault:
        return f"invalid character {_quoted(padded[fault.at])} {fault.context}"
    except OverflowError:
        return FAR
    return UNEXPECTED_END


def _read(data: bytes) -> None:
    """Go through the text to its end.

    Raises:
        _Fault: it cannot go on.
        OverflowError: it is too long.
    """
    state, brackets, at = "value", bytearray(), 0
    for _ in range(MAX_TOKENS):
        at = _end_of(_SPACE, data, at)
        if at == len(data):
            return
        token = data[at : at + 1]
        if state == "after" and brackets:
            state = f"after {chr(brackets[-1])}"
        if (step := _STEPS.get((state, token))) is not None:
            state, bracket = step
            if state == "after":
                brackets.pop()
            else:
                brackets += bracket
            at += 1
        else:
            at = _end_of_value(data, at, state)
            state = "colon" if state.startswith("key") else "after"
    raise OverflowError


def _end_of_value(data: bytes, at: int, state: str) -> int:
    """Where a string, a number or a literal ends, if one may stand there."""
    first = data[at]
    if first == ord('"') and state.startswith(("key", "value")):
        return _end_of_string(data, at + 1)
    if state.startswith("value"):
        if first in _LITERALS:
            return _end_of_literal(data, at, _LITERALS[first])
        if first in b"-0123456789":
            return _end_of_number(data, at)
    raise _Fault(at, _EXPECTED[state])


def _end_of_string(data: bytes, at: int) -> int:
    at = _end_of(_CHARACTERS, data, at)
    if at == len(data):
        return at
    if data[at] == ord('"'):
        return at + 1
    if data[at] != ord("\\"):
        raise _Fault(at, "in string literal")
    at += 1
    if data[at] != ord("u"):
        raise _Fault(at, "in string escape code")
    raise _Fault(_end_of(_HEXADECIMAL, data, at + 1), "in \\u hexadecimal character escape")


def _end_of_literal(data: bytes, at: int, word: bytes) -> int:
    for offset, expected in enumerate(word):
        if data[at + offset] != expected:
            raise _Fault(at + offset, f"in literal {word.decode()} (expecting '{chr(expected)}')")
    return at + len(word)


def _end_of_number(data: bytes, at: int) -> int:
    number = _NUMBER.match(data, at)
    assert number is not None, "it may be empty"
    if number[1] is None:
        raise _Fault(at + 1, "in numeric literal")
    if number[2] is not None and number[3] is None:
        raise _Fault(number.start(2) + 1, "after decimal point in numeric literal")
    if number[4] is not None and number[5] is None:
        raise _Fault(number.end(4), "in exponent of numeric literal")
    return number.end()


def _end_of(pattern: re.Pattern[bytes], data: bytes, at: int) -> int:
    match = pattern.match(data, at)
    assert match is not None, "it may be empty"
    return match.end()


def _quoted(byte: int) -> str:
    """Write a byte, which Go takes for a character of Latin-1, as Go quotes it."""
    if byte in _NAMED:
        return f"'{_NAMED[byte]}'"
    if chr(byte).isprintable():
        return f"'{chr(byte)}'"
    return f"'\\x{byte:02x}'" if byte < 0x80 else f"'\\u{byte:04x}'"
