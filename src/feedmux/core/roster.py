"""What can be seen of a cluster from outside, and what of it is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from feedmux.core.presence import Presence


class Held(NamedTuple):
    """A lease as Redis has it.

    Args:
        market: whose feed it is of.
        holder: the node that has it; empty: nobody.
        token: of this tenure, or of the last one; 0: there was none.
        left_s: for how many seconds it is held if it is not renewed.
    """

    market: str
    holder: str
    token: int
    left_s: float


class Demand(NamedTuple):
    """What all nodes want of one market.

    Args:
        topics: how many nodes want each topic that is named.
        wants: how many topics all nodes want, one that several want as often.
        is_whole: whether all topics are named.
    """

    topics: Counter[str]
    wants: int
    is_whole: bool


class Roster(NamedTuple):
    """A cluster at one moment.

    Args:
        nodes: those that say that they are there.
        leases: of all markets of which there is one.
        foreign: keys under which something is written that no node wrote.
    """

    nodes: tuple[Presence, ...]
    leases: tuple[Held, ...]
    foreign: tuple[str, ...] = ()

    @property
    def markets(self) -> list[str]:
        """What at least one node serves, or once served."""
        return sorted({*self.served, *(lease.market for lease in self.leases)})

    @property
    def served(self) -> set[str]:
        """What at least one node serves."""
        return {market for node in self.nodes for market in node.markets}

    def lease(self, market: str) -> Held:
        """The lease of a market; one that nobody holds where there is none."""
        return next((one for one in self.leases if one.market == market), Held(market, "", 0, 0.0))

    def demand(self, market: str) -> Demand:
        """What all nodes want of a market."""
        shares = [node.markets[market] for node in self.nodes if market in node.markets]
        topics = Counter(topic for share in shares for topic in share.topics)
        wants = sum(share.wanted for share in shares)
        return Demand(topics, wants, wants == topics.total())

    def problems(self) -> Iterator[str]:
        """What is wrong, a sentence each."""
        if not self.nodes:
            yield "no node says that it is there"
        for market in sorted(self.served):
            if not self.lease(market).holder:
                yield f"{market}: no node has the lease, so nobody runs its feed for all"
        for name in sorted({node.name for node in self.nodes if node.has_rival}):
            yield f"several processes are called {name}; give each a NODE_NAME of its own"
        for key in self.foreign:
            yield f"{key} holds what no node wrote"
