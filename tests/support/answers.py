"""Answer a client's message as far as that needs no streams."""

from __future__ import annotations

import json
from typing import Any

from feedmux.wire import op


def answered(payload: bytes, *, takes_tokens: bool = False) -> dict[str, Any]:
    """The answer to ``payload``; every arg of a subscribe is rejected."""
    request = op.decode(payload, takes_tokens=takes_tokens)
    if isinstance(request, op.Invalid):
        answer = op.error(request.code, request.message)
    elif isinstance(request, op.Ping):
        answer = op.pong(0)
    elif isinstance(request, op.Subscribe):
        served, notes = (request.wish.served, request.wish.notes) if request.wish else (None, ())
        answer = op.subscribed([], [(arg, "no") for arg in request.args], [], served, notes)
    elif isinstance(request, op.Auth):
        answer = op.not_authenticated("no", "NO")
    else:
        answer = op.unsubscribed([arg for arg in request.args if isinstance(arg, str)])
    told: dict[str, Any] = json.loads(answer)
    return told
