"""Requests carry every arg, and whatever the bytes, a gateway's message is read or malformed."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from feedmux.client.subscriber import MAX_ARGS, decode, requests
from feedmux.model.errors import MalformedMessage
from support.examples import EXAMPLES


@settings(max_examples=EXAMPLES)
@given(st.lists(st.text(max_size=3), max_size=2 * MAX_ARGS + 1))
def test_requests_name_every_arg_once_and_in_order(args: list[str]) -> None:
    parts = [json.loads(request) for request in requests("subscribe", args)]
    assert [arg for part in parts for arg in part["args"]] == args
    assert all(part["op"] == "subscribe" and 0 < len(part["args"]) <= MAX_ARGS for part in parts)


@settings(max_examples=EXAMPLES)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_malformed(payload: bytes) -> None:
    try:
        assert isinstance(decode(payload), dict)
    except MalformedMessage as error:
        assert str(error).startswith("malformed message of the gateway: ")
