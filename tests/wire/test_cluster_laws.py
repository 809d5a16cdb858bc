from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from feedmux.wire.cluster import Said, Word, read


@given(st.sampled_from(Word), st.text(max_size=60), st.integers(0, 2**64 - 1), st.binary(max_size=50))
def test_what_is_written_is_read(word: Word, name: str, life: int, records: bytes) -> None:
    said = Said(word, name, life, records, since=life // 2)
    assert read(said.encode()) == said
