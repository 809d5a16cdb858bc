from __future__ import annotations

import pytest

from feedmux.client.deribit_adapter import DeribitAdapter
from feedmux.client.plain import JsonRpcAdapter, PlainAdapter
from feedmux.model.adapter import Adapter, Note
from support.peers import SystemClock


def test_a_note_says_by_default_that_a_message_is_data() -> None:
    assert Note() == Note(channel="", is_data=True, is_pong=False, renews=False, notice=None, answer=None)


@pytest.mark.parametrize(
    "adapter", [PlainAdapter(), JsonRpcAdapter(), DeribitAdapter(None, clock=SystemClock())]
)
def test_our_own_adapters_are_adapters(adapter: Adapter) -> None:
    assert adapter.name
    assert not adapter.has_credentials
    assert adapter.codec.decode(adapter.codec.encode({"a": 1})[0], False) == {"a": 1}
    assert adapter.ping() is None
