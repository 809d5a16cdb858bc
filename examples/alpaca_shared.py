"""A trading strategy that shares its Alpaca connection with the others of this user.

Alpaca lets an account connect once to a feed, and answers 406 to the second connection. Run this as often as
you like, each with symbols of its own, and all of them read through one connection::

    export APCA_API_KEY_ID=… APCA_API_SECRET_KEY=…
    python examples/alpaca_shared.py AAPL
    python examples/alpaca_shared.py MSFT SPY

Without an account: ``feedmux sim alpaca`` is one, and ``--url ws://127.0.0.1:9002/v2/iex`` leads to it.

What a strategy has to know of sharing, and no more:

- whoever is told ``is_new`` logs in; the others find the connection logged in, or see when it is;
- Alpaca adds what is subscribed to, so asking again after a login does no harm, and one that was too early is
  mended;
- for a while after a connection was lost Alpaca still counts it and answers 406. Everybody sees that. Who has
  waited longest tries again, and the others wait anew, so the login survives the death of any strategy.
"""

# ruff: noqa: S311, T201 - it prints, and its dice keep no secret

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import sys
import time

from feedmux import LocalClient
from feedmux.client import BrokerLost, Kinds, SocketClosed, SocketData, SocketOpened, SocketRestored

URL = "wss://stream.data.alpaca.markets/v2/iex"


class Strategy:
    """Reads the trades of some symbols, and would act on them.

    Args:
        client: of the broker.
        url: the feed.
        key: the account's.
        secret: what proves it.
        symbols: what to read.
    """

    def __init__(self, client: LocalClient, url: str, *, key: str, secret: str, symbols: list[str]) -> None:
        self._client = client
        self._symbols = symbols
        self._login = json.dumps({"action": "auth", "key": key, "secret": secret})
        self._log_in_at: float | None = None
        self._id, is_new = client.open_websocket(url, api_key=key)
        print("connected" if is_new else "shares a connection", flush=True)
        if is_new:
            self.send(self._login)
        else:
            self.subscribe()

    def subscribe(self) -> None:
        """Ask for the symbols. Those that another strategy asked for are not asked for again."""
        for symbol in self._symbols:
            ask = json.dumps({"action": "subscribe", "trades": [symbol]})
            release = json.dumps({"action": "unsubscribe", "trades": [symbol]})
            self._client.subscribe(self._id, symbol, ask, Kinds.TRADES, release=release)

    def send(self, message: str) -> None:
        """Send something; while the connection is lost it does not matter, there will be another login."""
        with contextlib.suppress(BrokerLost):
            self._client.send(self._id, message)

    def run(self) -> None:
        """Read until interrupted.

        Raises:
            SystemExit: Alpaca does not let us in, or the connection is gone for good.
        """
        while True:
            wait_s = None if self._log_in_at is None else max(self._log_in_at - time.monotonic(), 0.0)
            try:
                event = self._client.receive(wait_s)
            except TimeoutError:
                self._log_in_at = None
                self.send(self._login)
                continue
            match event:
                case SocketData(payload=payload):
                    for item in json.loads(payload):
                        self.told(item)
                case SocketOpened(is_new=True):
                    self.send(self._login)
                case SocketClosed(again=False, reason=reason):
                    sys.exit(f"the connection is gone: {reason}")
                case SocketClosed(reason=reason):
                    self._log_in_at = None
                    print(f"lost: {reason}", flush=True)
                case SocketRestored(blind_s=blind_s):
                    print(f"blind for {blind_s:.1f} s", flush=True)

    def told(self, item: dict[str, object]) -> None:
        """Take what Alpaca says, to us or to another strategy."""
        match item:
            case {"T": "t", "S": symbol, "p": price, "s": size} if symbol in self._symbols:
                print(f"{symbol} {price} {size}", flush=True)
            case {"T": "subscription", "trades": trades}:
                print(f"all strategies read {trades}", flush=True)
            case {"T": "success", "msg": "authenticated"}:
                self._log_in_at = None
                self.subscribe()
                self.send(json.dumps({"action": "subscribe", "trades": self._symbols}))
            case {"T": "error", "code": 406}:
                print("Alpaca still counts another connection: waiting", flush=True)
                self._log_in_at = time.monotonic() + random.uniform(0.5, 1.5)
            case {"T": "error", "code": 402 | 408 | 409, "msg": reason}:
                sys.exit(f"Alpaca does not let us in: {reason}")


def main() -> None:
    """Run one strategy."""
    parser = argparse.ArgumentParser(description="Read trades through a connection that strategies share.")
    parser.add_argument("symbols", nargs="+", help="what to read, like AAPL")
    parser.add_argument("--url", default=URL, help="the feed")
    parser.add_argument("--broker", default="default", help="the broker's name")
    options = parser.parse_args()
    key, secret = (os.environ.get(f"APCA_API_{name}") for name in ("KEY_ID", "SECRET_KEY"))
    if not key or not secret:
        sys.exit("APCA_API_KEY_ID and APCA_API_SECRET_KEY are to be set")
    with LocalClient(broker=options.broker) as client:
        try:
            Strategy(client, options.url, key=key, secret=secret, symbols=options.symbols).run()
        except KeyboardInterrupt:
            print("ends", flush=True)


if __name__ == "__main__":
    main()
