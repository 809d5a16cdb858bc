"""A process that writes a ring, as fast as it can.

Arguments: the descriptor of a socket, the ring's capacity, how many seats, how many records at least, of
how many units they are at most, and after how many of them readers are given a moment. Over the socket
go the descriptors of the ring, the seats and their bells; after the first byte that comes back it
writes, until there is another one. Then it says how many it wrote and waits for the socket's end.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time

from feedmux._native.ring import RingWriter, Seat
from feedmux.client.segment import make_bell, make_page, make_ring
from support.ring_records import record_of


def main(descriptor: int, capacity: int, seats: int, count: int, units: int, pace: int) -> None:
    memory, ring = make_ring(capacity)
    writer = RingWriter(memory)
    lent = [ring]
    for _ in range(seats):
        page, seat = make_page()
        bell = make_bell()
        writer.add(Seat(page, bell))
        lent += [seat, bell]
    with socket.socket(fileno=descriptor) as control:
        socket.send_fds(control, [b"f"], lent)
        control.recv(1)
        write, flush = writer.write, writer.flush
        number = 0
        while number < count or not select.select([control], [], [], 0)[0]:
            for _ in range(pace):
                write(record_of(number, units))
                flush()
                number += 1
            time.sleep(0.0002)  # readers that share its core have their turn, and are lapped in between
        control.recv(1)
        sys.stdout.write(json.dumps(writer.statistics()) + "\n")
        sys.stdout.flush()
        control.recv(1)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
