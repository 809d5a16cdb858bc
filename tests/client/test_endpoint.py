from __future__ import annotations

import errno
import socket
import ssl

import pytest

from feedmux.client.endpoint import Endpoint, reason_of
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
    ],
)
def test_a_url_shows_without_its_secrets(url: str, text: str | None, host: str, port: int) -> None:
    endpoint = Endpoint(url)
    assert (str(endpoint), endpoint.host, endpoint.port) == (text or url, host, port)
    assert repr(endpoint) == f"<Endpoint {endpoint}>"
    assert endpoint.is_secure == url.startswith("wss")


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
        ("wss://h/#f", "wss://h/#f"),
        ("wss://h/a;b", "wss://h/a;b"),
        ("wss://h/a b", "wss://h/a b"),
        ("wss://h/\r\nX: y", "wss://h/\r\nX: y"),
        ("wss://bücher.example/", "wss://bücher.example/"),
        ("wss://me:pass@stream..com/", "wss://***@stream..com/"),
        ("wss://" + 64 * "a", "wss://" + 64 * "a"),
    ],
)
def test_a_url_that_cannot_work_is_refused_without_its_secrets(url: str, shown: str) -> None:
    with pytest.raises(InvalidSetting, match="expected wss://host") as caught:
        Endpoint(url)
    assert (caught.value.name, caught.value.value) == ("url", shown)


def test_texts_of_the_other_side_are_short_printable_and_without_secrets() -> None:
    endpoint = Endpoint("wss://me:pass@h/p?token=abcdefg", secrets=["Bearer", "Bearer xyz-1"])
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
