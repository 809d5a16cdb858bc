"""What a gateway lets the other nodes of a cluster know of itself."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from feedmux import __version__

if TYPE_CHECKING:
    from feedmux.model.ports import Node

_EVERYWHERE: Final = {"0.0.0.0", "::", ""}  # noqa: S104 - what is compared, not listened on


def introduce(node: Node, host: str, port: int, clients: Callable[[], int]) -> None:
    """Let other nodes know of us until the node has ended, which may be after our port was closed.

    Args:
        node: ours.
        host: see :func:`facts`.
        port: see there.
        clients: how many are connected, asked each time.
    """
    node.introduce(lambda: facts(host, port, clients()))


def facts(host: str, port: int, clients: int) -> dict[str, Any]:
    """What :meth:`feedmux.model.ports.Node.introduce` asks for.

    Args:
        host: what is listened on; where that is every address, others know us by the machine's name.
        port: the port.
        clients: how many are connected.
    """
    name = socket.gethostname() if host in _EVERYWHERE else host
    shown = f"[{name}]" if ":" in name else name
    return {"address": f"{shown}:{port}", "version": __version__, "clients": clients}
