"""Which web pages may open a WebSocket.

Theory of operation
-------------------
A browser lets any page open a WebSocket to any server, and names the page in the ``Origin`` header;
it is for the server to refuse those that it does not know (RFC 6455 §10.2). A client that is no
browser sends none, or any that it likes: this protects the users of browsers, not the server.

======================  ====================================================================
an entry of the list    lets pages in
======================  ====================================================================
``*``                   from everywhere
``https://a.example``   from the host ``a.example``, on the port that is usual for it
``a.example:3000``      from that host and port
``app://a.example``     of that origin, to the letter
``null``                that have no origin of their own: files, sandboxed frames
======================  ====================================================================

Of an origin only host and port count, as in Rango; where there is no list, they have to be those
that the request was sent to. The port that is usual for a scheme is as good as none. Case does not
matter. Nothing is a pattern.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from feedmux.model.errors import InvalidSetting

EXPECTED: Final = (
    "web pages' origins, separated by commas: https://app.example.com, a host with or without"
    " a port, null, or * for all"
)
"""What an entry looks like."""

_AUTHORITY: Final = r"(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?"
_URL: Final = re.compile(rf"([a-z][a-z0-9+.-]*)://({_AUTHORITY})(/[!-~]*)?")
_LITERAL: Final = re.compile(_AUTHORITY)
_USUAL_PORTS: Final = {"http": ":80", "https": ":443"}


class Origins:
    """A list of pages, or the rule that stands for none.

    Args:
        entries: see :func:`entry`; empty: pages of the host that serves them are allowed.

    Raises:
        InvalidSetting: one of them is none.
    """

    __slots__ = ("_entries",)

    def __init__(self, entries: Iterable[str] = ()) -> None:
        self._entries = frozenset(map(entry, entries))

    def allow(self, origin: str, *, host: str) -> bool:
        """Say whether a page may open a WebSocket.

        Args:
            origin: the ``Origin`` header; who sends none is no page.
            host: the ``Host`` header; empty: there is none.
        """
        said = origin.strip().lower()
        if "*" in self._entries or said in self._entries:
            return True
        match = _URL.fullmatch(said)
        if match is None:
            return False
        place = _without_usual_port(match[1], match[2])
        if self._entries:
            return place in self._entries
        return place == _without_usual_port(match[1], host.strip().lower())


def entry(text: str) -> str:
    """Read one entry of a list: what an origin has to be, or its host and port.

    Raises:
        InvalidSetting: no page could ever have such an origin.
    """
    said = text.strip().lower()
    if said == "*" or _LITERAL.fullmatch(said):
        return said
    match = _URL.fullmatch(said)
    if match is None:
        raise InvalidSetting("an allowed origin", text, EXPECTED)
    if match[1] in _USUAL_PORTS:
        return _without_usual_port(match[1], match[2])
    return f"{match[1]}://{match[2]}"


def _without_usual_port(scheme: str, authority: str) -> str:
    return authority.removesuffix(_USUAL_PORTS.get(scheme, "\n"))
