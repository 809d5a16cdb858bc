"""Find the Redis to connect to: the one that is named, the one that sentinels name, a node of a cluster.

Theory of operation
===================

Before each connection a link asks its :class:`Finder` where to go. Nobody is believed: whoever is connected
to says itself whether it is a master, and refuses what it does not own. If it was the wrong one, the finder
is told, and asks somebody else the next time::

    event                                 sentinels                     cluster
    one of them answers, and knows        it is asked first from now on   so are it and all that it named
    nobody there, a replica, not let in   the next one is asked first     the next one is asked first
    MOVED                                 --                              who has the slot is asked first
    READONLY, MASTERDOWN, CLUSTERDOWN     the next one is asked first     the next one is asked first

A failover ends in the new master, as soon as one of those who are asked knows it.

Deliberately absent: messages by which sentinels and nodes tell of a failover (they cut the connections to the
old master, or it is dead; either is noticed), and maps of slots: a link needs one slot.

Source: redis.io, "Sentinel client spec" and "Redis cluster specification" (7.0).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from feedmux.bus.redis_config import NotRedis, RedisConfig, RedisRefused
from feedmux.bus.redis_slots import Place, SlotRange, read_slots, slot_of
from feedmux.model.errors import FeedmuxError, PeerError
from feedmux.model.link_errors import LinkError

Ask = Callable[[RedisConfig, tuple[str, ...]], Awaitable[object]]
"""Ask a server one command, over a connection of its own; what it refuses is raised."""

_WHERE: Final = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME")
_SLOTS: Final = ("CLUSTER", "SLOTS")
_HIDDEN: Final = "and others"
_MOST_SHOWN: Final = 3
_DOWN: Final = "CLUSTERDOWN"
_ELSEWHERE: Final = ("READONLY", "MASTERDOWN", "MOVED", _DOWN)


class Unfound(LinkError):
    """Nobody of those who were asked answered.

    Args:
        who: was asked, in words.
        reasons: why each of them did not answer.
    """

    code = "REDIS_NOT_FOUND"

    def __init__(self, who: str, reasons: tuple[str, ...]) -> None:
        super().__init__(who, reasons)
        self.who, self.reasons = who, reasons

    def __str__(self) -> str:
        return f"no {self.who} answers: {_listed(self.reasons)}"


class MasterUnknown(PeerError):
    """Sentinels answer, and none of them knows the master.

    Args:
        name: of the master.
        sentinels: who does not know it.
    """

    code = "MASTER_UNKNOWN"

    def __init__(self, name: str, sentinels: tuple[str, ...]) -> None:
        super().__init__(name, sentinels)
        self.name, self.sentinels = name, sentinels

    def __str__(self) -> str:
        who = _listed(self.sentinels)
        return f"no sentinel knows a master {self.name!r} (asked: {who}); expected a name that they watch"


class SlotWithoutNode(PeerError):
    """Nodes of a cluster answer, and none of them says who has a slot.

    Args:
        slot: its number.
        nodes: who was asked.
    """

    code = "SLOT_WITHOUT_NODE"

    def __init__(self, slot: int, nodes: tuple[str, ...]) -> None:
        super().__init__(slot, nodes)
        self.slot, self.nodes = slot, nodes

    def __str__(self) -> str:
        return f"no node of the Redis Cluster has slot {self.slot} (asked: {_listed(self.nodes)})"


class Finder(Protocol):
    """Says where to connect."""

    async def find(self, ask: Ask) -> RedisConfig:
        """Where to connect now.

        Args:
            ask: asks others.

        Raises:
            FeedmuxError: nobody knows.
        """

    def failed(self) -> None:
        """Whoever was found is not there, or does not let us in, or nobody was found."""

    def refused(self, error: RedisRefused) -> None:
        """Whoever was found says that somebody else is the right one."""


def finder_of(config: RedisConfig) -> Finder:
    """Who finds what this configuration means."""
    if config.sentinels:
        return SentinelFinder(config)
    return ClusterFinder(config) if config.is_cluster else NoFinder(config)


class NoFinder:
    """There is one Redis, and it is where it is.

    Args:
        config: where that is.
    """

    def __init__(self, config: RedisConfig) -> None:
        self._config = config

    async def find(self, ask: Ask) -> RedisConfig:
        """There."""
        return self._config

    def failed(self) -> None:
        """There is no other one."""

    def refused(self, error: RedisRefused) -> None:
        """There is no other one."""


class SentinelFinder:
    """Sentinels know which Redis is the master.

    Args:
        config: names the sentinels and the master.
    """

    def __init__(self, config: RedisConfig) -> None:
        self._config = config
        self._sentinels = [config.sentinel(place) for place in config.sentinels]

    async def find(self, ask: Ask) -> RedisConfig:
        """Ask one after the other; see :meth:`Finder.find`.

        Raises:
            MasterUnknown: who answers does not know its name.
            Unfound: nobody answers.
        """
        reasons: list[str] = []
        unknowing: list[str] = []
        for sentinel in list(self._sentinels):
            try:
                place = _master(await ask(sentinel, (*_WHERE, self._config.master)), sentinel)
            except FeedmuxError as error:
                reasons.append(str(error))
                continue
            if place is not None:
                self._sentinels.remove(sentinel)
                self._sentinels.insert(0, sentinel)
                return self._config.at(place)
            unknowing.append(sentinel.address)
        if unknowing:
            raise MasterUnknown(self._config.master, tuple(unknowing))
        raise Unfound("sentinel", tuple(reasons))

    def failed(self) -> None:
        """Ask another sentinel first."""
        self._sentinels.append(self._sentinels.pop(0))

    def refused(self, error: RedisRefused) -> None:
        """Ask another sentinel first."""
        self.failed()


class ClusterFinder:
    """Every node of a Redis Cluster knows who has which slot.

    Args:
        config: names one node, and what we need a node for.
    """

    def __init__(self, config: RedisConfig) -> None:
        self._config, self._known = config, config.known
        self._slot = slot_of(config.partition.encode())

    async def find(self, ask: Ask) -> RedisConfig:
        """Ask one after the other; see :meth:`Finder.find`.

        Raises:
            SlotWithoutNode: who answers does not know who has the slot.
            Unfound: nobody answers.
        """
        reasons: list[str] = []
        unknowing: list[str] = []
        named = (self._config.host, self._config.port)
        for place in dict.fromkeys([*self._known, named]):
            node = self._config.at(place)
            try:
                ranges = read_slots(await ask(node, _SLOTS), place)
            except FeedmuxError as error:
                reasons.append(str(error))
                continue
            for found in ranges:
                if found.first <= self._slot <= found.last:
                    self._learn(place, ranges)
                    return self._config.at(found.master)
            unknowing.append(node.address)
        if unknowing:
            raise SlotWithoutNode(self._slot, tuple(unknowing))
        raise Unfound("node of the Redis Cluster", tuple(reasons))

    def failed(self) -> None:
        """Ask another node first."""
        if self._known:
            self._known.append(self._known.pop(0))

    def refused(self, error: RedisRefused) -> None:
        """Ask who has the slot now, or another node, first."""
        place = moved_to(error)
        if place is None:
            self.failed()
            return
        self._known[:] = dict.fromkeys([place, *self._known])

    def _learn(self, asked: Place, ranges: list[SlotRange]) -> None:
        masters = [found.master for found in ranges]
        replicas = [replica for found in ranges for replica in found.replicas]
        self._known[:] = dict.fromkeys([asked, *masters, *replicas])


def why_left(error: RedisRefused) -> str | None:
    """Why a Redis that answers with this has to be left; None: it need not."""
    if error.word not in _ELSEWHERE:
        return None
    return error.reason if error.word == _DOWN else f"another Redis took over: {error.reason}"


def moved_to(error: RedisRefused) -> Place | None:
    """Where Redis sends us with these words, ``MOVED`` or ``ASK``; None: nowhere that has a name."""
    match error.reason.split(" "):
        case ["MOVED" | "ASK", _, address, *_]:
            host, _, port = address.rpartition(":")
            return (host, int(port)) if host and port.isdecimal() else None
    return None


def _master(reply: object, sentinel: RedisConfig) -> Place | None:
    """Read what a sentinel answers; None: it does not know the name."""
    match reply:
        case None:
            return None
        case [bytes(host), bytes(port)] if host and port.isdigit():
            return host.decode(errors="replace"), int(port)
    raise NotRedis(sentinel.address, "it did not answer as a sentinel does")


def _listed(texts: tuple[str, ...]) -> str:
    """Some of them; each one once."""
    shown = list(dict.fromkeys(texts))
    return "; ".join(shown[:_MOST_SHOWN] + [_HIDDEN] * (len(shown) > _MOST_SHOWN))
