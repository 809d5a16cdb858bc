"""What a parent and its children tell each other; see :mod:`feedmux.app.control` for how.

======================  ======  =========================================================
message                 to      descriptors with it
======================  ======  =========================================================
:class:`BeginFeed`      feed
:class:`BeginEdge`      edge    the page of counts, then the listening sockets
:class:`Ring`           parent  the ring's memory; the feed is ready
:class:`Ready`          parent  the edge is
:class:`Reader`         feed    its end of the road, the reader's page, its bell
:class:`Crowd`          feed
:class:`Source`         edge    its end of the road, the ring, its page, its bell
:class:`Part`           parent
:class:`Whole`          edge
:class:`Reload`         edge
:class:`Leave`          both
======================  ======  =========================================================
"""

from __future__ import annotations

from typing import Any

import msgspec


class BeginFeed(msgspec.Struct, tag=True):
    """Be the feed process.

    Args:
        settings: all of them, as plain values, secrets too: nobody else hears this.
    """

    settings: dict[str, Any]


class BeginEdge(msgspec.Struct, tag=True):
    """Be an edge process.

    Args:
        settings: see :class:`BeginFeed`.
        place: whose count is its own in the page of counts.
        figures: what all have counted so far; empty as long as nobody has.
    """

    settings: dict[str, Any]
    place: int
    figures: dict[str, Any] = {}


class Ring(msgspec.Struct, tag=True):
    """The feed writes this ring."""


class Ready(msgspec.Struct, tag=True):
    """The edge accepts clients."""


class Reader(msgspec.Struct, tag=True):
    """Serve a reader.

    Args:
        holder: its name.
    """

    holder: str


class Crowd(msgspec.Struct, tag=True):
    """This is what the gateway is for clients.

    Args:
        port: what is listened on.
        clients: how many are connected.
    """

    port: int
    clients: int


class Source(msgspec.Struct, tag=True):
    """Read from this feed from now on."""


class Part(msgspec.Struct, tag=True):
    """What a child has counted; see :mod:`feedmux.app.census`."""

    figures: dict[str, dict[str, Any] | list[dict[str, Any]]]


class Whole(msgspec.Struct, tag=True):
    """The sum of all parts."""

    figures: dict[str, Any]


class Reload(msgspec.Struct, tag=True):
    """Read the certificate again, and let other roles open prefixes.

    Args:
        roles: of every prefix.
    """

    roles: dict[str, tuple[str, ...]] = {}


class Leave(msgspec.Struct, tag=True):
    """Send everybody away, and end."""


ToFeed = BeginFeed | Reader | Crowd | Leave
ToEdge = BeginEdge | Source | Whole | Reload | Leave
FromFeed = Ring | Part
FromEdge = Ready | Part
