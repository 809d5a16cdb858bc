from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from feedmux.core.lasts import Lasts
from support.examples import EXAMPLES

KEYS = st.sampled_from(["a", "b", "c", "\u00e4", "\\", ""])
OBJECTS = st.fixed_dictionaries({}, optional={"s": KEYS, "x": st.integers()})


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.lists(OBJECTS | st.lists(OBJECTS, max_size=3), max_size=20), st.integers(1, 4))
def test_it_is_a_dictionary_of_bounded_size(messages: list[Any], most_keys: int) -> None:
    lasts = Lasts("s", most_keys=most_keys)
    plain: dict[str, tuple[bytes, int]] = {}
    for place, message in enumerate(messages):
        data = json.dumps(message).encode()
        lasts.note(data, place)
        for part in message if isinstance(message, list) else [message]:
            if "s" in part:
                plain.pop(part["s"], None)
                plain[part["s"]] = (data, place)
                while len(plain) > most_keys:
                    del plain[next(iter(plain))]
    assert lasts.messages() == sorted(set(plain.values()), key=lambda kept: kept[1])
    assert len(lasts) == len(plain)
    assert lasts.size_bytes == sum(len(data) for data, _ in plain.values())


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_may_come(data: bytes) -> None:
    Lasts("s").note(data, 0)
