from __future__ import annotations

import pytest

from feedmux.edge.credentials import Credentials, find
from feedmux.model.access_errors import TokenCode, TokenRefused

AUTHORIZATION = ("Authorization", "Bearer a.b.c")
PROTOCOL = ("Sec-WebSocket-Protocol", "bearer, a.b.c")
HOST = ("Host", "localhost")
Headers = list[tuple[str, str]]


@pytest.mark.parametrize(
    ("headers", "query", "found"),
    [
        ([], "", None),
        ([HOST], "stream=order", None),
        ([HOST, AUTHORIZATION], "", Credentials("a.b.c")),
        ([("AUTHORIZATION", "bearer  a.b.c ")], "", Credentials("a.b.c")),
        ([("authorization", "Bearer")], "", Credentials("")),
        ([PROTOCOL, HOST], "", Credentials("a.b.c", "bearer")),
        ([("sec-websocket-protocol", "bearer,a.b.c")], "", Credentials("a.b.c", "bearer")),
        ([("Sec-WebSocket-Protocol", "v1, bearer, a.b.c, v2")], "", Credentials("a.b.c", "bearer")),
        ([(PROTOCOL[0], "bearer"), (PROTOCOL[0], "a.b.c")], "", Credentials("a.b.c", "bearer")),
        ([(PROTOCOL[0], "bearer")], "", Credentials("", "bearer")),
        ([(PROTOCOL[0], "graphql-ws, v1")], "", None),
        ([(PROTOCOL[0], "BEARER, a.b.c")], "", None),
    ],
)
def test_where_a_token_is(headers: Headers, query: str, found: Credentials | None) -> None:
    assert find(headers, query) == found
    assert find(headers, query, in_url=True) == found


@pytest.mark.parametrize(
    ("query", "token"),
    [
        ("token=a.b.c", "a.b.c"),
        ("stream=order&token=a%2Eb.c&stream=trade", "a.b.c"),
        ("token=", ""),
        ("Token=a.b.c", None),
        ("tokens=a.b.c", None),
    ],
)
def test_a_token_in_the_url_counts_where_it_may(query: str, token: str | None) -> None:
    assert find([], query, in_url=True) == (None if token is None else Credentials(token))


@pytest.mark.parametrize(
    ("headers", "query", "in_url", "code"),
    [
        ([AUTHORIZATION, AUTHORIZATION], "", False, TokenCode.AMBIGUOUS),
        ([AUTHORIZATION, PROTOCOL], "", False, TokenCode.AMBIGUOUS),
        ([PROTOCOL, PROTOCOL], "", False, TokenCode.AMBIGUOUS),
        ([(PROTOCOL[0], "bearer, a.b.c, bearer, d.e.f")], "", False, TokenCode.AMBIGUOUS),
        ([AUTHORIZATION], "token=a.b.c", True, TokenCode.AMBIGUOUS),
        ([PROTOCOL], "token=a.b.c", True, TokenCode.AMBIGUOUS),
        ([], "token=a.b.c&token=a.b.c", True, TokenCode.AMBIGUOUS),
        ([], "token=a.b.c", False, TokenCode.IN_URL),
        ([("Authorization", "Basic YTpi")], "", False, TokenCode.WRONG_SCHEME),
        ([("Authorization", "a.b.c")], "", False, TokenCode.WRONG_SCHEME),
        ([("Authorization", "")], "", False, TokenCode.WRONG_SCHEME),
        ([AUTHORIZATION, ("Authorization", "Basic YTpi")], "", False, TokenCode.WRONG_SCHEME),
    ],
)
def test_what_is_not_clear_is_refused(headers: Headers, query: str, in_url: bool, code: TokenCode) -> None:
    with pytest.raises(TokenRefused) as failed:
        find(headers, query, in_url=in_url)
    assert failed.value.code == code
    assert "a.b.c" not in str(failed.value)
    assert "YTpi" not in str(failed.value)


def test_a_token_in_a_header_makes_one_in_the_url_irrelevant_where_none_may_be() -> None:
    assert find([AUTHORIZATION], "token=d.e.f") == Credentials("a.b.c")


def test_a_token_is_not_shown() -> None:
    assert repr(Credentials("a.b.c", "bearer")) == "Credentials(token='***', protocol='bearer')"
