"""A process that shares a WebSocket and says what it read.

Arguments: the broker's name, the address, how many messages, and JSON: ``login`` (what it sends if it has
to log in), ``subscribe`` ([symbol, message, release]). It says a line of JSON when it is open, one when it
has read so many messages, and ends when its standard input does.
"""

from __future__ import annotations

import hashlib
import json
import sys

from feedmux import LocalClient
from feedmux.client import SocketData, SocketOpened


def say(what: object) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def main(
    broker: str, url: str, messages: int, login: str = "", subscribe: tuple[str, str, str] | None = None
) -> None:
    digest = hashlib.sha256()
    with LocalClient(name="reader", broker=broker) as client:
        id, is_new = client.open_websocket(url)
        if is_new and login:
            client.send(id, login)
        if subscribe is not None:
            symbol, message, release = subscribe
            client.subscribe(id, symbol, message, release=release)
        say({"server": client.server_id, "is_new": is_new})
        seen = 0
        while seen < messages:
            event = client.receive(30)
            if isinstance(event, SocketData):
                seen += 1
                digest.update(event.payload)
            elif not isinstance(event, SocketOpened):
                say(str(event))
        say({"digest": digest.hexdigest()})
        sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), **json.loads(sys.argv[4]))
