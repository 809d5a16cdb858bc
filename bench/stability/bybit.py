"""Bybit's public streams for a link: its words, its pings, its answers by ``req_id``.

Source: Bybit V5 API documentation, "WebSocket Stream", "Connect", 2026-07.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from feedmux.client.plain import PlainAdapter
from feedmux.model.adapter import Dialogue, Note
from feedmux.model.ports import Correlator
from feedmux.model.rpc import Reply, RpcError


class ByRequestId:
    """Requests and answers of ``{"op": …, "req_id": …, "args": …}``."""

    def request(self, request_id: int, method: str, params: object) -> object:
        """Write a request."""
        return {"req_id": f"{request_id}", "op": method, "args": params or []}

    def reply(self, message: Any) -> Reply | None:
        """Read an answer; None when it is none, or one to the link's own ping."""
        if not isinstance(message, dict) or "success" not in message or not message.get("req_id"):
            return None
        error = None if message["success"] else RpcError(0, str(message.get("ret_msg", "")))
        return Reply(message["req_id"], result=message, error=error)


class BybitAdapter(PlainAdapter):
    """One market."""

    name = "Bybit"
    correlator: Correlator | None = ByRequestId()

    async def subscribe(self, dialogue: Dialogue, channels: Sequence[str], /) -> Mapping[str, str]:
        """Ask for all at once; one that is refused lets all of them be asked for in parts."""
        await dialogue.request("subscribe", list(channels))
        return {}

    async def unsubscribe(self, dialogue: Dialogue, channels: Sequence[str], /) -> None:
        """Give them back."""
        await dialogue.request("unsubscribe", list(channels))

    def inspect(self, message: Any, /) -> Note | None:
        """Name the topic of data; an answer without an id is the pong."""
        if not isinstance(message, dict):
            return None
        if "topic" in message:
            return Note(channel=message["topic"])
        return Note(is_data=False, is_pong=message.get("op") in {"ping", "pong"})

    def ping(self) -> object:
        """Bybit's own."""
        return {"op": "ping"}
