from __future__ import annotations

import pytest

from feedmux.core.origin import Origins, entry
from feedmux.model.errors import InvalidSetting

HOST = "ws.example.com"


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("https://app.example.com", "app.example.com"),
        (" HTTPS://App.Example.com/ ", "app.example.com"),
        ("http://app.example.com:3000/any/where?x=1", "app.example.com:3000"),
        ("https://app.example.com:443", "app.example.com"),
        ("http://app.example.com:80", "app.example.com"),
        ("http://app.example.com:443", "app.example.com:443"),
        ("App.example.com", "app.example.com"),
        ("app.example.com:443", "app.example.com:443"),
        ("my_box:3000", "my_box:3000"),
        ("127.0.0.1:3000", "127.0.0.1:3000"),
        ("http://[::1]:3000", "[::1]:3000"),
        ("[::1]", "[::1]"),
        ("chrome-extension://abcdef/", "chrome-extension://abcdef"),
        ("null", "null"),
        ("*", "*"),
    ],
)
def test_an_entry_is_a_host_and_its_port_or_an_origin_to_the_letter(text: str, read: str) -> None:
    assert entry(text) == read


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "https://", "https:app.example.com", "http://app.example.com:port", "http://app.example.com:",
        "http://[::1", "https://*.example.com", "*.example.com", "app.example.com/", "a b", "a,b",
        "https://user@app.example.com", "https://bücher.example",
    ],
)  # fmt: skip
def test_what_no_page_could_ever_have_is_no_entry(text: str) -> None:
    with pytest.raises(InvalidSetting, match="expected web pages' origins, separated by commas: https://"):
        entry(text)
    with pytest.raises(InvalidSetting):
        Origins(["app.example.com", text])


@pytest.mark.parametrize(
    ("entries", "origin", "is_allowed"),
    [
        (["https://app.example.com"], "https://app.example.com", True),
        (["https://app.example.com"], "HTTPS://APP.example.com", True),
        (["https://app.example.com"], "http://app.example.com", True),
        (["https://app.example.com"], "https://app.example.com:443", True),
        (["https://app.example.com"], "https://app.example.com:8443", False),
        (["https://app.example.com"], "http://app.example.com:443", False),
        (["https://app.example.com"], "https://app.example.com.evil.example", False),
        (["https://app.example.com"], "https://evil.example/app.example.com", False),
        (["https://app.example.com"], "https://app.example.com@evil.example", False),
        (["https://app.example.com"], "https://example.com", False),
        (["https://app.example.com"], f"https://{HOST}", False),
        (["app.example.com:3000"], "http://app.example.com:3000", True),
        (["app.example.com:3000"], "http://app.example.com:3000/", True),
        (["app.example.com:3000"], "http://app.example.com", False),
        (["app.example.com:3000"], "app.example.com:3000", True),
        (["a.example", "b.example"], "https://b.example", True),
        (["a.example"], "https://axexample", False),
        (["a.example"], "https://a.example https://b.example", False),
        (["a.example"], "null", False),
        (["a.example"], "", False),
        (["a.example", "null"], "null", True),
        (["null"], "https://a.example", False),
        (["chrome-extension://abcdef"], "chrome-extension://abcdef", True),
        (["chrome-extension://abcdef"], "https://abcdef", False),
        (["*"], "https://anywhere.example", True),
        (["*"], "null", True),
        (["*"], "noise", True),
    ],
)
def test_pages_on_the_list_are_allowed_and_no_others(
    entries: list[str], origin: str, is_allowed: bool
) -> None:
    assert Origins(entries).allow(origin, host=HOST) is is_allowed


@pytest.mark.parametrize(
    ("origin", "host", "is_allowed"),
    [
        ("https://ws.example.com", "ws.example.com", True),
        ("http://WS.example.com", "ws.Example.com", True),
        ("http://ws.example.com:8080", "ws.example.com:8080", True),
        ("http://ws.example.com:8080", "ws.example.com", False),
        ("http://ws.example.com", "ws.example.com:8080", False),
        ("http://ws.example.com", "ws.example.com:80", True),
        ("https://ws.example.com:443", "ws.example.com", True),
        ("https://ws.example.com", "ws.example.com:80", False),
        ("https://example.com", "ws.example.com", False),
        ("http://[::1]:8080", "[::1]:8080", True),
        ("null", "null", False),
        ("null", "", False),
        ("", "", False),
        ("http://", "", False),
        ("ws.example.com", "ws.example.com", False),
    ],
)
def test_without_a_list_the_page_has_to_be_of_the_host_that_it_connects_to(
    origin: str, host: str, is_allowed: bool
) -> None:
    assert Origins().allow(origin, host=host) is is_allowed
