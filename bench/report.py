"""Print figures as a small table, readable on a terminal and in a pipe."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

Cell = str | int | float

_NARROWEST = 160
_console = Console(highlight=False)
# In a pipe or a small terminal whole figures matter more than whole lines.
_console.width = max(_console.width, _NARROWEST)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
    """Print rows under a title; every column but the first is set to the right."""
    made = Table(title=title, box=box.SIMPLE, title_justify="left")
    for index, column in enumerate(columns):
        made.add_column(column, justify="right" if index else "left", no_wrap=True)
    for row in rows:
        made.add_row(*(_text(cell) for cell in row))
    _console.print(made)


def say(sentence: str) -> None:
    """Print one line of progress or of judgement."""
    _console.print(sentence, soft_wrap=True, markup=False)


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, lowest and highest of several runs."""
    return {"median": statistics.median(values), "lowest": min(values), "highest": max(values)}


def _text(cell: Cell) -> str:
    if isinstance(cell, float):
        return f"{cell:,.3f}" if abs(cell) < 100 else f"{cell:,.0f}"
    return f"{cell:,}" if isinstance(cell, int) else cell
