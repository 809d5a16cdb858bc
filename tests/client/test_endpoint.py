from __future__ import annotations

import errno
import socket
import ssl
from typing import Any

import pytest

from feedmux.client.endpoint import Endpoint, endpoints_of, reason_of
from feedmux.client.secrecy import Secrecy
from feedmux.model.errors import InvalidSetting


@pytest.mark.parametrize(
    ("url", "text", "host", "port"),
    [
        ("wss://stream.bybit.com/v5/public/linear", None, "stream.bybit.com", 443),
        ("ws://127.0.0.1:9001", None, "127.0.0.1", 9001),
        ("ws://[::1]:80/", None, "::1", 80),
        ("ws://h.example./", None, "h.example.", 80),
        ("wss://h:9443/ws/btcusdt@trade", None, "h", 9443),
        ("wss://me:pass@h/p", "wss://h/p", "h", 443),
        ("wss://h/p?token=abcdefg", "wss://h/p?***", "h", 443),
        ("WSS://H:443/P", "wss://H:443/P", "h", 443),
        ("ws://h:", "ws://h:", "h", 80),
        ("ws://a.b./", None, "a.b.", 80),
        ("ws://[fe80::1]:8443/", None, "fe80::1", 8443),
        ("ws://xn--bcher-kva.example/", None, "xn--bcher-kva.example", 80),
        ("ws://under_score-1.example:65535/", None, "under_score-1.example", 65535),
    ],
)
def test_a_url_shows_without_its_secrets(url: str, text: str | None, host: str, port: int) -> None:
    endpoint = Endpoint(url)
    assert (str(endpoint), endpoint.host, endpoint.port) == (text or url, host, port)
    assert repr(endpoint) == f"<Endpoint {endpoint}>"
    assert endpoint.is_secure == url.lower().startswith("wss")


def test_a_user_in_the_url_becomes_a_header_and_leaves_the_url() -> None:
    endpoint = Endpoint("wss://al%40:open%20sesame@h/p?q=1")
    assert endpoint.url == "wss://h/p?q=1"
    assert endpoint.authorization == "Basic YWxAOm9wZW4gc2VzYW1l"
    assert Endpoint("wss://h/").authorization is None


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("", ""),
        ("stream.bybit.com", "stream.bybit.com"),
        ("https://me:pass@h/p?key=abc", "https://***@h/p?***"),
        ("wss://me:pa/ss@h/p", "wss://***@h/p"),
        ("wss:///p", "wss:///p"),
        ("wss://h:0/", "wss://h:0/"),
        ("wss://h:70000/", "wss://h:70000/"),
        ("wss://h/#s3cret", "wss://h/#***"),
        ("wss://h/a;b", "wss://h/a;b"),
        ("wss://h/a b", "wss://h/a b"),
        ("wss://h/\r\nX: y", "wss://h/\r\nX: y"),
        ("wss://bücher.example/", "wss://bücher.example/"),
        ("wss://me:pass@stream..com/", "wss://***@stream..com/"),
        ("wss://" + 64 * "a", "wss://" + 64 * "a"),
        ("ws:h", "ws:***"),
        ("ws:/h", "ws:/h"),
        ("ws://", "ws://"),
        ("ws://@/", "ws://***@/"),
        ("file:///etc/passwd", "file:///etc/passwd"),
        ("javascript:alert(1)", "javascript:***"),
        (" wss://h/", " wss://h/"),
        ("wss://h/ ", "wss://h/ "),
        ("wss://h/\x00", "wss://h/\x00"),
        ("wss://h\ud800/", "wss://h\ud800/"),
        ("wss://h\\evil/", "wss://h\\evil/"),
        ("wss://h%20x/", "wss://h%20x/"),
        ("wss://h,x/", "wss://h,x/"),
        # ports
        ("ws://h:x", "ws://h:***"),
        ("ws://h:-1/", "ws://h:***/"),
        ("ws://h:+80/", "ws://h:***/"),
        ("ws://h:8 0/", "ws://h:***/"),
        ("ws://h:80:80/", "ws://h:***/"),
        ("ws://h:1234567/", "ws://h:1234567/"),
        # names that could not even be looked up
        ("ws://./", "ws://./"),
        ("ws://.a/", "ws://.a/"),
        ("ws://a..b/", "ws://a..b/"),
        (f"ws://{'a' * 64}/", f"ws://{'a' * 64}/"),
        (f"ws://{'a.' * 127}a/", f"ws://{'a.' * 127}a/"),
        # addresses
        ("ws://::1/", "ws://:***/"),
        ("ws://[::1", "ws://[::1"),
        ("ws://[::1]x/", "ws://[::1]x/"),
        ("ws://[::1]x:80/", "ws://[::1]x:80/"),
        ("ws://[]/", "ws://[]/"),
        ("ws://[zz]/", "ws://[zz]/"),
        ("ws://[1.2.3.4]/", "ws://[1.2.3.4]/"),
        ("ws://[v1.x]/", "ws://[v1.x]/"),
        # a user and his password, and something is missing
        ("wss://me:s3cret", "wss://me:***"),
        ("wss://me:s3cret/path", "wss://me:***/path"),
        ("me:s3cret", "me:***"),
        ("me:s3cret@h", "***@h"),
        ("wss://me:s3c?ret@h/", "wss://***@h/"),
        ("wss://me:s3c#ret@h/", "wss://***@h/"),
        ("http://h/?token=s3cret", "http://h/?***"),
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_a_url_that_cannot_work_is_refused_without_its_secrets(url: str, shown: str) -> None:
    with pytest.raises(InvalidSetting, match="expected wss://host") as caught:
        Endpoint(url)
    assert (caught.value.name, caught.value.value) == ("url", shown)
    assert "s3cret" not in f"{caught.value!s} {caught.value!r}"


