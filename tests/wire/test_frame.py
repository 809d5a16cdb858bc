from __future__ import annotations

from collections.abc import Callable

import pytest
from websockets.frames import Close, Frame, Opcode
from websockets.streams import StreamReader

from feedmux.wire.frame import close_frame, data_frame, data_text, ping_frame, pong_frame, text_frame


def parsed(data: bytes) -> Frame:
    """Read one frame with an independent decoder, as a client does: unmasked, nothing after it."""
    stream = StreamReader()
    stream.feed_data(data)
    stream.feed_eof()
    parser = Frame.parse(stream.read_exact, mask=False)
    try:
        next(parser)
    except StopIteration as done:
        frame: Frame = done.value
        assert not stream.buffer, "there is something behind the frame"
        frame.check()
        return frame
    raise AssertionError("the frame is not whole")


@pytest.mark.parametrize(
    ("size", "header"),
    [
        (0, "81 00"),
        (1, "81 01"),
        (125, "81 7d"),
        (126, "81 7e 00 7e"),
        (65535, "81 7e ff ff"),
        (65536, "81 7f 00 00 00 00 00 01 00 00"),
    ],
)
def test_the_length_takes_the_shortest_form_that_holds_it(size: int, header: str) -> None:
    payload = b"x" * size
    assert text_frame(payload) == bytes.fromhex(header) + payload
    assert parsed(text_frame(payload)) == Frame(Opcode.TEXT, payload, fin=True)


def test_a_data_frame_is_its_text_behind_a_header() -> None:
    parts = b'{"data":', b"[1]", 7, b',"source":"x"', 9
    text = b'{"data":[1],"timestamp":7,"source":"x","seq":9}'
    assert data_text(*parts) == text
    assert data_frame(*parts) == text_frame(text)


def test_a_ping_and_a_pong_carry_their_payload() -> None:
    assert ping_frame() == b"\x89\x00"
    assert pong_frame() == b"\x8a\x00"
    assert parsed(ping_frame(b"42")) == Frame(Opcode.PING, b"42")
    assert parsed(pong_frame(b"y" * 125)) == Frame(Opcode.PONG, b"y" * 125)


@pytest.mark.parametrize("make", [ping_frame, pong_frame])
def test_a_control_frame_carries_no_more_than_125_bytes(make: Callable[[bytes], bytes]) -> None:
    with pytest.raises(AssertionError, match="125 bytes"):
        make(b"x" * 126)


def test_a_close_carries_its_code_and_reason() -> None:
    frame = parsed(close_frame(4008, "Too slow"))
    assert frame.opcode is Opcode.CLOSE
    assert Close.parse(frame.data) == Close(4008, "Too slow")
    assert Close.parse(parsed(close_frame(1000)).data) == Close(1000, "")


@pytest.mark.parametrize(
    ("reason", "sent"),
    [
        ("x" * 123, "x" * 123),
        ("x" * 124, "x" * 123),
        ("é" * 62, "é" * 61),
        ("x" + "é" * 61, "x" + "é" * 61),
        ("x" * 122 + "é", "x" * 122),
        ("x" * 121 + "€", "x" * 121),
        ("🚀" * 31, "🚀" * 30),
    ],
    ids=["fits", "one too long", "two bytes each", "fits exactly", "cut é", "cut €", "four bytes each"],
)
def test_a_reason_that_does_not_fit_is_cut_at_a_characters_end(reason: str, sent: str) -> None:
    frame = parsed(close_frame(1011, reason))
    assert len(frame.data) <= 125
    assert Close.parse(frame.data) == Close(1011, sent)
