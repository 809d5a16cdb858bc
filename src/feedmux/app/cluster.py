"""The settings that say where Redis is, and how nodes share it; a part of :mod:`feedmux.app.settings`."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BeforeValidator, model_validator
from pydantic_settings import NoDecode

from feedmux.app import redis_url
from feedmux.app.secret import Secret
from feedmux.app.section import Section, key, lower, split

TOGETHER: Final = {
    "redis_url": "a URL that begins with redis:// or rediss://, where REDIS_SENTINELS or REDIS_CLUSTER is"
    " set; several hosts only with REDIS_CLUSTER, a database only without it",
    "redis_prefix": "a name without braces, because REDIS_CLUSTER is set",
    "redis_cluster": "false, because REDIS_SENTINELS is set",
    "redis_cert": "the path of the certificate, because REDIS_KEY is set",
    "redis_key": "the path of its private key, because REDIS_CERT is set",
    "redis_compat": "off, because REDIS_URL is not set, or REDIS_CLUSTER is",
}
"""What is expected of a setting that is right by itself, and wrong beside another one."""


def _redis_url(secret: Secret) -> Secret:
    if secret:
        redis_url.read(secret.reveal())
    return secret


def _sentinel(text: str) -> str:
    redis_url.place(text, redis_url.SENTINEL_PORT)
    return text


Sentinel = Annotated[str, AfterValidator(_sentinel)]


class Cluster(Section):
    """Redis"""

    redis_url: Annotated[Secret, AfterValidator(_redis_url)] = key(
        Secret(""),
        "The Redis by which nodes share their venues' connections; empty: this node serves by itself.",
        expected="a URL that begins with redis://, rediss:// or unix://,"
        " e.g. redis://user:password@host:port/database",
    )
    redis_ca: str = key(
        "", "PEM file of the authorities that its certificate is checked with; empty: the system's."
    )
    redis_cert: str = key(
        "",
        "PEM file of the certificate that we show it; empty: none.",
        expected="a path, together with REDIS_KEY",
    )
    redis_key: str = key(
        "", "PEM file of the private key of REDIS_CERT.", expected="a path, together with REDIS_CERT"
    )
    redis_sentinels: Annotated[tuple[Sentinel, ...], NoDecode, BeforeValidator(split)] = key(
        (),
        "Sentinels that know where Redis is; host and port of REDIS_URL then do not count. With rediss://"
        " they are asked over TLS, too.",
        expected="host:port, or several of them",
    )
    redis_sentinel_master: str = key(
        "mymaster", "What the sentinels call that Redis.", min_length=1, expected="a name"
    )
    redis_sentinel_password: Secret = key(
        Secret(""), "Password of the sentinels; empty: they ask for none. It is not that of REDIS_URL."
    )
    redis_cluster: bool = key(
        False,
        "Whether REDIS_URL is a Redis Cluster, of version 7 or newer; it may name several nodes:"
        " redis://host:port,host:port.",
    )
    redis_prefix: str = key(
        "feedmux",
        "What all keys and channels begin with; nodes with another prefix are another cluster.",
        min_length=1,
        expected="a name",
    )
    node_name: str = key(
        "",
        "What this node is called; no other one has its name. Empty: host name, process and a number.",
        max_length=50,
        expected="a name of at most 50 characters",
    )
    lease_ttl: float = key(
        3.0,
        "How long after the death of the node that has a venue's connection another one takes over.",
        between=(1, 60),
        unit="s",
    )
    redis_compat: Annotated[Literal["off", "mudrex"], BeforeValidator(lower)] = key(
        "off",
        "Whose channels and keys in Redis the first of VENUES has besides, for programs that listen there.",
    )
    redis_max_connections: int = key(
        50, "How many connections to Redis this node may open.", between=(1, 100_000)
    )
    redis_socket_timeout: float = key(
        5.0, "How long connecting to Redis may take.", between=(0.1, 300), unit="s"
    )
    redis_retry_on_timeout: bool = key(
        True,
        "Does nothing: a connection to Redis is always restored.",
        idle="a connection to Redis is always restored",
    )

    @model_validator(mode="after")
    def _redis_is_of_one_kind(self) -> Self:
        url = redis_url.read(self.redis_url.reveal()) if self.redis_url else None
        if self.redis_cluster and self.redis_sentinels:
            raise ValueError("redis_cluster")
        if (self.redis_cluster or self.redis_sentinels) and (url is None or url.path):
            raise ValueError("redis_url")
        if url is not None and (url.database if self.redis_cluster else len(url.places) > 1):
            raise ValueError("redis_url")
        if self.redis_cluster and set("{}") & set(self.redis_prefix):
            raise ValueError("redis_prefix")
        return self

    @model_validator(mode="after")
    def _its_certificate_and_key_come_together(self) -> Self:
        if bool(self.redis_cert) != bool(self.redis_key):
            raise ValueError("redis_key" if self.redis_cert else "redis_cert")
        return self

    @model_validator(mode="after")
    def _there_is_a_redis_to_publish_to(self) -> Self:
        if self.redis_compat != "off" and (self.redis_cluster or not self.redis_url):
            raise ValueError("redis_compat")
        return self
