"""What a body must be to be passed on."""

from __future__ import annotations

import pytest

from feedmux.feed.body import Flaw, flaw_of


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b' {"a": [1, 2.50, -0e3, true, null], "b": "\\u00e9 \\" x"}\n',
        b'"text"',
        b"18446744073709551617",
        '{"who":"é€😀"}'.encode(),
        b"\r\n\t[1]",
        b"[" * 500 + b"]" * 500,
    ],
)
def test_whatever_is_json_passes(body: bytes) -> None:
    assert flaw_of(body, 10_000) is None


@pytest.mark.parametrize(
    ("body", "flaw"),
    [
        (b"", Flaw.NOT_JSON),
        (b" ", Flaw.NOT_JSON),
        (b"nothing", Flaw.NOT_JSON),
        (b'{"a":1', Flaw.NOT_JSON),
        (b'{"a":1}}', Flaw.NOT_JSON),
        (b'{"a":1,}', Flaw.NOT_JSON),
        (b"{'a':1}", Flaw.NOT_JSON),
        (b"[NaN]", Flaw.NOT_JSON),
        (b"[-Infinity]", Flaw.NOT_JSON),
        (b"[01]", Flaw.NOT_JSON),
        (b'"a\nb"', Flaw.NOT_JSON),
        (b"\xef\xbb\xbf{}", Flaw.NOT_JSON),
        (b'{"a":"\xff"}', Flaw.NOT_UTF8),
        (b'{"a":"\xed\xa0\x80"}', Flaw.NOT_UTF8),
        (b"[" * 4_000 + b"]" * 4_000, Flaw.TOO_DEEP),
        (b'"%s"' % (b"x" * 9_999), Flaw.TOO_LARGE),
    ],
)
def test_whatever_is_not_says_why(body: bytes, flaw: Flaw) -> None:
    assert flaw_of(body, 10_000) is flaw


def test_the_bound_itself_is_allowed() -> None:
    assert flaw_of(b'"%s"' % (b"x" * 9_998), 10_000) is None
