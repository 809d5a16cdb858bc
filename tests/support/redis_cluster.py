"""A Redis Cluster on this machine, made without redis-cli: nodes in processes of their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from feedmux.bus.redis_config import RedisConfig
from support.certificates import HOST
from support.debian import DebianProgram
from support.programs import free_port
from support.redis import RedisServer
from support.redis_ear import SOON
from support.redis_sentinels import bytes_of, soon

SLOTS: Final = 16_384
NODE_TIMEOUT_MS: Final = 1000


class ClusterNode(RedisServer):
    """One node.

    Args:
        program: of Redis.
        folder: of its own.
        users: see :class:`RedisServer`.
    """

    def __init__(self, program: DebianProgram, folder: Path, users: tuple[str, ...] = ()) -> None:
        self.bus_port = free_port()
        options = {
            "cluster-enabled": "yes",
            "cluster-port": str(self.bus_port),
            "cluster-node-timeout": str(NODE_TIMEOUT_MS),
            "repl-diskless-sync-delay": "0",
        }
        super().__init__(program, folder, users=users, options=options)

    @property
    def node_id(self) -> str:
        """How the cluster calls it."""
        return bytes_of(self.ask("CLUSTER", "MYID")).decode()

    def info(self) -> dict[str, str]:
        """What it knows about the cluster."""
        lines = bytes_of(self.ask("CLUSTER", "INFO")).decode().splitlines()
        return dict(line.split(":") for line in lines if ":" in line)

    def listening(self, *channels: bytes) -> list[int]:
        """How many listen to each channel of a shard here."""
        answer = self.ask("PUBSUB", "SHARDNUMSUB", *channels)
        assert isinstance(answer, list)
        return [count for count in answer[1::2] if isinstance(count, int)]


class RedisCluster:
    """Masters that divide the slots, and replicas of the first of them.

    Args:
        program: of Redis.
        folder: for those of all nodes.
        replicas: how many masters have a replica, from the first on.
        users: of all nodes.
    """

    def __init__(
        self, program: DebianProgram, folder: Path, *, replicas: int = 0, users: tuple[str, ...] = ()
    ) -> None:
        self.masters = [ClusterNode(program, folder / f"m{number}", users) for number in range(3)]
        self.replicas = [ClusterNode(program, folder / f"r{number}", users) for number in range(replicas)]

    @property
    def nodes(self) -> Sequence[ClusterNode]:
        """All of them."""
        return [*self.masters, *self.replicas]

    def start(self) -> None:
        """Start all of them, and wait until they agree."""
        for node in self.nodes:
            node.start()
        first = self.masters[0]
        for number, node in enumerate(self.masters):
            begin, end = SLOTS * number // 3, SLOTS * (number + 1) // 3 - 1
            node.ask("CLUSTER", "ADDSLOTSRANGE", str(begin), str(end))
            node.ask("CLUSTER", "SET-CONFIG-EPOCH", str(number + 1))
        for node in self.nodes[1:]:
            first.ask("CLUSTER", "MEET", HOST, str(node.port), str(node.bus_port))
        self._agree()
        for master, replica in zip(self.masters, self.replicas, strict=False):
            replica.ask("CLUSTER", "REPLICATE", master.node_id)
        for replica in self.replicas:
            soon(lambda one=replica: b"master_link_status:up" in bytes_of(one.ask("INFO")), "it is copied")  # type: ignore[misc]
        for node in self.nodes:
            soon(lambda one=node: self._knows_replicas(one), "all know who copies whom")  # type: ignore[misc]

    def kill(self) -> None:
        """End all of them."""
        for node in self.nodes:
            node.kill()

    def owner(self, slot: int) -> ClusterNode:
        """Who has a slot, as all nodes that live say."""
        (port,) = self._owner_ports(slot)
        return next(node for node in self.nodes if node.port == port)

    def has_another_owner(self, slot: int, old: ClusterNode) -> bool:
        """Whether all nodes that live agree that somebody else has a slot now."""
        ports = self._owner_ports(slot)
        return len(ports) == 1 and old.port not in ports

    def replica_of(self, master: ClusterNode) -> ClusterNode:
        """Who copies a node."""
        answer = master.ask("CLUSTER", "REPLICAS", master.node_id)
        assert isinstance(answer, list)
        name = bytes_of(answer[0]).split()[0].decode()
        return next(node for node in self.nodes if node.node_id == name)

    def is_whole(self) -> bool:
        """Whether all nodes live, and all agree that it is well, and that each master has its replica."""
        return all(self._is_whole(node) and self._knows_replicas(node) for node in self.nodes)

    def move(self, slot: int, target: ClusterNode, *keys: str) -> None:
        """Give a slot to another node, as an administrator does who moves it with its keys."""
        source = self.owner(slot)
        self.begin_to_move(slot, target)
        for key in keys:
            self.move_key(source, target, key)
        self.end_to_move(slot, target)

    def begin_to_move(self, slot: int, target: ClusterNode) -> None:
        """Say that it is on its way."""
        source = self.owner(slot)
        target.ask("CLUSTER", "SETSLOT", str(slot), "IMPORTING", source.node_id)
        source.ask("CLUSTER", "SETSLOT", str(slot), "MIGRATING", target.node_id)

    def move_key(self, source: ClusterNode, target: ClusterNode, key: str) -> None:
        """Carry one key over."""
        source.ask("MIGRATE", HOST, str(target.port), key, "0", "5000")

    def end_to_move(self, slot: int, target: ClusterNode) -> None:
        """Say that it is there."""
        for node in [target, *(node for node in self.masters if node is not target)]:
            node.ask("CLUSTER", "SETSLOT", str(slot), "NODE", target.node_id)

    @property
    def url(self) -> str:
        """Where it is, as settings say it."""
        return "redis://" + ",".join(f"{HOST}:{node.port}" for node in self.masters)

    @property
    def settings(self) -> dict[str, str]:
        """The settings of a gateway that uses it."""
        return {"REDIS_URL": self.url, "REDIS_CLUSTER": "true"}

    def config(self, partition: str) -> RedisConfig:
        """What a link needs that uses this hash tag; the second node is named."""
        port = self.masters[1].port
        return RedisConfig(host=HOST, port=port, is_cluster=True, partition=partition, backoff=SOON)

    def _agree(self) -> None:
        for node in self.nodes:
            soon(lambda one=node: self._is_whole(one), "the cluster is whole")  # type: ignore[misc]

    def _is_whole(self, node: ClusterNode) -> bool:
        info = node.info()
        known = (info["cluster_state"], info["cluster_known_nodes"], info["cluster_slots_ok"])
        return known == ("ok", str(len(self.nodes)), str(SLOTS))

    def _knows_replicas(self, node: ClusterNode) -> bool:
        lines = bytes_of(node.ask("CLUSTER", "NODES")).splitlines()
        return sum(b"slave" in line.split()[2] for line in lines) == len(self.replicas)

    def _owner_ports(self, slot: int) -> set[int]:
        return {self._owner_port(node, slot) for node in self.nodes if not node.has_ended}

    def _owner_port(self, node: ClusterNode, slot: int) -> int:
        answer = node.ask("CLUSTER", "SLOTS")
        assert isinstance(answer, list)
        for entry in answer:
            assert isinstance(entry, list)
            first, last, master = entry[:3]
            assert isinstance(first, int) and isinstance(last, int) and isinstance(master, list)
            if first <= slot <= last:
                port = master[1]
                assert isinstance(port, int)
                return port
        return 0


@contextmanager
def redis_cluster(
    program: DebianProgram, folder: Path, *, replicas: int = 0, users: tuple[str, ...] = ()
) -> Iterator[RedisCluster]:
    """A cluster; it is gone when the block ends."""
    cluster = RedisCluster(program, folder / "c", replicas=replicas, users=users)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.kill()
