from __future__ import annotations

import io

import pytest
from rich.console import Console

from feedmux.app.roster_table import drawn, plain
from feedmux.core.presence import Presence, Share
from feedmux.core.roster import Held, Roster

NOW = 1_700_000_000.0


def node(name: str, *, has_rival: bool = False, **shares: Share) -> Presence:
    return Presence(
        name=name,
        life=int((NOW - 7200) * 1e9),
        address="gateway-1.example.com:8000",
        version="1.0",
        clients=1234,
        has_rival=has_rival,
        markets=shares,
    )


FIRST = node("node-a", linear=Share(holds=True, wanted=2, topics=("ticker:B", "trade:B")))
SECOND = node("node-b", linear=Share(holds=False, wanted=1, topics=("ticker:B",), lag_s=0.00123))
WELL = Roster((FIRST, SECOND), (Held("linear", "node-a", 1000, 2.04),))


def text(roster: Roster, width: int = 120, *, topics: bool = False) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    for part in drawn(roster, "redis://there:6379", NOW, names_topics=topics):
        console.print(part)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def rows(shown: str) -> list[list[str]]:
    return [line.split() for line in shown.splitlines()]


def test_each_node_and_each_market_is_a_line() -> None:
    shown = rows(text(WELL))
    assert ["node-a", "gateway-1.example.com:8000", "1.0", "2", "h", "1,234", "–", "linear"] in shown
    assert ["node-b", "gateway-1.example.com:8000", "1.0", "2", "h", "1,234", "1.2", "ms"] in shown
    assert ["linear", "node-a", "1000", "2.0", "s", "2", "3"] in shown


def test_topics_are_named_where_they_are_asked_for() -> None:
    assert "ticker:B" not in text(WELL)
    shown = rows(text(WELL, topics=True))
    assert ["linear", "ticker:B", "2"] in shown
    assert ["linear", "trade:B", "1"] in shown


def test_a_lease_that_nobody_has_says_so() -> None:
    shown = text(Roster((SECOND,), ()))
    assert ["linear", "nobody", "–", "–", "1", "1"] in rows(shown)
    assert shown.endswith("! linear: no node has the lease, so nobody runs its feed for all\n")


def test_topics_that_are_not_named_are_more() -> None:
    many = node("node-a", linear=Share(holds=True, wanted=5000, topics=("ticker:B",)))
    assert "1+" in text(Roster((many,), WELL.leases))


def test_names_are_no_markup_and_move_no_cursor() -> None:
    shown = text(Roster((node("[red]x[/red]\x1b[2J"),), ()))
    assert "[red]x[/red]" in shown
    assert "\x1b" not in shown


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_lines_fit_the_width(width: int) -> None:
    shown = text(WELL, width, topics=True)
    assert max(map(len, shown.splitlines())) <= width


def test_machines_are_told_the_same() -> None:
    told = plain(WELL)
    assert [one["name"] for one in told["nodes"]] == ["node-a", "node-b"]
    assert told["nodes"][0]["since"] == NOW - 7200
    assert told["leases"] == [{"market": "linear", "holder": "node-a", "token": 1000, "left_s": 2.04}]
    assert told["demand"]["linear"] == {"wants": 3, "is_whole": True, "topics": {"ticker:B": 2, "trade:B": 1}}
    assert told["problems"] == []
