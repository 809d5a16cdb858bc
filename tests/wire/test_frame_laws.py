from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.frames import Close, Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from feedmux.wire.frame import close_frame, ping_frame, pong_frame, text_frame
from support.examples import EXAMPLES

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
SIZED = st.integers(0, 70_000).map(lambda size: "x" * size)
CONTROL = st.binary(max_size=125)


def open_client() -> ClientProtocol:
    """A client by the book, past its handshake."""
    client = ClientProtocol(parse_uri("ws://localhost/ws"), max_size=None)
    client.state = State.OPEN
    client.parser = client.parse()
    client.parser.send(None)
    return client


@given(
    messages=st.lists(
        st.one_of(
            st.tuples(st.just(Opcode.TEXT), TEXTS.map(str.encode)),
            st.tuples(st.just(Opcode.TEXT), SIZED.map(str.encode)),
            st.tuples(st.just(Opcode.PING), CONTROL),
            st.tuples(st.just(Opcode.PONG), CONTROL),
        ),
        max_size=5,
    ),
    code=st.integers(3000, 4999),
    reason=TEXTS,
    cut=st.integers(1, 1000),
)
@settings(max_examples=EXAMPLES, deadline=None)
def test_a_client_reads_every_frame_as_it_was_meant_however_the_bytes_arrive(
    messages: list[tuple[Opcode, bytes]], code: int, reason: str, cut: int
) -> None:
    make = {Opcode.TEXT: text_frame, Opcode.PING: ping_frame, Opcode.PONG: pong_frame}
    data = b"".join(make[opcode](payload) for opcode, payload in messages) + close_frame(code, reason)
    client = open_client()
    for start in range(0, len(data), cut):
        client.receive_data(data[start : start + cut])
    assert client.parser_exc is None
    *read, closed = client.events_received()
    assert read == [Frame(opcode, payload) for opcode, payload in messages]
    assert isinstance(closed, Frame)
    close = Close.parse(closed.data)
    assert close.code == code
    assert reason.startswith(close.reason)
