"""What cannot be is refused before a broker hears of it, and no secret is shown."""

from __future__ import annotations

from typing import Any

import pytest

from feedmux.client.local_async import AsyncLocalClient, wanted_of
from feedmux.model.errors import InvalidMessage, InvalidSetting
from feedmux.model.link_errors import LinkLost
from feedmux.wire.local_records import MAX_MESSAGE_BYTES, Message, Open

URL = "wss://venue.example/stream"


@pytest.mark.parametrize(
    ("how", "what"),
    [
        ({"broker": "a b"}, "broker"),
        ({"name": "x" * 5000}, "name"),
        ({"name": 1}, "name"),
        ({"request_timeout_s": 0}, "request_timeout_s"),
        ({"max_waiting": 0}, "max_waiting"),
    ],
)
def test_settings_are_checked(how: dict[str, Any], what: str) -> None:
    with pytest.raises(InvalidSetting, match=f"^{what}: "):
        AsyncLocalClient(**how)


def wanted(**how: Any) -> Open:
    given = {"url": URL, "api_key": "", "headers": (), "subprotocols": (), "opening": (), "last_by": ""} | how
    return wanted_of(**given)


def test_what_is_wanted_is_written_down() -> None:
    assert wanted(api_key="k", headers=[["A", "1"]], opening=["x", b"y"]) == Open(
        0, URL, "k", (("A", "1"),), (), (Message(b"x"), Message(b"y", True)), ""
    )


@pytest.mark.parametrize(
    ("how", "what"),
    [
        ({"url": "https://x"}, "url"),
        ({"url": 3}, "url"),
        ({"url": URL + "x" * 5000}, "url"),
        ({"api_key": "x" * 5000}, "api_key"),
        ({"api_key": None}, "api_key"),
        ({"headers": [("A B", "1")]}, "headers"),
        ({"headers": [("A", "1")] * 65}, "headers"),
        ({"subprotocols": [1]}, "subprotocols"),
        ({"opening": ["x"] * 65}, "opening"),
        ({"last_by": "\ud800"}, "last_by"),
    ],
)
def test_what_cannot_be_opened_is_refused(how: dict[str, Any], what: str) -> None:
    with pytest.raises(InvalidSetting, match=f"^{what}: "):
        wanted(**how)


def test_no_secret_is_shown() -> None:
    for how in ({"api_key": "s3cret" * 1000}, {"headers": [("A", "s3cret\n")]}, {"url": "ws://u:s3cret@:9"}):
        with pytest.raises(InvalidSetting) as caught:
            wanted(**how)
        assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("message", [1, None, "\ud800", bytes(MAX_MESSAGE_BYTES + 1)])
def test_what_is_no_message_is_refused(message: Any) -> None:
    with pytest.raises(InvalidMessage, match="opening: "):
        wanted(opening=[message])


async def test_a_client_that_was_not_started_says_so() -> None:
    client = AsyncLocalClient()
    for late in (client.open_websocket(URL), client.send(1, "x"), client.receive()):
        with pytest.raises(LinkLost, match="the client was not started"):
            await late
    assert client.server_id == 0
    await client.close()
    with pytest.raises(LinkLost, match="the client was closed"):
        await client.start()
