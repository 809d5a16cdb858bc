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

Members = dict[str, st.SearchStrategy[Any]]

_ODD: st.SearchStrategy[Any] = st.sampled_from([None, True, 5, 1.5, "7", [], {}]) | JSON_VALUES
_CODES: st.SearchStrategy[Any] = st.integers() | _ODD
_ERRORS = st.fixed_dictionaries({"code": _CODES, "message": st.just("no")}) | st.fixed_dictionaries(
    {}, optional={"code": _CODES, "message": st.just("no") | _ODD, "data": JSON_VALUES}
)
_ALWAYS: Members = {
    "jsonrpc": st.sampled_from(["2.0", "1.0", 2.0, None]),
    "id": st.sampled_from([7, 7.0, "7", None, None]) | _ODD,
    "usIn": st.integers(),
}
_CALLS: Members = {"method": st.just("x") | _ODD, "params": st.just({}) | _ODD}
_ANSWERS: Members = {"result": _ODD, "error": st.none() | _ERRORS | _ODD}

MESSAGES: st.SearchStrategy[dict[str, Any]] = (
    st.fixed_dictionaries({}, optional=_ALWAYS | _CALLS)
    | st.fixed_dictionaries({}, optional=_ALWAYS | _ANSWERS)
    | st.fixed_dictionaries({}, optional=_ALWAYS | _CALLS | _ANSWERS)
)
"""Objects of a message's members, each there or not, and right or wrong."""
