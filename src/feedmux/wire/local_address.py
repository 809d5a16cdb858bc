"""Say where a broker of shared WebSockets, and a gateway, is found; see docs/reference/local-protocol.md."""

from __future__ import annotations

import re
from typing import Final

from feedmux.model.errors import InvalidSetting

DEFAULT_NAME: Final = "default"
TOPICS: Final = "feedmux:topics"
"""What a gateway's programs open in the place of a WebSocket's address."""
NAME_VARIABLE: Final = "FEEDMUX_SHARE_NAME"
"""The environment variable in which a program that names no broker finds the name."""

_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")


def address(uid: int, name: str) -> str:
    """Return the address of a broker's abstract Unix socket: nothing of it is in the file system.

    Args:
        uid: the number of the user whose programs meet there.
        name: the broker's; a user may have several.

    Raises:
        InvalidSetting: the name is none.
    """
    return _address("share", uid, name)


def gateway_address(uid: int, name: str) -> str:
    """Return the address at which a gateway offers its topics to the user's programs; likewise.

    Args:
        uid: the number of the user.
        name: the gateway's, its setting LOCAL_NAME.

    Raises:
        InvalidSetting: the name is none.
    """
    return _address("gateway", uid, name)


def _address(what: str, uid: int, name: str) -> str:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidSetting("name", name, "1 to 64 letters, digits, dots, hyphens and underscores, in ASCII")
    return f"\0feedmux-{what}-{uid}-{name}"
