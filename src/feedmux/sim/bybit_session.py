"""One connection to a simulated Bybit market: what it asks, and what it is told.

The wording differs by market: futures answer a missing ``req_id`` with an empty one and a
success with an empty ``ret_msg``; spot leaves the id out and repeats the operation.
Source: captures of linear (2026-09-30) and spot (testnet, 2026-09-13); refusals as probed
2026-09-05 to 2026-10-02 by several projects.
"""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

import msgspec
from websockets.asyncio.server import ServerConnection
from websockets.protocol import State

from feedmux.sim.bybit_floor import Floor
from feedmux.sim.frames import reset, text_frame

MAX_CHARACTERS = 21_000
"""Characters of the args array over one connection. Source: Bybit V5 documents, ws/connect, 2026-07."""
MAX_SPOT_ARGS = 10
"""Args of one request on spot. Source: Bybit V5 documents, ws/connect, 2026-07."""
_CONN_ALPHABET = "0123456789abcdefghijklmnopqrstuv"
_OPS = ("subscribe", "unsubscribe", "ping")


class _Request(msgspec.Struct):
    op: str = ""
    args: list[str] = []
    req_id: str | None = None


_decode = msgspec.json.Decoder(_Request).decode
_encode = msgspec.json.Encoder().encode


def cost(topic: str) -> int:
    """The characters that ``topic`` takes in an args array: its own, two quotes and a comma."""
    return len(topic) + 3


class Session:
    """One connection.

    Args:
        floor: the market it is connected to.
        connection: its WebSocket, open.
        dice: where its name comes from.
    """

    def __init__(self, floor: Floor, connection: ServerConnection, dice: Random) -> None:
        self.topics: set[str] = set()
        self.connection = connection
        self.conn_id = f"{_word(dice, 20)}-{_word(dice, 5)}"
        self._floor = floor
        self._characters = 1
        self._out: list[bytes] = []
        self._born = self._heard = floor.now()
        floor.members.add(self)

    # -- towards the client ----------------------------------------------------------------

    def queue(self, frames: Iterable[bytes]) -> None:
        """Add whole frames to the next write."""
        self._out.extend(frames)
        self._floor.mark(self)

    def flush(self) -> None:
        """Write what is queued, at once; a client that left too much unread is cut."""
        frames, self._out = self._out, []
        if not frames or self.connection.state is not State.OPEN:
            return
        transport = self.connection.transport
        transport.write(b"".join(frames))
        self._floor.counts["frames_sent"] += len(frames)
        if transport.get_write_buffer_size() > self._floor.options.backlog_bytes:
            self._floor.counts["cut_slow"] += 1
            self.abort()

    def sweep(self, now: float) -> None:
        """Cut the connection if it was silent, or simply there, for too long."""
        options = self._floor.options
        if options.reset_after_s is not None and now - self._born >= options.reset_after_s:
            self._floor.counts["cut_old"] += 1
            self.abort()
        elif options.idle_cut_s is not None and not self.topics and now - self._heard >= options.idle_cut_s:
            self._floor.counts["cut_idle"] += 1
            self.abort()

    def abort(self) -> None:
        """Reset the TCP connection: the client sees no close frame."""
        reset(self.connection)

    # -- from the client -------------------------------------------------------------------

    def leave(self) -> None:
        """The connection ended."""
        self._floor.leave(self)

    def receive(self, message: str | bytes) -> None:
        """Answer one request; while the venue is silent it is lost."""
        self._heard = self._floor.now()
        if self._floor.silent:
            self._floor.counts["unheard"] += 1
            return
        try:
            request = _decode(message)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            self._floor.requests["undecodable"] += 1
            self._refuse(_Request(), _undecodable(message))
            return
        self._floor.requests[request.op if request.op in _OPS else "unknown"] += 1
        self._answer(request)

    def _answer(self, request: _Request) -> None:
        if request.op == "ping":
            if self._floor.options.pong:
                self._send(self._frame(request, "pong"))
        elif request.op == "subscribe":
            self._subscribe(request)
        elif request.op == "unsubscribe":
            self._unsubscribe(request)
        else:
            self._refuse(request, "error:invalid op")

    def _subscribe(self, request: _Request) -> None:
        problem = self._problem(request.args)
        if problem is not None:
            self._refuse(request, problem)
            return
        self.topics.update(request.args)
        self._characters += sum(cost(topic) for topic in request.args)
        self._floor.subscribe(self, request.args, self._success(request))

    def _unsubscribe(self, request: _Request) -> None:
        held = self.topics.intersection(request.args)
        self.topics -= held
        self._characters -= sum(cost(topic) for topic in held)
        self._floor.unsubscribe(self, held)
        self._send(self._success(request))

    def _problem(self, args: list[str]) -> str | None:
        """Why the whole request is refused, naming the first bad topic; None when it is not."""
        spot = self._floor.market == "spot"
        if spot and len(args) > MAX_SPOT_ARGS:
            return f"args size >{MAX_SPOT_ARGS}"
        seen = set(self.topics)
        for topic in args:
            if not self._floor.serves(topic):
                return f"Invalid symbol :[{topic}]" if spot else f"error:handler not found,topic:{topic}"
            if topic in seen:
                return f"error:already subscribed,topic:{topic}"
            seen.add(topic)
        if self._characters + sum(map(cost, args)) > MAX_CHARACTERS:
            return f"args length >{MAX_CHARACTERS}"
        return None if args else "args size is 0"

    def _success(self, request: _Request) -> bytes:
        return self._frame(request, request.op if self._floor.market == "spot" else "")

    def _refuse(self, request: _Request, reason: str) -> None:
        self._floor.counts["refused"] += 1
        self._send(self._frame(request, reason, success=False))

    def _frame(self, request: _Request, ret_msg: str, *, success: bool = True) -> bytes:
        answer: dict[str, object] = {"success": success, "ret_msg": ret_msg, "conn_id": self.conn_id}
        if request.req_id is not None or self._floor.market != "spot":
            answer["req_id"] = request.req_id or ""
        answer["op"] = request.op
        return text_frame(_encode(answer))

    def _send(self, frame: bytes) -> None:
        self.queue([frame])
        self.flush()


def _word(dice: Random, length: int) -> str:
    return "".join(dice.choices(_CONN_ALPHABET, k=length))


def _undecodable(message: str | bytes) -> str:
    """The venue's words about a request that it cannot read, up to what differs each time.

    Source: probed 2026-09 on the public stream (text that is no JSON).
    """
    text = message if isinstance(message, str) else message.decode("utf-8", "replace")
    context = f"error found in #1 byte of ...|{text[:10]}|..., bigger context ...|{text[:40]}|..."
    if text[:1] in {"{", "n"}:
        return f"Failed to decode incoming data:op.CmdReq: {context}"
    return f"Failed to decode incoming data:readObjectStart: expect {{ or n, but found {text[:1]}, {context}"
