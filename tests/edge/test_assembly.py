from __future__ import annotations

import tracemalloc

from websockets.frames import Frame, Opcode

from feedmux.edge.assembly import Assembly


def test_empty_fragments_cost_no_memory() -> None:
    assembly = Assembly(Frame(Opcode.TEXT, b"", fin=False))
    empty = Frame(Opcode.CONT, b"", fin=False)
    tracemalloc.start()
    try:
        for _ in range(20_000):
            assembly.add(empty)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10_000
    assert assembly.add(Frame(Opcode.CONT, b"{}")) == b"{}"
