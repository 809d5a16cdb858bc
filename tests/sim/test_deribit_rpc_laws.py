"""Whatever somebody sends is a request or is refused; what is answered is JSON with his id."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from feedmux.sim.deribit_rpc import NO_ID, Request, Stamp, Unreadable, answer, read
from support.examples import EXAMPLES

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
requests = st.fixed_dictionaries(
    {},
    optional={
        "jsonrpc": st.just("2.0") | json_values,
        "id": st.integers(-(2**63), 2**63 - 1) | st.text() | json_values,
        "method": st.text() | json_values,
        "params": st.dictionaries(st.text(), json_values, max_size=3) | json_values,
    },
)


def understood(message: str | bytes) -> Request | Unreadable:
    try:
        return read(message)
    except Unreadable as error:
        return error


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.binary() | st.text())
@example(b'{"id":"\xed\xa0\x80","method":"x"}')
@example('{"id":"\\ud800","method":"x"}')
@example('{"id":1,"method":"x","params":{"a":1e400}}')
def test_bytes_never_surprise(message: str | bytes) -> None:
    seen = understood(message)
    text = answer(seen.ident, "ok", Stamp(1, 2, testnet=True))
    assert json.loads(text)["result"] == "ok"


@settings(max_examples=EXAMPLES, deadline=None)
@given(requests)
def test_a_request_is_read_as_it_was_meant(request: dict[str, Any]) -> None:
    seen = understood(json.dumps(request))
    if isinstance(seen, Request):
        assert seen.method == request["method"].removeprefix("/")
        assert ("id" in request) == (seen.ident is not NO_ID)
        answered = json.loads(answer(seen.ident, "ok", Stamp(1, 2, testnet=True)))
        assert answered.get("id", NO_ID) == request.get("id", NO_ID)
    else:
        ident, params = request.get("id", 0), request.get("params", {})
        fits = isinstance(ident, int) and -(2**63) <= ident < 2**63
        assert (
            not isinstance(request.get("method"), str)
            or not isinstance(params, dict)
            or isinstance(ident, bool)
            or not (fits or isinstance(ident, str))
        )
