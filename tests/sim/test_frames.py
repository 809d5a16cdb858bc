"""Whole frames, and the end without a close frame."""

from __future__ import annotations

import pytest

from feedmux.sim.frames import text_frame
from support.frames import FrameReader


@pytest.mark.parametrize("length", [0, 1, 125, 126, 65_535, 65_536])
def test_a_frame_of_any_length_is_read_back(length: int) -> None:
    payload = b"x" * length
    (read,) = FrameReader().feed(text_frame(payload))
    assert read.payload == payload
    assert len(text_frame(payload)) - length == (2 if length < 126 else 4 if length < 65_536 else 10)
