"""What the settings of a cluster say beside each other, and in the terms of its bus."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from feedmux.app import terms_redis
from feedmux.app.config import InvalidConfiguration, load
from feedmux.app.settings import Settings
from feedmux.bus.redis_config import RedisConfig
from feedmux.model.errors import InvalidSetting
from support.certificates import Authority

URL = "redis://localhost"


def settings(**given: Any) -> Settings:
    return Settings(**given)


@pytest.mark.parametrize(
    ("given", "name", "said"),
    [
        ({"redis_url": "redis://h/x"}, "REDIS_URL", "a URL that begins with redis://, rediss:// or unix://"),
        ({"redis_url": "redis://a,b"}, "REDIS_URL", "several hosts only with REDIS_CLUSTER"),
        ({"redis_url": "redis://h/1", "redis_cluster": "true"}, "REDIS_URL", "a database only without it"),
        ({"redis_url": "unix:///r", "redis_cluster": "true"}, "REDIS_URL", "redis:// or rediss://, where"),
        ({"redis_url": "unix:///r", "redis_sentinels": "a"}, "REDIS_URL", "redis:// or rediss://, where"),
        ({"redis_sentinels": "a"}, "REDIS_URL", "where REDIS_SENTINELS or REDIS_CLUSTER is set"),
        ({"redis_cluster": "true"}, "REDIS_URL", "where REDIS_SENTINELS or REDIS_CLUSTER is set"),
        ({"redis_url": URL, "redis_sentinels": "a:x"}, "REDIS_SENTINELS", "host:port, or several of them"),
        (
            {"redis_url": URL, "redis_sentinels": "a", "redis_cluster": "true"},
            "REDIS_CLUSTER",
            "false, because REDIS_SENTINELS is set",
        ),
        (
            {"redis_url": URL, "redis_cluster": "true", "redis_prefix": "a{b"},
            "REDIS_PREFIX",
            "a name without braces, because REDIS_CLUSTER is set",
        ),
        (
            {"redis_url": URL, "redis_cluster": "true", "redis_compat": "mudrex"},
            "REDIS_COMPAT",
            "off, because REDIS_URL is not set, or REDIS_CLUSTER is",
        ),
        ({"redis_cert": "a"}, "REDIS_KEY", "the path of its private key, because REDIS_CERT is set"),
        ({"redis_key": "a"}, "REDIS_CERT", "the path of the certificate, because REDIS_KEY is set"),
    ],
)
def test_what_does_not_go_together_is_named(given: dict[str, str], name: str, said: str) -> None:
    with pytest.raises(InvalidConfiguration) as caught:
        load(flags=given)
    (problem,) = caught.value.problems
    assert problem.name.upper().replace("-", "_").lstrip("_") == name
    assert said in problem.expected


def test_one_redis() -> None:
    found = RedisConfig(**terms_redis.redis(settings(redis_url="redis://u:p%40@h:1/2")))
    assert (found.host, found.port, found.user, found.password, found.database) == ("h", 1, "u", "p@", 2)
    assert (found.is_cluster, found.sentinels, found.tls) == (False, (), None)


def test_a_socket() -> None:
    assert RedisConfig(**terms_redis.redis(settings(redis_url="unix:///r?db=1"))).path == "/r"


def test_sentinels() -> None:
    given = {
        "redis_url": "rediss://:p@",
        "redis_sentinels": "a, b:1,[::1]:2",
        "redis_sentinel_master": "feeds",
        "redis_sentinel_password": "s",
    }
    found = RedisConfig(**terms_redis.redis(settings(**given)))
    assert found.sentinels == (("a", 26379), ("b", 1), ("::1", 2))
    assert (found.master, found.sentinel_password, found.password) == ("feeds", "s", "p")
    asked = found.sentinel(found.sentinels[2])
    assert (asked.address, asked.tls) == ("rediss://[::1]:2", found.tls)


def test_a_cluster() -> None:
    found = RedisConfig(**terms_redis.redis(settings(redis_url="redis://a:1,b:2", redis_cluster=True)))
    assert (found.is_cluster, found.host, found.port, found.known) == (True, "a", 1, [("a", 1), ("b", 2)])


def test_where_another_redis_takes_over_it_is_looked_for_each_second() -> None:
    for given in ({"redis_sentinels": "a"}, {"redis_cluster": True}):
        assert terms_redis.redis(settings(redis_url=URL, **given))["backoff"].ceiling == 1.0
    assert "backoff" not in terms_redis.redis(settings(redis_url=URL))


@pytest.mark.parametrize(
    ("url", "prefix"), [(URL, "feedmux"), (URL + "/0", "feedmux"), (URL + "/7", "feedmux:7")]
)
def test_databases_do_not_hear_each_other(url: str, prefix: str) -> None:
    assert terms_redis.node(settings(redis_url=url))["prefix"] == prefix


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ({"redis_url": "redis://u:secret@h"}, "redis://h:6379"),
        ({"redis_url": "unix://:secret@/r?db=1"}, "unix:/r"),
        ({"redis_url": "rediss://:secret@[::1]:1,b", "redis_cluster": True}, "rediss://[::1]:1,b:6379"),
        ({"redis_url": "redis://:secret@", "redis_sentinels": "a,b:1"}, "redis: mymaster of a,b:1"),
    ],
)
def test_where_redis_is_is_shown_without_who_we_are(given: dict[str, Any], shown: str) -> None:
    assert terms_redis.shown(settings(**given)) == shown


@pytest.mark.parametrize(
    ("given", "needed"),
    [({}, 5), ({"redis_cluster": True}, 7), ({"redis_sentinels": "a"}, 5), ({"redis_compat": "mudrex"}, 6)],
)
def test_connections_are_counted(given: dict[str, Any], needed: int) -> None:
    of_two = {"redis_url": URL, "venues": "bybit.linear,bybit.spot", **given}
    terms_redis.require_redis(settings(redis_max_connections=needed, **of_two))
    with pytest.raises(InvalidSetting, match=f"at least {needed}, for 2 of VENUES"):
        terms_redis.require_redis(settings(redis_max_connections=needed - 1, **of_two))


def test_a_certificate_that_cannot_be_shown_is_named(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    secure = {"redis_url": "rediss://h", "redis_ca": str(authority.ca_file)}
    files = {"redis_cert": authority.files.cert, "redis_key": authority.files.key}
    assert RedisConfig(**terms_redis.redis(settings(**secure, **files))).tls is not None
    for wrong in ({"redis_cert": "/none"}, {"redis_key": authority.files.cert}):
        with pytest.raises(InvalidSetting, match=r"REDIS_CERT: .*expected readable PEM files"):
            terms_redis.redis(settings(**secure, **files | wrong))
