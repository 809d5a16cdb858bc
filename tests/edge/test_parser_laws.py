"""Who shares parsers reads what it would have read with one of its own."""

from __future__ import annotations

import logging

from hypothesis import given, settings
from hypothesis import strategies as st

from feedmux.edge.parser import Parser, Parsers
from support.examples import EXAMPLES
from support.frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, masked

LOG = logging.getLogger("test.parser")

messages = st.lists(
    st.one_of(
        st.builds(masked, st.sampled_from([TEXT, BINARY, PING, PONG]), st.binary(max_size=125)),
        st.builds(masked, st.just(TEXT), st.binary(min_size=120, max_size=300)),
        st.builds(
            lambda parts: masked(TEXT, parts[0], first=0) + masked(CONTINUATION, parts[1]),
            st.tuples(st.binary(max_size=9), st.binary(max_size=9)),
        ),
        st.just(masked(CLOSE, b"\x03\xe8")),
        st.just(masked(CONTINUATION, b"stray")),
        st.just(b"\x81\xfe\x00\x02\0\0\0\0hi"),  # a length that could be shorter
    ),
    max_size=8,
)
cuts = st.lists(st.integers(1, 200), min_size=1, max_size=10)


def read(parsers: Parsers, data: bytes, sizes: list[int], *, own: bool) -> tuple[list[object], bytes]:
    """Feed in pieces; the frames, and all that was to be sent."""
    frames: list[object] = []
    said = b""
    parser: Parser | None = parsers.take() if own else None
    at = turn = 0
    while at < len(data):
        size = sizes[turn % len(sizes)]
        turn += 1
        parser = parser or parsers.take()
        frames += parser.feed(data[at : at + size])
        said += b"".join(parser.to_send())
        at += size
        if parser.is_between and not own:
            parsers.give_back(parser)
            parser = None
    return frames, said


@given(streams=st.lists(st.tuples(messages, cuts), min_size=1, max_size=4))
@settings(max_examples=EXAMPLES, deadline=None)
def test_sharing_changes_nothing(streams: list[tuple[list[bytes], list[int]]]) -> None:
    shared = Parsers(1000, LOG)
    for parts, sizes in streams:
        data = b"".join(parts)
        alone = read(Parsers(1000, LOG), data, sizes, own=True)
        assert read(shared, data, sizes, own=False) == alone
