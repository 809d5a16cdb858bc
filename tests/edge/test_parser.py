from __future__ import annotations

import logging

import pytest
from websockets.frames import Frame, Opcode

from feedmux.edge.parser import SPARE, Parser, Parsers
from support.frames import BINARY, CLOSE, CONTINUATION, PING, TEXT, masked

LOG = logging.getLogger("test.parser")


@pytest.fixture
def parsers() -> Parsers:
    return Parsers(1000, LOG)


@pytest.fixture
def parser(parsers: Parsers) -> Parser:
    return parsers.take()


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 999])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_a_parser_is_free_again_after_a_whole_message(parser: Parser, opcode: int, size: int) -> None:
    frames = parser.feed(masked(opcode, b"x" * size))
    assert frames == [Frame(Opcode(opcode), b"x" * size)]
    assert parser.is_between


@pytest.mark.parametrize("cut", range(1, 15))
def test_it_is_not_while_a_frame_is_under_way(parser: Parser, cut: int) -> None:
    data = masked(TEXT, b"12345678")
    if cut < len(data):
        assert parser.feed(data[:cut]) == []
        assert not parser.is_between
        (frame,) = parser.feed(data[cut:])
        assert frame.data == b"12345678"
    else:
        parser.feed(data)
    assert parser.is_between


def test_nor_while_a_message_is_under_way(parser: Parser) -> None:
    parser.feed(masked(TEXT, b"first", first=0))
    assert not parser.is_between
    parser.feed(masked(PING, b""))
    assert not parser.is_between
    assert parser.to_send() == [b"\x8a\x00"]
    parser.feed(masked(CONTINUATION, b"last"))
    assert parser.is_between


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(masked(CLOSE, b"\x03\xe8"), id="a close"),
        pytest.param(masked(CONTINUATION, b""), id="a stray continuation"),
        pytest.param(masked(TEXT, b"x" * 1001), id="a message that is too long"),
        pytest.param(b"\x81\x05hello", id="an unmasked frame"),
        pytest.param(b"\xff" * 20, id="noise"),
    ],
)
def test_a_parser_whose_connection_ends_is_never_free_again(parser: Parser, data: bytes) -> None:
    parser.feed(data)
    assert not parser.is_between
    assert parser.to_send()[-1] == b"", "it has said all"


def test_a_parser_that_sent_a_close_is_never_free_again(parser: Parser) -> None:
    parser.close(4000, "Idle timeout")
    parser.close(4008, "twice")
    assert not parser.is_between
    assert parser.to_send() == [b"\x88\x0e\x0f\xa0Idle timeout"]
    parser.feed(masked(TEXT, b"late"))
    assert not parser.is_between


def test_a_length_that_is_not_written_as_short_as_possible_keeps_the_parser(parser: Parser) -> None:
    short = masked(TEXT, b"12345")
    longer = short[:1] + b"\xfe\x00\x05" + short[2:]
    parser.feed(longer)
    for _ in range(3):
        parser.feed(masked(TEXT, b"next"))
        assert not parser.is_between


def test_parsers_are_lent_again_and_few_are_kept(parsers: Parsers) -> None:
    first = parsers.take()
    first.feed(masked(TEXT, b"hello"))
    parsers.give_back(first)
    assert parsers.take() is first
    many = [parsers.take() for _ in range(SPARE + 5)]
    assert len(set(many)) == SPARE + 5
    for parser in many:
        parsers.give_back(parser)
    kept = {parsers.take() for _ in range(SPARE)}
    assert kept == set(many[:SPARE])
    assert parsers.take() not in many
