"""Who is called for what."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from feedmux.client.local_events import BrokerLog, LocalCallbacks, LocalEvent, SocketData
from feedmux.model.errors import InvalidSetting


def test_only_who_is_named_is_called() -> None:
    told: list[object] = []
    called = LocalCallbacks(data=told.append, log=told.append).by_kind()
    assert set(called) == {SocketData, BrokerLog}
    called[SocketData](SocketData(1, b"x"))
    assert told == [SocketData(1, b"x")]


def test_there_is_a_callback_for_every_kind_of_event() -> None:
    names: Any = LocalCallbacks.__struct_fields__
    assert set(LocalCallbacks(**dict.fromkeys(names, print)).by_kind()) == set(get_args(LocalEvent))


def test_what_cannot_be_called_is_named() -> None:
    with pytest.raises(InvalidSetting, match="opened: 'a value of type int' does not work"):
        LocalCallbacks(opened=1)  # type: ignore[arg-type]
