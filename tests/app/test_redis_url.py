from __future__ import annotations

import pytest

from feedmux.app.redis_url import RedisUrl, place, read


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("redis://", RedisUrl((("localhost", 6379),), "", "", "", 0, False)),
        ("redis://h", RedisUrl((("h", 6379),), "", "", "", 0, False)),
        ("redis://h:1/", RedisUrl((("h", 1),), "", "", "", 0, False)),
        ("rediss://u:p@h:1/2", RedisUrl((("h", 1),), "", "u", "p", 2, True)),
        ("redis://h?db=2", RedisUrl((("h", 6379),), "", "", "", 2, False)),
        ("redis://:p@", RedisUrl((("localhost", 6379),), "", "", "p", 0, False)),
        ("redis://u%3A%40:%2F%3Fp%20%25@h", RedisUrl((("h", 6379),), "", "u:@", "/?p %", 0, False)),
        ("redis://u:a:b@h", RedisUrl((("h", 6379),), "", "u", "a:b", 0, False)),
        ("redis://u:a@b@h", RedisUrl((("h", 6379),), "", "u", "a@b", 0, False)),
        ("redis://[::1]:1/3", RedisUrl((("::1", 1),), "", "", "", 3, False)),
        ("redis://:p@a:1,b,[::1]:2", RedisUrl((("a", 1), ("b", 6379), ("::1", 2)), "", "", "p", 0, False)),
        ("unix:///run/redis%20.sock", RedisUrl((), "/run/redis .sock", "", "", 0, False)),
        ("unix://u:p@/run/r?db=7", RedisUrl((), "/run/r", "u", "p", 7, False)),
    ],
)
def test_what_a_url_says(text: str, expected: RedisUrl) -> None:
    assert read(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "h",
        "http://h",
        "redis://h:port",
        "redis://h:0",
        "redis://h:65536",
        "redis://h/x",
        "redis://h/-1",
        "redis://h/1/2",
        "redis://h?ssl_cert_reqs=none",
        "redis://h?db=x",
        "redis://h?x",
        "redis://h#x",
        "redis://a b",
        "unix://",
        "unix://run/redis",
        "unix://?db=1",
    ],
)
def test_what_is_no_url_is_refused_without_a_word_of_it(text: str) -> None:
    with pytest.raises(ValueError) as caught:
        read(text)
    assert "ssl_cert" not in str(caught.value)


@pytest.mark.parametrize("text", ["a:1/2", "a@b", "a?", "a#", "a b", "a:-1", "a:x", "[::1"])
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        place(text, 1)
