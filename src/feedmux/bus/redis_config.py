"""Say where Redis is and what is expected of it; and what can be wrong there.

::

    AuthenticationFailed   it wants a password, or another one
    RedisRefused           it said no to a command, with its reason: no permission, out of memory, ...
    ReplicaReached         it copies another Redis: what is published there does not reach everybody
    OtherKind              it is a node of a Redis Cluster, or a sentinel, and was not taken for one
    RedisTooOld            it does not speak RESP3
    NotRedis               it does not speak as Redis does

Who cannot be found at all has errors of its own in :mod:`feedmux.bus.redis_finder`.
"""

from __future__ import annotations

import ssl
from typing import Any, Final

import msgspec

from feedmux.bus.redis_slots import Place
from feedmux.core.hiding import MASK
from feedmux.core.reconnect import Backoff
from feedmux.model.checks import require_kind, require_number, require_text, require_whole
from feedmux.model.errors import AuthenticationFailed, Category, FeedmuxError, PeerError, Refused

OLDEST: Final = "6.0"
_MOST_PORT: Final = 65_535
_CREDENTIALS: Final = ("NOAUTH", "WRONGPASS")
_UNKNOWN: Final = ("unknown command", "NOPROTO")
_OTHERS: Final = {
    b"cluster": ("a node of a Redis Cluster", "REDIS_CLUSTER=true"),
    b"sentinel": ("a sentinel", "it to be in REDIS_SENTINELS"),
}
"""What a server says that it is, where one that stands alone is wanted."""


_SECRET: Final = ("password", "sentinel_password")
_TIMES: Final = (
    "connect_timeout_s",
    "ask_timeout_s",
    "ping_interval_s",
    "answer_timeout_s",
    "close_timeout_s",
)


class RedisRefused(Refused):
    """Redis said no to a command.

    Args:
        what: the command.
        reason: Redis' own words.
    """

    code = "REDIS_REFUSED"

    @property
    def word(self) -> str:
        """The kind of error, as Redis calls it: ``NOPERM``, ``OOM``, ``READONLY``, ``ERR``, ..."""
        return self.reason.partition(" ")[0]

    def __str__(self) -> str:
        return f"Redis refused {self.what}: {self.reason}"


class ReplicaReached(PeerError):
    """This Redis copies another one: nothing can be kept there, and not everybody hears what is published.

    Args:
        address: where it is.
    """

    code = "REPLICA_REACHED"

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.address = address

    def __str__(self) -> str:
        return f"the Redis at {self.address} is a replica; expected the one that it copies"


class OtherKind(PeerError):
    """This Redis is one of another kind than the configuration says.

    Args:
        address: where it is.
        kind: what it is.
        expected: what to do about it.
    """

    code = "REDIS_OTHER_KIND"

    def __init__(self, address: str, kind: str, expected: str) -> None:
        super().__init__(address, kind, expected)
        self.address, self.kind, self.expected = address, kind, expected

    def __str__(self) -> str:
        return f"the Redis at {self.address} is {self.kind}; expected {self.expected}"


class RedisTooOld(PeerError):
    """This Redis does not speak RESP3.

    Args:
        address: where it is.
    """

    code = "REDIS_TOO_OLD"

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.address = address

    def __str__(self) -> str:
        return f"the Redis at {self.address} does not speak RESP3; expected version {OLDEST} or newer"


class NotRedis(PeerError):
    """Whoever is there does not speak as Redis does.

    Args:
        address: where it is.
        reason: what is wrong; never what was said.
    """

    code = "NOT_REDIS"
    category = Category.PROTOCOL

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(address, reason)
        self.address, self.reason = address, reason

    def __str__(self) -> str:
        return f"what is at {self.address} does not speak as Redis does: {self.reason}"


class RedisConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Where Redis is, who we are there, and how long it may take.

    Args:
        host: its name or address; of a cluster that of any node, and not used where sentinels are asked.
        port: its port.
        path: of its Unix socket, which is then used instead of host and port; empty: none.
        user: who we are; only said with a password.
        password: never shown: not by ``repr``, in no error, in no line of the log. Empty: we do not say
            who we are.
        database: the number of the one in which keys are; channels are in none.
        tls: what its certificate is checked with; None: no TLS.
        sentinels: who is asked where it is, before each connection; empty: nobody.
        master: what the sentinels call it.
        sentinel_password: theirs; empty: they ask for none. As secret as the other one.
        is_cluster: whether it is a Redis Cluster; then channels are those of shards.
        partition: begins with the hash tag of all keys and channels that are used, so that one node of a
            cluster has them; empty where that does not matter.
        known: nodes of the cluster that were heard of, the next to be asked first; shared by all links whose
            configuration was made of the same one, so that they outlive the node that was named.
        name: how Redis lists our connection; without spaces.
        bound_bytes: how much may wait to be sent; what is published beyond is dropped, and told.
        connect_timeout_s: how long it may take until we are let in.
        ask_timeout_s: how long each of those may take who are only asked where it is.
        ping_interval_s: how often we look whether it answers.
        answer_timeout_s: so long without an answer or anything else, and the connection is lost.
        close_timeout_s: how long what waits may take to leave at the end.
        backoff: waits between attempts; there is no last one.

    Raises:
        InvalidSetting: a value is outside its range.
    """

    host: str = "localhost"
    port: int = 6379
    path: str = ""
    user: str = "default"
    password: str = ""
    database: int = 0
    tls: ssl.SSLContext | None = None
    sentinels: tuple[Place, ...] = ()
    master: str = ""
    sentinel_password: str = ""
    is_cluster: bool = False
    partition: str = ""
    known: list[Place] = msgspec.field(default_factory=list)
    name: str = "feedmux"
    bound_bytes: int = 8 * 1024 * 1024
    connect_timeout_s: float = 5.0
    ask_timeout_s: float = 1.0
    ping_interval_s: float = 2.0
    answer_timeout_s: float = 3.0
    close_timeout_s: float = 1.0
    backoff: Backoff = Backoff(initial=0.1, multiplier=2.0, ceiling=5.0)

    def __post_init__(self) -> None:
        for name in ("host", "user", "name"):
            require_text(name, getattr(self, name))
        for name in ("path", "password", "master", "sentinel_password", "partition"):
            require_kind(name, getattr(self, name), str, "a text")
        require_whole("port", self.port, f"a port from 1 to {_MOST_PORT}", least=1, most=_MOST_PORT)
        require_whole("bound_bytes", self.bound_bytes, "bytes, a whole number from 1", least=1)
        require_whole("database", self.database, "the number of a database, from 0", least=0)
        for name in _TIMES:
            require_number(name, getattr(self, name), "seconds above 0", above=0)
        require_kind("backoff", self.backoff, Backoff, "a Backoff")

    @property
    def address(self) -> str:
        """Where it is, as may be shown."""
        if self.path:
            return f"unix:{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'redis' if self.tls is None else 'rediss'}://{host}:{self.port}"

    def at(self, place: Place) -> RedisConfig:
        """The same in another place."""
        host, port = place
        return msgspec.structs.replace(self, host=host, port=port, path="")

    def sentinel(self, place: Place) -> RedisConfig:
        """How a sentinel is asked."""
        password = self.sentinel_password
        return msgspec.structs.replace(self.at(place), user="default", password=password, database=0)

    def hello(self) -> tuple[str, ...]:
        """The command by which we begin: RESP3, who we are, what we are called."""
        credentials = ("AUTH", self.user, self.password) if self.password else ()
        return ("HELLO", "3", *credentials, "SETNAME", self.name)

    def hide(self, text: str) -> str:
        """What may be shown of Redis' words: without the password, which some of them repeat."""
        return text.replace(self.password, MASK) if self.password else text

    def greeted(self, reply: object, *, is_only_asked: bool = False) -> None:
        """Check how Redis answered :meth:`hello`.

        Args:
            reply: the answer.
            is_only_asked: whether it is asked where another one is, which any kind of Redis may be.

        Raises:
            FeedmuxError: this is not what we need; see the head of the module.
        """
        if isinstance(reply, Exception):
            raise self._unwelcome(str(reply))
        if not isinstance(reply, dict) or reply.get(b"proto") != 3:
            raise NotRedis(self.address, "it did not answer HELLO as Redis does")
        if is_only_asked:
            return
        if not self.is_cluster and (other := _OTHERS.get(reply.get(b"mode", b""))) is not None:
            raise OtherKind(self.address, *other)
        if reply.get(b"role") not in (b"master", None):
            raise ReplicaReached(self.address)

    def _unwelcome(self, text: str) -> FeedmuxError:
        if text.startswith(_CREDENTIALS):
            return AuthenticationFailed(f"Redis at {self.address}", self.hide(text))
        if any(words in text for words in _UNKNOWN):
            return RedisTooOld(self.address)  # an old one repeats the password in its words
        return RedisRefused("HELLO", self.hide(text))

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.__rich_repr__())
        return f"RedisConfig({shown})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """What may be shown, by name."""
        fields = self.__struct_fields__
        return [(name, MASK if name in _SECRET else getattr(self, name)) for name in fields]
