"""A client on picows that talks while it reads, reads in bursts and pauses, and checks every message.

Its argument is JSON: ``url``, ``messages`` (how many values it wants), ``steady`` (streams that it
holds to the end) and ``fickle`` (those that it takes and gives back). Lines of JSON come out of it:
``{"seen": n}`` when it has subscribed and now and then, the highest number of a venue's message; in the
end what it counted. It ends with 1 and a traceback when something is wrong.
"""

from __future__ import annotations

import asyncio
import random
import sys
from typing import Any

import msgspec
from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from peers.judge import Judge

_OK = 1000
_SAY_EVERY = 50
_MOST_OWED = 8
_MOST_PINGS = 50
_decode = msgspec.json.Decoder(dict[str, Any]).decode


def say(**what: object) -> None:
    """One line to whoever started this."""
    sys.stdout.write(msgspec.json.encode(what).decode() + "\n")
    sys.stdout.flush()


class Reader(WSListener):
    """One connection.

    Args:
        told: the argument.
    """

    def __init__(self, told: dict[str, Any]) -> None:
        self._told = told
        self._dice = random.Random(1)
        self._judge = Judge()
        self._held: set[str] = set()
        self._pinged = self._ponged = self._longest = self._pauses = 0
        self._until_pause = 1000
        self._ready = self._ending = False
        self._failure: BaseException | None = None
        self._echo = 0
        self._transport: WSTransport

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        for arg in self._told["steady"]:
            self._ask("subscribe", arg)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if self._failure is not None:
            return
        try:
            self._take(frame)
        except BaseException as failure:  # noqa: BLE001 - picows would only log it; it is raised at the end
            self._failure = failure
            transport.disconnect(graceful=False)

    def result(self) -> dict[str, object]:
        """What was counted.

        Raises:
            AssertionError: something was wrong.
        """
        if self._failure is not None:
            raise self._failure
        assert self._echo == _OK, f"the close was echoed with {self._echo}"
        return {
            "values": self._judge.values,
            "longest": self._longest,
            "pongs": self._ponged,
            "pauses": self._pauses,
            **self._judge.counts,
        }

    def _take(self, frame: WSFrame) -> None:
        kind = frame.msg_type
        if kind is WSMsgType.PONG:
            assert frame.get_payload_as_bytes() == b"%d" % self._ponged
            self._ponged += 1
        elif kind is WSMsgType.CLOSE:
            self._echo = int.from_bytes(frame.get_payload_as_bytes()[:2], "big")
            assert self._ending, f"closed with {self._echo}: {frame.get_close_reason()}"
            self._transport.disconnect()
        else:
            assert kind is WSMsgType.TEXT, kind
            payload = frame.get_payload_as_bytes()
            self._longest = max(self._longest, len(payload))
            self._message(_decode(payload))
        if self._ending and not self._judge.owed and self._ponged == self._pinged and not self._echo:
            self._transport.send_close(WSCloseCode.OK)
            self._echo = -1

    def _message(self, message: dict[str, Any]) -> None:
        before = self._judge.values
        self._judge.take(message)
        if self._judge.values > before and not self._ending:
            self._go_on()
        elif not self._ready and not self._judge.owed:
            self._ready = True
            say(seen=0)

    def _go_on(self) -> None:
        values = self._judge.values
        if values >= self._told["messages"]:
            self._ending = True
            for arg in [*self._told["steady"], *self._held]:
                self._ask("unsubscribe", arg)
            return
        if values % _SAY_EVERY == 0:
            say(seen=self._judge.furthest)
        if self._dice.random() < 0.02:
            self._talk()
        self._until_pause -= 1
        if self._until_pause == 0:
            self._pause()

    def _talk(self) -> None:
        if self._pinged - self._ponged < _MOST_PINGS:
            self._transport.send_ping(b"%d" % self._pinged)
            self._pinged += 1
        if self._judge.owed < _MOST_OWED:
            self._ask("ping")
            arg = self._dice.choice(self._told["fickle"])
            self._ask("unsubscribe" if arg in self._held else "subscribe", arg)
            self._held ^= {arg}

    def _ask(self, op: str, arg: str = "") -> None:
        self._judge.asks(op, arg)
        request = {"op": op, "args": [arg]} if arg else {"op": op}
        self._transport.send(WSMsgType.TEXT, msgspec.json.encode(request))

    def _pause(self) -> None:
        self._until_pause = self._dice.randrange(100, 1000)
        self._pauses += 1
        transport = self._transport.underlying_transport
        transport.pause_reading()
        asyncio.get_running_loop().call_later(self._dice.uniform(0.001, 0.005), _read_on, transport)


def _read_on(transport: asyncio.Transport) -> None:
    if not transport.is_closing():
        transport.resume_reading()


async def main(told: dict[str, Any]) -> None:
    """Read to the end."""
    reader = Reader(told)
    transport, _ = await ws_connect(lambda: reader, told["url"])
    await transport.wait_disconnected()
    say(**reader.result())


if __name__ == "__main__":
    asyncio.run(main(_decode(sys.argv[1])))
