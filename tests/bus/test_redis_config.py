from __future__ import annotations

import copy
import pickle
import ssl
from typing import Any

import pytest

from feedmux.bus.redis_config import NotRedis, RedisConfig, RedisRefused, RedisTooOld, ReplicaReached
from feedmux.core.reconnect import Backoff
from feedmux.model.errors import AuthenticationFailed, FeedmuxError, InvalidSetting

SECRET = "correct-horse-battery"


@pytest.mark.parametrize(
    "wrong",
    [
        {"host": ""},
        {"port": 0},
        {"port": 65_536},
        {"user": ""},
        {"name": ""},
        {"path": None},
        {"password": 7},
        {"bound_bytes": 0},
        {"connect_timeout_s": 0},
        {"ping_interval_s": float("nan")},
        {"answer_timeout_s": -1},
        {"close_timeout_s": "1"},
        {"backoff": 1},
    ],
)
def test_what_cannot_work_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidSetting) as caught:
        RedisConfig(**wrong)
    assert caught.value.name in wrong


def test_the_address_is_what_may_be_shown() -> None:
    tls = ssl.create_default_context()
    assert RedisConfig(password=SECRET).address == "redis://localhost:6379"
    assert RedisConfig(host="r", port=1, tls=tls).address == "rediss://r:1"
    assert RedisConfig(path="/run/redis").address == "unix:/run/redis"


def test_the_password_is_never_shown() -> None:
    config = RedisConfig(password=SECRET, backoff=Backoff())
    assert SECRET not in repr(config) + str(config) + repr(list(config.__rich_repr__()))
    assert "password='***'" in repr(config)
    assert config.hide(f"ERR {SECRET}!") == "ERR ***!"
    assert RedisConfig().hide("ERR") == "ERR"


def test_who_we_are_is_only_said_with_a_password() -> None:
    assert RedisConfig().hello() == ("HELLO", "3", "SETNAME", "feedmux")
    assert RedisConfig(user="u", password="p", name="n").hello() == (
        "HELLO", "3", "AUTH", "u", "p", "SETNAME", "n",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("reply", "kind", "text"),
    [
        (
            Exception("WRONGPASS invalid username-password pair or user is disabled."),
            AuthenticationFailed,
            "Redis at redis://localhost:6379 does not accept the credentials: WRONGPASS invalid",
        ),
        (Exception("NOAUTH HELLO must be called"), AuthenticationFailed, "credentials: NOAUTH HELLO"),
        (Exception(f"ERR unknown command `HELLO`, with: `{SECRET}`"), RedisTooOld, "does not speak RESP3"),
        (Exception("NOPROTO unsupported protocol version"), RedisTooOld, "expected version 6.0 or newer"),
        (Exception(f"LOADING {SECRET}"), RedisRefused, r"Redis refused HELLO: LOADING \*\*\*"),
        ({b"proto": 3, b"role": b"replica"}, ReplicaReached, "is a replica; expected the one that it copies"),
        ({b"proto": 2}, NotRedis, "does not speak as Redis does"),
        (b"OK", NotRedis, "it did not answer HELLO"),
    ],
)
def test_a_greeting_that_is_not_what_we_need_is_named(
    reply: object, kind: type[FeedmuxError], text: str
) -> None:
    with pytest.raises(kind, match=text) as caught:
        RedisConfig(password=SECRET).greeted(reply)
    assert SECRET not in str(caught.value) + repr(caught.value)


@pytest.mark.parametrize("reply", [{b"proto": 3, b"role": b"master"}, {b"proto": 3}])
def test_a_good_greeting_is_taken(reply: object) -> None:
    RedisConfig().greeted(reply)


@pytest.mark.parametrize(
    "error",
    [RedisRefused("EVAL", "OOM no"), ReplicaReached("a"), RedisTooOld("a"), NotRedis("a", "b")],
    ids=lambda error: type(error).__name__,
)
def test_errors_can_be_copied_and_pickled(error: FeedmuxError) -> None:
    for twin in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert (type(twin), str(twin), twin.args) == (type(error), str(error), error.args)


def test_the_word_is_redis_own() -> None:
    assert RedisRefused("EVAL", "OOM command not allowed").word == "OOM"
