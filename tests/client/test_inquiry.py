"""What one is told who asks: the answer, or why there is none. The broker's side is in tests/share."""

from __future__ import annotations

import socket
import struct
import threading
from uuid import uuid4

import pytest

from feedmux.client import inquiry
from feedmux.client.inquiry import ask_broker
from feedmux.client.peer import Peer
from feedmux.model.errors import FeedmuxError, InvalidSetting, MalformedMessage, Refused
from feedmux.model.share_errors import ForeignBroker, NoBroker
from feedmux.wire.local_records import Query
from support.share_client import ANSWER, BEAT, FAILED, MAGIC, WELCOME, blob, place, record, text

WELCOMED = record(WELCOME, MAGIC, struct.pack("<HIIII", 1, 1, 1, 500, 15_000))
ANSWERED = WELCOMED + record(BEAT) + record(ANSWER, struct.pack("<I", 1) + blob(b"{}"))


def asked(said: bytes, query: Query = Query.STATUS, *, hangs_up: bool = True) -> bytes:
    """What asking a broker comes to that says this."""
    name = f"test-{uuid4().hex[:12]}"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(place(name))
        listener.listen()
        done = threading.Event()

        def serve() -> None:
            sock, _ = listener.accept()
            with sock:
                sock.recv(10)
                sock.sendall(said)
                if not hangs_up:
                    done.wait(10)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            return ask_broker(name, query, within_s=5 if hangs_up else 0.1)
        finally:
            done.set()
            thread.join()


@pytest.mark.parametrize("query", Query)
def test_the_answer_is_returned(query: Query) -> None:
    assert asked(ANSWERED, query) == b"{}"


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        (b"", NoBroker, "it hung up"),
        (WELCOMED, NoBroker, "it hung up"),
        (b"HTTP/1.1 400 Bad Request", MalformedMessage, "type 47"),
        (
            WELCOMED + record(FAILED, struct.pack("<I", 0) + text("CAPACITY") + text("full")),
            Refused,
            "CAPACITY: full",
        ),
    ],
)
def test_a_broker_that_does_not_answer_is_named(said: bytes, kind: type[FeedmuxError], words: str) -> None:
    with pytest.raises(kind, match=words):
        asked(said)


def test_a_broker_that_says_nothing_is_not_waited_for() -> None:
    with pytest.raises(NoBroker, match=r"within 0\.1 s"):
        asked(b"", hangs_up=False)


def test_where_nobody_is_it_says_so() -> None:
    with pytest.raises(NoBroker, match="none is running"):
        ask_broker(f"test-{uuid4().hex[:12]}", Query.STATUS)
    with pytest.raises(InvalidSetting, match="name"):
        ask_broker("a/b", Query.STATUS)


def test_nothing_is_said_to_another_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inquiry, "peer_of", lambda _: Peer(1, 65534))
    name = f"test-{uuid4().hex[:12]}"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(place(name))
        listener.listen()
        with pytest.raises(ForeignBroker, match="65534"):
            ask_broker(name, Query.STOP)
        sock, _ = listener.accept()
        with sock:
            assert sock.recv(100) == b""
