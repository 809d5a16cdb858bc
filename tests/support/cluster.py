"""Nodes of a cluster, and which of them has the venue's connection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from support.processes import Gateway
from support.waiting import eventually

QUICK: Final = {"UNSUBSCRIBE_LINGER": 0.2, "DRAIN_GRACE": 0}


async def owner_of(nodes: Sequence[Gateway]) -> Gateway:
    """The node that has the venue's connection, as soon as one of them says so."""

    async def holding() -> Gateway | None:
        for node in nodes:
            if any(feed["cluster"]["held"] for feed in (await node.stats())["feeds"]):
                return node
        return None

    found = await eventually(holding, bool, "a node has the lease")
    assert found is not None
    return found
