from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from feedmux.app.share.status_table import drawn


def status(**changes: Any) -> dict[str, Any]:
    asker = {"client": 2, "pid": 12, "name": "feedmux share", "asks": True, "websockets": []}
    found = {"name": "x", "pid": 7, "version": "1.0", "up_s": 7200, "linger_s": 60.0, "clients": [asker]}
    return {**found, "websockets": [], **changes}


def text(found: dict[str, Any]) -> str:
    console = Console(file=io.StringIO(), width=160, highlight=False)
    for part in drawn(found):
        console.print(part)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_broker_without_clients_says_when_it_ends() -> None:
    shown = text(status())
    assert "broker x, process 7, 1.0, up 2 h" in shown
    assert "Nobody shares anything; it ends when nobody came for 60 s." in shown
    assert "feedmux share" not in shown


def test_each_client_and_each_websocket_is_a_line() -> None:
    client = {"client": 1, "pid": 11, "name": "bot", "asks": False, "websockets": [1, 2]}
    websocket = {"id": 1, "url": "ws://x/", "clients": [1, 3], "symbols": 1234, "messages": 5, "opens": 2}
    lost = {**websocket, "id": 2, "state": "waiting", "last_reason": "gone"}
    found = status(clients=[client], websockets=[{**websocket, "state": "proven", "last_reason": ""}, lost])
    rows = [line.split() for line in text(found).splitlines()]
    assert ["1", "11", "bot", "1,", "2"] in rows
    assert ["1", "ws://x/", "open", "1,", "3", "1,234", "5", "2", "–"] in rows
    assert ["2", "ws://x/", "waiting", "1,", "3", "1,234", "5", "2", "gone"] in rows


def test_a_name_cannot_move_the_cursor() -> None:
    client = {"client": 1, "pid": 11, "name": "\x1b[2Jbot", "asks": False, "websockets": []}
    shown = text(status(clients=[client]))
    assert "\x1b" not in shown
    assert "\\x1b[2Jbot" in shown
