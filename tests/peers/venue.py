"""A venue with messages of every size that sends as many as it is told to, each with its number.

It speaks as much of Bybit's public linear stream as a gateway needs. Every line of its standard
input is a number of messages to send, to topics by chance. The ``ts`` of a message is :data:`EPOCH_MS`
plus its number among all; its number in its topic is in the data, where the gateway hands it on:
a ticker's and a candle's price, the id of the first trade.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Iterator

import msgspec
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from feedmux.sim.frames import text_frame

EPOCH_MS = 1_700_000_000_000
CLOSE_EVERY = 20
"""Every so many messages of a candle the last one closes it."""
_TOGETHER = 100
_TRADES = ((0.70, 1, 1), (0.24, 2, 8), (0.055, 9, 60), (0.005, 250, 600))
_TRADE = (
    b'{"T":1700000000000,"s":"%b","S":"Buy","v":"0.015","p":"80000.00","L":"PlusTick","i":"%d/%d","BT":false}'
)


class Market:
    """What there is to send to whom; the same seed sends the same.

    Args:
        seed: of all chance.
    """

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)
        self._topics: list[str] = []
        self._counts: dict[str, int] = {}
        self._rests: dict[tuple[str, int], bytes] = {}
        self._number = 0

    def subscribe(self, topic: str) -> bytes | None:
        """Send ``topic`` from now on; its first frame, if it has one."""
        if topic not in self._topics:
            self._topics.append(topic)
        return self._ticker(topic, "snapshot", 0) if topic.startswith("tickers.") else None

    def draw(self, count: int) -> Iterator[bytes]:
        """The next ``count`` messages."""
        for _ in range(count if self._topics else 0):
            topic = self._dice.choice(self._topics)
            self._number += 1
            number = self._counts[topic] = self._counts.get(topic, 0) + 1
            if topic.startswith("tickers."):
                yield self._ticker(topic, "delta", number)
            elif topic.startswith("kline."):
                yield self._candle(topic, number)
            else:
                yield self._trades(topic, number)

    def _ticker(self, topic: str, kind: str, number: int) -> bytes:
        symbol = topic.rpartition(".")[2]
        data = {"symbol": symbol, "lastPrice": str(number), "bid1Price": "1", "bid1Size": "2.5"}
        frame = {"topic": topic, "type": kind, "data": data, "cs": number, "ts": EPOCH_MS + self._number}
        return msgspec.json.encode(frame)

    def _candle(self, topic: str, number: int) -> bytes:
        start = EPOCH_MS + number // CLOSE_EVERY * 60_000
        price = str(number)
        data = {
            "start": start,
            "end": start + 59_999,
            "interval": "1",
            "open": "1",
            "close": price,
            "high": price,
        }
        data |= {
            "low": "1",
            "volume": "3.5",
            "turnover": "7.5",
            "confirm": number % CLOSE_EVERY == CLOSE_EVERY - 1,
        }
        frame = {"topic": topic, "data": [data], "ts": EPOCH_MS + self._number, "type": "snapshot"}
        return msgspec.json.encode(frame)

    def _trades(self, topic: str, number: int) -> bytes:
        count, symbol = self._burst(), topic.rpartition(".")[2].encode()
        rest = self._rests.get((topic, count))
        if rest is None:
            items = (_TRADE % (symbol, index, count) for index in range(1, count))
            rest = self._rests[topic, count] = b"".join(b"," + item for item in items)
        first = _TRADE.replace(b"%d/%d", b"%d:%d") % (symbol, number, count)
        head = b'{"topic":"%b","type":"snapshot","ts":%d,"data":[' % (topic.encode(), EPOCH_MS + self._number)
        return head + first + rest + b"]}"

    def _burst(self) -> int:
        draw = self._dice.random()
        for share, fewest, most in _TRADES:
            draw -= share
            if draw < 0:
                return self._dice.randint(fewest, most)
        return 1


class Venue:
    """Serves one market to whoever comes."""

    def __init__(self, market: Market) -> None:
        self._market = market
        self._connections: set[ServerConnection] = set()

    async def serve(self, connection: ServerConnection) -> None:
        """Answer requests until the connection ends."""
        self._connections.add(connection)
        try:
            async for message in connection:
                request = msgspec.json.decode(message)
                op = request["op"]
                answer = {
                    "success": True,
                    "ret_msg": "pong" if op == "ping" else "",
                    "conn_id": "c",
                    "op": op,
                }
                await connection.send(msgspec.json.encode(answer | {"req_id": request["req_id"]}).decode())
                for topic in request["args"] if op == "subscribe" else ():
                    if (first := self._market.subscribe(topic)) is not None:
                        await connection.send(first.decode())
        except ConnectionClosed:
            pass
        finally:
            self._connections.discard(connection)

    async def send(self, count: int) -> None:
        """Send the next messages, in pieces, as fast as they are taken."""
        while count > 0:
            piece = b"".join(map(text_frame, self._market.draw(min(count, _TOGETHER))))
            count -= _TOGETHER
            for connection in list(self._connections):
                connection.transport.write(piece)
            await asyncio.sleep(0)


async def main() -> None:
    """Serve until standard input ends."""
    venue = Venue(Market(seed=5))
    commands = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(commands), sys.stdin
    )
    async with serve(
        venue.serve, "127.0.0.1", 0, compression=None, ping_interval=None, close_timeout=1
    ) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        sys.stdout.write(f"ws://127.0.0.1:{port}/v5/public/linear\n")
        sys.stdout.flush()
        while line := await commands.readline():
            await venue.send(int(line))


if __name__ == "__main__":
    asyncio.run(main())
