"""Show a cluster to people: its nodes, the leases and what is wanted, and the sentences below them."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
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
WIDE: Final = 80
"""From this width on, what matters less is shown too."""
_IF_WIDE: Final = {"version", "up", "token"}
_NUMBERS: Final = {"up", "clients", "lag", "token", "left", "topics", "wants", "nodes"}
NOBODY: Final = "nobody"
UNKNOWN: Final = "–"

Row = Mapping[str, Text]
"""What stands in a line, by the names of the columns."""


def write_roster(roster: Roster, title: str, now: float, *, names_topics: bool) -> None:
    """Write tables and problems to standard output.

    Args:
        roster: what is shown.
        title: where it was found, without secrets.
        now: Unix seconds.
        names_topics: whether each topic is named.
    """
    console = Console(highlight=False, soft_wrap=False, width=None if sys.stdout.isatty() else PIPE_WIDTH)
    for part in drawn(roster, title, now, names_topics=names_topics, is_wide=console.width >= WIDE):
        console.print(part)


def drawn(
    roster: Roster, title: str, now: float, *, names_topics: bool, is_wide: bool
) -> Iterator[RenderableType]:
    """Draw what :func:`write_roster` writes."""
    yield Text(title, style="dim")
    for rows in (_nodes(roster, now), _markets(roster), _topics(roster) if names_topics else ()):
        if shown := list(rows):
            yield ""
            yield _table(shown, is_wide=is_wide)
    problems = list(roster.problems())
    if problems:
        yield ""
    for problem in problems:
        yield Text.assemble(("! ", "red"), _shown(problem))


def _nodes(roster: Roster, now: float) -> Iterator[Row]:
    for node in roster.nodes:
        held = [lease.market for lease in roster.leases if lease.holder == node.name]
        yield {
            "node": Text.assemble(_shown(node.name), (" (several)", "red") if node.has_rival else ""),
            "address": _shown(node.address),
            "version": _shown(node.version),
            "up": Text(span(max(now - node.life / 1e9, 0))),
            "clients": Text(f"{node.clients:,}"),
            "lag": Text(_lag(node)),
            "leases": _shown("\n".join(held)),
        }


def _markets(roster: Roster) -> Iterator[Row]:
    for market in roster.markets:
        lease, demand = roster.lease(market), roster.demand(market)
        more = "" if demand.is_whole else "+"
        yield {
            "market": _shown(market),
            "lease of": _shown(lease.holder) if lease.holder else Text(NOBODY, style="red"),
            "token": Text(str(lease.token or UNKNOWN)),
            "left": Text(f"{lease.left_s:.1f} s" if lease.holder else UNKNOWN),
            "topics": Text(f"{len(demand.topics):,}{more}"),
            "wants": Text(f"{demand.wants:,}"),
        }


def _topics(roster: Roster) -> Iterator[Row]:
    for market in roster.markets:
        for topic, count in sorted(roster.demand(market).topics.items()):
            yield {"market": _shown(market), "topic": _shown(topic), "nodes": Text(str(count))}


def _table(rows: Sequence[Row], *, is_wide: bool) -> Table:
    """A table; numbers stand below each other, and what is too long for the terminal goes on below itself."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    names = [name for name in rows[0] if is_wide or name not in _IF_WIDE]
    for name in names:
        is_number = name in _NUMBERS
        table.add_column(name, justify="right" if is_number else "left", overflow="fold", no_wrap=is_number)
    for row in rows:
        table.add_row(*(row[name] for name in names))
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
