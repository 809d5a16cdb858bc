"""Show a broker to people: its clients and its WebSockets."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from rich import box
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from feedmux.app.roster_table import PIPE_WIDTH
from feedmux.core.span import span

_NUMBERS: Final = {"client", "process", "id", "symbols", "messages", "opened"}
_NONE: Final = "–"

Row = Mapping[str, Text]
"""What stands in a line, by the names of the columns."""


def write_status(status: Mapping[str, Any]) -> None:
    """Write what a broker says of itself to standard output.

    Args:
        status: its answer, decoded.
    """
    console = Console(highlight=False, soft_wrap=False, width=None if sys.stdout.isatty() else PIPE_WIDTH)
    for part in drawn(status):
        console.print(part)


def drawn(status: Mapping[str, Any]) -> Iterator[RenderableType]:
    """Draw what :func:`write_status` writes; who only asks is not shown."""
    about = f"broker {status['name']}, process {status['pid']}, {status['version']}"
    yield Text(_plain(f"{about}, up {span(status['up_s'])}"), style="dim")
    clients = [client for client in status["clients"] if not client["asks"]]
    websockets = status["websockets"]
    if not clients:
        yield Text(f"Nobody shares anything; it ends when nobody came for {status['linger_s']:g} s.")
    for rows in ([_client(client) for client in clients], [_websocket(found) for found in websockets]):
        if rows:
            yield ""
            yield _table(rows)


def _client(client: Mapping[str, Any]) -> Row:
    return {
        "client": Text(str(client["client"])),
        "process": Text(str(client["pid"])),
        "name": Text(_plain(client["name"])),
        "shares": Text(_listed(client["websockets"])),
    }


def _websocket(found: Mapping[str, Any]) -> Row:
    is_open = found["state"] in {"open", "proven"}
    state = "open" if is_open else str(found["state"])
    return {
        "id": Text(str(found["id"])),
        "address": Text(_plain(found["url"])),
        "state": Text(state, style="" if is_open else "red"),
        "clients": Text(_listed(found["clients"])),
        "symbols": Text(f"{found['symbols']:,}"),
        "messages": Text(f"{found['messages']:,}"),
        "opened": Text(f"{found['opens']:,}"),
        "last ended by": Text(_plain(found["last_reason"]) or _NONE),
    }


def _table(rows: Sequence[Row]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for name in rows[0]:
        is_number = name in _NUMBERS
        table.add_column(name, justify="right" if is_number else "left", overflow="fold", no_wrap=is_number)
    for row in rows:
        table.add_row(*row.values())
    return table


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers)) or _NONE


def _plain(text: str) -> str:
    """What a client called itself, as it may be shown: nothing in it moves a cursor."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
