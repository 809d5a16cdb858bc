"""What the ``/ws`` protocol tells a client unasked beside its data: how its token is, what it has lost.

They have the form of data messages: ``type``, ``data``, ``timestamp`` and ``source``.
"""

from __future__ import annotations

import json
from math import isinf
from typing import Any

from feedmux.model.access import Identity
from feedmux.model.event import State
from feedmux.wire import op

_NS_PER_MS = 1_000_000


class Notices:
    """What one gateway says, and what it answers to tokens; ``time_ns`` is in Unix nanoseconds.

    Args:
        source: who says it: the brand.
        statuses: False leaves those of streams out, for clients that cannot bear them.
    """

    def __init__(self, source: str, *, statuses: bool = True) -> None:
        self._source = source
        self._statuses = statuses

    def taken(self, identity: Identity, /) -> bytes:
        """Answer a token that proves who the client is."""
        return op.authenticated(identity)

    def refused(self, reason: str, code: str, /) -> bytes:
        """Answer a token that does not; see :func:`feedmux.wire.op.not_authenticated`."""
        return op.not_authenticated(reason, code)

    def expiring(self, identity: Identity, reason: str, time_ns: int, /) -> bytes:
        """Tell that the client's token expires soon."""
        return self._auth("expiring", identity, reason, time_ns)

    def expired(self, identity: Identity, reason: str, code: str, time_ns: int, /) -> bytes:
        """Tell that it has; the state says what the code does."""
        return self._auth("expired", identity, reason, time_ns)

    def closed(self, stream: str, reason: str, time_ns: int) -> bytes | None:
        """Tell that a stream is not for this client any more; None when it is not to be told.

        It is a status of no epoch, as that of a topic which nobody writes.
        """
        if not self._statuses:
            return None
        data = {"state": State.REFUSED, "reason": reason}
        return self._message({"stream": stream, "type": "status", "data": data}, time_ns, epoch=0)

    def _auth(self, state: str, identity: Identity, reason: str, time_ns: int) -> bytes:
        data: dict[str, Any] = {"state": state, "reason": reason}
        if not isinf(identity.expires_s):
            data["expires"] = int(identity.expires_s * 1000)
        return self._message({"type": "auth", "data": data}, time_ns)

    def _message(self, said: dict[str, Any], time_ns: int, **more: int) -> bytes:
        whole = {**said, "timestamp": time_ns // _NS_PER_MS, "source": self._source, **more}
        return json.dumps(whole, separators=(",", ":")).encode()
