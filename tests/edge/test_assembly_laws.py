"""However a message is cut into fragments, it is the message."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from feedmux.edge.assembly import Assembly, NotText, whole
from support.examples import EXAMPLES


def put_together(opcode: Opcode, pieces: list[bytes]) -> bytes:
    first, *others = pieces
    assembly = Assembly(Frame(opcode, first, fin=False))
    for piece in others[:-1]:
        assert assembly.add(Frame(Opcode.CONT, piece, fin=False)) is None
    message = assembly.add(Frame(Opcode.CONT, others[-1]))
    assert message is not None
    return message


@settings(max_examples=EXAMPLES)
@given(st.text(), st.lists(st.integers(0, 40), min_size=1, max_size=5))
def test_text_cut_anywhere_is_the_text(text: str, cuts: list[int]) -> None:
    payload = text.encode()
    at = [0, *sorted(min(cut, len(payload)) for cut in cuts), len(payload)]
    pieces = [payload[start:stop] for start, stop in pairwise(at)]
    assert put_together(Opcode.TEXT, pieces) == payload == whole(Frame(Opcode.TEXT, payload))


@settings(max_examples=EXAMPLES)
@given(st.lists(st.binary(max_size=10), min_size=2, max_size=5))
def test_binary_messages_may_be_any_bytes_and_text_must_be_utf_8(pieces: list[bytes]) -> None:
    payload = b"".join(pieces)
    assert put_together(Opcode.BINARY, pieces) == payload == whole(Frame(Opcode.BINARY, payload))
    try:
        payload.decode()
    except UnicodeDecodeError:
        with pytest.raises(NotText):
            put_together(Opcode.TEXT, pieces)
        with pytest.raises(NotText):
            whole(Frame(Opcode.TEXT, payload))