@pytest.mark.parametrize("url", [None, 5, b"wss://h/", ["wss://h/"], object()])
def test_what_is_no_text_is_no_url(url: Any) -> None:
    with pytest.raises(InvalidSetting, match=rf"url: 'a value of type {type(url).__name__}' does not work"):
        Endpoint(url)


def test_a_url_has_its_length() -> None:
    Endpoint("wss://h/?" + "a" * 60_000)
    with pytest.raises(
        InvalidSetting, match="url: '100008 characters' does not work; expected at most 65536"
    ):
        Endpoint("wss://h/" + "a" * 100_000)


def test_a_users_name_has_no_colon_because_it_would_end_there() -> None:
    with pytest.raises(InvalidSetting, match="a user's name without a colon") as caught:
        Endpoint("wss://m%3Ae:s3cret@h/")
    assert "s3cret" not in str(caught.value)


def test_bytes_in_a_password_are_sent_as_they_are() -> None:
    assert Endpoint("wss://me:%ff%0d%0a@h/").authorization == "Basic bWU6/w0K"


@pytest.mark.parametrize(
    ("urls", "found"),
    [("wss://h/", 1), (["wss://h/"], 1), (("wss://h/", "ws://h/"), 2)],
)
def test_there_may_be_one_url_or_several(urls: object, found: int) -> None:
    assert len(endpoints_of(urls, Secrecy())) == found


@pytest.mark.parametrize("urls", [None, 5, b"wss://h/", {"wss://h/": 1}, [], (), iter(["wss://h/"])])
def test_without_any_there_is_no_link(urls: object) -> None:
    with pytest.raises(InvalidSetting, match="urls: "):
        endpoints_of(urls, Secrecy())


def test_texts_of_the_other_side_are_short_printable_and_without_secrets() -> None:
    endpoint = Endpoint("wss://me:pass@h/p?token=abcdefg", Secrecy(["Bearer", "Bearer xyz-1"]))
    text = endpoint.scrub("pass abcdefg Bearer xyz-1\x1b[0m\n" + "x" * 300)
    assert text.startswith("*** *** ***?[0m?xxx")
    assert len(text) <= 200


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (socket.gaierror(socket.EAI_NONAME, "no such name"), "the name 'h' does not resolve (no such name)"),
        (TimeoutError(errno.ETIMEDOUT, "x"), "the server's network did not answer"),
        (ConnectionResetError(), "the server reset the connection"),
        (OSError(errno.ENETUNREACH, "Network is unreachable"), "Network is unreachable"),
        (OSError(), "OSError"),
        (
            ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong"),
            "TLS with the server failed: [ssl: wrong version number] wrong",
        ),
    ],
)
def test_reasons_help(error: OSError, reason: str) -> None:
    assert reason_of(error, Endpoint("wss://h/")) == reason


@pytest.mark.parametrize(
    ("url", "location", "target"),
    [
        ("ws://h:8/a", "/b?x=1", "ws://h:8/b?x=1"),
        ("ws://h:8/a", "http://h:9/b", "ws://h:9/b"),
        ("ws://h/a", "wss://h/b", "wss://h/b"),
        ("wss://h/a", "https://h/b", "wss://h/b"),
        ("wss://h/a", "http://h/b", None),
        ("wss://h/a", "wss://other/b", None),
        ("wss://h/a", "wss://h@other/b", None),
        ("wss://h/a", "ftp://h/b", None),
        ("wss://h/a", "wss://h/b#part", None),
        ("wss://h/a", "//other/b", None),
        ("wss://h/a", "http://[::1", None),
        ("wss://h/a", "http://a..b/", None),
        ("wss://h/a", "wss://[::1", None),
        ("wss://h/a", "http://[zz]/", None),
        ("wss://h/a", "wss://h:x/b", None),
    ],
)
def test_only_the_same_host_is_a_sibling_and_nothing_less_safe(
    url: str, location: str, target: str | None
) -> None:
    found = Endpoint(url).sibling(location)
    assert (found and found.url) == target


def test_a_sibling_keeps_the_credentials() -> None:
    found = Endpoint("wss://me:pass@h/a").sibling("/b")
    assert found is not None
    assert found.authorization == Endpoint("wss://me:pass@h/a").authorization
    assert "pass" not in str(found)
