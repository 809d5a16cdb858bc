"""Two nodes of a cluster under a measurement: gateways around one Redis, in front of one venue.

Nodes and Redis share all cores, as the system deals them out; venue and clients have the load's.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from bench.system.books import Books
from bench.system.ears import FOLLOWER, OWNER
from bench.system.gateway import Gateway
from bench.system.native import (
    LOAD_CORE,
    BenchError,
    Load,
    Native,
    Venue,
    every_core,
)
from bench.system.redis import Redis
from bench.system.run import WARMUP_S, Sample

_HELD_BY_S = 20.0
_PATIENCE_S = 30.0


class Nodes(NamedTuple):
    """A cluster that is up."""

    redis: Redis
    venue: Venue
    owner: Gateway
    follower: Gateway

    @property
    def pids(self) -> dict[str, int]:
        """Whose CPU time is asked for, by name."""
        return {OWNER: self.owner.pid, "redis": self.redis.pid, FOLLOWER: self.follower.pid}


@contextlib.contextmanager
def nodes(redis: Redis, *, client_bytes: int) -> Iterator[Nodes]:
    """Two nodes; the first of them has the venue's connection."""
    with Venue(client_bytes=client_bytes) as venue, _node(redis, venue, OWNER) as owner:
        _wait_until_held(owner)
        with _node(redis, venue, FOLLOWER) as follower:
            yield Nodes(redis, venue, owner, follower)


def overhear(
    redis: Redis, rate: float, topics: Sequence[str], *, client_bytes: int, seconds: float
) -> Sample:
    """Let the same messages be heard at both nodes.

    Returns:
        What is amiss at both, the follower's latencies, each client's own figures, by how much the follower's
        had the same message later (``added``), and the books.

    Raises:
        BenchError: it could not be measured.
    """
    with nodes(redis, client_bytes=client_bytes) as cluster:
        ports = cluster.owner.port, cluster.follower.port
        program = [sys.executable, "-m", "bench.system.ears"]
        options = [*ports, ",".join(topics), WARMUP_S, seconds]
        with Native("ears", options, core=LOAD_CORE, program=program) as ears:
            _expect(ears, "ready")
            cluster.venue.tell(f"rate {rate:g}")
            _expect(ears, "measuring")
            books = Books({**cluster.pids, "ears": ears.pid, "venue": cluster.venue.pid})
            _expect(ears, "measured")
            kept = books.close()
            link = _link(cluster.owner)
            sample = _expect(ears, "result")
        each = {name: sample[name] for name in (OWNER, FOLLOWER)}
        return {
            **amiss(each),
            "deliveries_per_s": sample["messages"] / seconds,
            "p50_ns": each[FOLLOWER]["p50_ns"],
            "p99_ns": each[FOLLOWER]["p99_ns"],
            "each": each,
            "added": sample["added"],
            "link": link,
            **kept.per(sample["messages"]),
        }


def race(redis: Redis, rate: float, topics: Sequence[str], *, client_bytes: int, seconds: float) -> Sample:
    """Let a native client at each node take the same messages.

    Returns:
        What is amiss at both, the figures of the slower one, each client's own, and the books.

    Raises:
        BenchError: it could not be measured.
    """
    arguments = ["--topics", ",".join(topics), "--warmup", WARMUP_S, "--seconds", seconds]
    with nodes(redis, client_bytes=client_bytes) as cluster, contextlib.ExitStack() as stack:
        loads = {
            name: stack.enter_context(Load(node.port, clients=1, arguments=arguments))
            for name, node in ((OWNER, cluster.owner), (FOLLOWER, cluster.follower))
        }
        for load in loads.values():
            load.ready()
        cluster.venue.tell(f"rate {rate:g}")
        for load in loads.values():
            _expect(load, "measuring")
        others = {f"load {name}": load.pid for name, load in loads.items()}
        books = Books({**cluster.pids, **others, "venue": cluster.venue.pid})
        each = {name: _expect(load, "result", seconds) for name, load in loads.items()}
        kept = books.close()
        link = _link(cluster.owner)
        return {
            **amiss(each),
            "deliveries_per_s": min(one["deliveries_per_s"] for one in each.values()),
            "p50_ns": max(one["p50_ns"] for one in each.values()),
            "p99_ns": max(one["p99_ns"] for one in each.values()),
            "each": each,
            "link": link,
            **kept.per(each[OWNER]["deliveries"]),
        }


def amiss(samples: Mapping[str, Sample]) -> Sample:
    """What is amiss at any of several clients."""
    names = ("lost", "disorder", "duplicates", "gap_messages", "closed")
    return {name: sum(sample.get(name, 0) for sample in samples.values()) for name in names}


def _node(redis: Redis, venue: Venue, name: str) -> Gateway:
    settings = {"REDIS_URL": redis.url, "NODE_NAME": name}
    return Gateway(venue.port, settings, cores=every_core())


def _wait_until_held(node: Gateway) -> None:
    deadline = time.monotonic() + _HELD_BY_S
    while time.monotonic() < deadline:
        if _cluster(node).get("held"):
            return
        time.sleep(0.05)
    raise BenchError(f"the first node had no lease after {_HELD_BY_S:g} s")


def _link(node: Gateway) -> Sample:
    """What the owner's connection to Redis counted.

    Raises:
        BenchError: the node is not the owner any more.
    """
    cluster = _cluster(node)
    if not cluster.get("held") or cluster["tenures"] != 1:
        raise BenchError("the first node lost its lease")
    link: Sample = cluster["writer"]["link"]
    return link


def _cluster(node: Gateway) -> Sample:
    """What a node says of the cluster; nothing while it cannot say it."""
    feeds = node.stats().get("feeds") or [{}]
    cluster: Sample = feeds[0].get("cluster", {})
    return cluster


def _expect(program: Native, event: str, seconds: float = 0.0) -> Sample:
    """The line in which a program says this."""
    while (line := program.line(seconds + _PATIENCE_S))["event"] != event:
        continue
    return line
