"""Publish to RabbitMQ: ``python -m bench.system.publisher PORT KEY``.

Commands come on standard input: ``rate R`` (messages a second), ``stop``, ``stats``. Its end ends this.
"""

from __future__ import annotations

import json
import select
import sys
import time
from io import FileIO

import pika

BYTES = 420
EXCHANGE = "peatio.events.ranger"
_ALIVE_S = 1.0


class Publishing:
    """One connection, and what is to be done on it.

    Args:
        port: RabbitMQ's.
        key: the routing key.
    """

    def __init__(self, port: int, key: str) -> None:
        self._connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", port))
        self._channel = self._connection.channel()
        self._channel.exchange_declare(EXCHANGE, "topic")
        self._key = key
        self._commands = FileIO(sys.stdin.fileno(), closefd=False)  # reads nothing ahead that select() misses
        self._sent = 0
        self._step_ns = self._next_ns = 0
        name = key.partition(".")[2]
        self._end = b'"},"seq":%d}'
        frame = len(f'{{"{name}":}}') + len('{"btcusd":{"id":"","pad":""},"seq":}') + 17 + 6
        self._pad = b"x" * (BYTES - frame)

    def run(self) -> None:
        """Obey until standard input ends."""
        while True:
            ready, _, _ = select.select([sys.stdin], [], [], self._wait_s())
            if ready and not self._obey():
                return
            while self._step_ns and time.monotonic_ns() >= self._next_ns:
                self._publish(self._next_ns)
                self._next_ns += self._step_ns
            self._connection.process_data_events(0)

    def _wait_s(self) -> float:
        if not self._step_ns:
            return _ALIVE_S
        return min(_ALIVE_S, max(0.0, (self._next_ns - time.monotonic_ns()) / 1e9))

    def _obey(self) -> bool:
        """Read one command; False at the end."""
        words = self._commands.readline().split()
        if not words:
            return False
        if words[0] == b"rate":
            self._step_ns = round(1e9 / float(words[1]))
            self._next_ns = time.monotonic_ns() + self._step_ns
        elif words[0] == b"stop":
            self._step_ns = 0
        else:
            sys.stdout.write(json.dumps({"messages": self._sent}) + "\n")
            sys.stdout.flush()
        return True

    def _publish(self, intended_ns: int) -> None:
        self._sent += 1
        body = b'{"btcusd":{"id":"%017d","pad":"%b' % (intended_ns, self._pad) + self._end % self._sent
        self._channel.basic_publish(EXCHANGE, self._key, body)


def main() -> None:
    """Connect, say so, obey."""
    port, key = sys.argv[1:]
    publishing = Publishing(int(port), key)
    sys.stdout.write('{"event":"ready"}\n')
    sys.stdout.flush()
    publishing.run()


if __name__ == "__main__":
    main()
