from __future__ import annotations

import asyncio

from feedmux.edge.joined import RECORD_BYTES, send_joined


class Recorder(asyncio.Transport):
    """Remembers what is written; has room for ``room`` writes."""

    def __init__(self, room: int = 100) -> None:
        super().__init__()
        self.room = room
        self.written: list[bytes] = []
        self.closing = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))
        self.room -= 1

    def is_closing(self) -> bool:
        return self.closing

    def has_room(self) -> bool:
        return self.room > 0


def test_small_frames_are_joined_into_writes_of_one_record_at_most() -> None:
    transport = Recorder()
    frames = [bytes([number]) * 5000 for number in range(7)]
    assert send_joined(transport, frames, transport.has_room) == 7
    assert b"".join(transport.written) == b"".join(frames)
    assert [len(data) for data in transport.written] == [15_000, 15_000, 5000]


def test_a_record_is_filled_to_its_last_byte_and_not_beyond() -> None:
    transport = Recorder()
    frames = [b"a" * (RECORD_BYTES - 1), b"b", b"c"]
    send_joined(transport, frames, transport.has_room)
    assert transport.written == [b"a" * (RECORD_BYTES - 1) + b"b", b"c"]


def test_a_frame_longer_than_a_record_is_written_by_itself() -> None:
    transport = Recorder()
    frames = [b"a", b"b" * (RECORD_BYTES + 1), b"c"]
    assert send_joined(transport, frames, transport.has_room) == 3
    assert transport.written == frames


def test_writing_stops_when_the_transport_has_something_left() -> None:
    transport = Recorder(room=2)
    frames = [b"x" * 10_000] * 5
    assert send_joined(transport, frames, transport.has_room) == 2
    assert send_joined(transport, frames[2:], transport.has_room) == 0


def test_nothing_is_written_to_a_transport_that_closes() -> None:
    transport = Recorder()
    transport.closing = True
    assert send_joined(transport, [b"x"], transport.has_room) == 0
    assert transport.written == []
