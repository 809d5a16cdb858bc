"""Show a cluster to people: its nodes, the leases and what is wanted, and the sentences below them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any, Final

from rich import box
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from feedmux.core.presence import Presence
from feedmux.core.roster import Roster
from feedmux.core.span import span

PIPE_WIDTH: Final = 200
"""Whoever reads a pipe gets whole lines."""
NOBODY: Final = "nobody"
UNKNOWN: Final = "–"


def write_roster(roster: Roster, title: str, now: float, *, names_topics: bool) -> None:
    """Write tables and problems to standard output.

    Args:
        roster: what is shown.
        title: where it was found, without secrets.
        now: Unix seconds.
        names_topics: whether each topic is named.
    """
    console = Console(highlight=False, soft_wrap=False, width=None if sys.stdout.isatty() else PIPE_WIDTH)
    for part in drawn(roster, title, now, names_topics=names_topics):
        console.print(part)


def drawn(roster: Roster, title: str, now: float, *, names_topics: bool) -> Iterator[RenderableType]:
    """Draw what :func:`write_roster` writes."""
    yield Text(title, style="dim")
    tables = [_nodes(roster, now), _markets(roster), *([_topics(roster)] if names_topics else [])]
    for table in tables:
        if table.row_count:
            yield ""
            yield table
    problems = list(roster.problems())
    if problems:
        yield ""
    for problem in problems:
        yield Text.assemble(("! ", "red"), _shown(problem))


def _nodes(roster: Roster, now: float) -> Table:
    table = _table("node", "address", "version", "up", "clients", "lag", "leases")
    for node in roster.nodes:
        held = [lease.market for lease in roster.leases if lease.holder == node.name]
        name = Text.assemble(_shown(node.name), (" (several)", "red") if node.has_rival else "")
        up = span(max(now - node.life / 1e9, 0))
        cells = (node.address, node.version, up, f"{node.clients:,}", _lag(node), "\n".join(held))
        table.add_row(name, *map(_shown, cells))
    return table


def _markets(roster: Roster) -> Table:
    table = _table("market", "lease of", "token", "left", "topics", "wants")
    for market in roster.markets:
        lease, demand = roster.lease(market), roster.demand(market)
        holder = _shown(lease.holder) if lease.holder else Text(NOBODY, style="red")
        more = "" if demand.is_whole else "+"
        table.add_row(
            _shown(market),
            holder,
            str(lease.token or UNKNOWN),
            f"{lease.left_s:.1f} s" if lease.holder else UNKNOWN,
            f"{len(demand.topics):,}{more}",
            f"{demand.wants:,}",
        )
    return table


def _topics(roster: Roster) -> Table:
    table = _table("market", "topic", "nodes")
    for market in roster.markets:
        for topic, count in sorted(roster.demand(market).topics.items()):
            table.add_row(_shown(market), _shown(topic), str(count))
    return table


def _table(*names: str) -> Table:
    """A table; numbers stand below each other, and what is too long for the terminal goes on below itself."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for name in names:
        is_number = name in {"up", "clients", "lag", "token", "left", "topics", "wants", "nodes"}
        table.add_column(name, justify="right" if is_number else "left", overflow="fold", no_wrap=is_number)
    return table


def _shown(text: str) -> Text:
    """What stands in Redis, as it may be shown: nothing in it moves a cursor, or ends a line but ours."""
    letters = (c if c.isprintable() or c == "\n" else f"\\x{ord(c):02x}" for c in text)
    return Text("".join(letters))


def _lag(node: Presence) -> str:
    """The worst of its markets."""
    lags = [share.lag_s for share in node.markets.values() if share.lag_s is not None]
    return f"{max(lags) * 1000:.1f} ms" if lags else UNKNOWN


def plain(roster: Roster) -> dict[str, Any]:
    """What machines are told of the same."""
    return {
        "nodes": [
            {
                "name": node.name,
                "address": node.address,
                "version": node.version,
                "since": round(node.life / 1e9, 3),
                "clients": node.clients,
                "has_rival": node.has_rival,
                "markets": {
                    market: {"holds": share.holds, "wanted": share.wanted, "lag_s": share.lag_s}
                    for market, share in node.markets.items()
                },
            }
            for node in roster.nodes
        ],
        "leases": [lease._asdict() for lease in roster.leases],
        "demand": {market: _demand(roster, market) for market in roster.markets},
        "problems": list(roster.problems()),
    }


def _demand(roster: Roster, market: str) -> dict[str, Any]:
    demand = roster.demand(market)
    return {"wants": demand.wants, "is_whole": demand.is_whole, "topics": dict(sorted(demand.topics.items()))}
