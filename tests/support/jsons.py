"""Any JSON value, and rather often one that nearly is a message."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

MEMBERS = ("jsonrpc", "id", "method", "params", "result", "error", "code", "message", "data")
WORDS = ("2.0", "1.0", "", "7", "07", "7.0", "subscription", "private/buy", "order.create", "ping")

_KEYS = st.sampled_from(MEMBERS) | st.text(max_size=4)


def _values(*, allow_nan: bool) -> st.SearchStrategy[Any]:
    floats = st.sampled_from([7.0, -32600.0, 1.5]) | st.floats(allow_nan=allow_nan)
    numbers = st.sampled_from([0, 1, 7, -32600, 2**70]) | st.integers() | floats
    leaves = st.none() | st.booleans() | numbers | st.sampled_from(WORDS) | st.text(max_size=8)
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=6),
        max_leaves=12,
    )


JSON_VALUES = _values(allow_nan=False)
"""What a decoder can make of a text, infinity included."""

STRANGE_VALUES = _values(allow_nan=True)
"""The same, and what only a lax decoder lets through."""
