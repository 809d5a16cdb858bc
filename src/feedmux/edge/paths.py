"""What is spoken on which path of a gateway, and to whom."""

from __future__ import annotations

from functools import partial

import msgspec

from feedmux.core.origin import Origins
from feedmux.edge import rango_session, session
from feedmux.edge.endpoint import Endpoint
from feedmux.edge.gate import Gate, Identify
from feedmux.edge.login import Rights
from feedmux.edge.rango_paths import Paths, rango_paths
from feedmux.edge.session import Rules
from feedmux.edge.switchboard import Switchboard
from feedmux.model.ports import Format
from feedmux.wire.notice import Notices
from feedmux.wire.place import Places
from feedmux.wire.rango_format import RangoFormat


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """What a gateway has to offer.

    Args:
        hub: where topics come from.
        places: how clients of ``/ws`` name them.
        layout: the format of their frames.
        rules: bounds of each client.
        rights: who may read what, and what a token is worth.
        identify: says who sends an opening request; None: nobody is asked, and no token is looked at.
        origins: whose pages may open WebSockets; none: on ``/ws`` everybody's.
        statuses: whether clients are told how their streams are.
        speaks_rango: whether Rango's dialect is spoken, too.
        is_rango_everywhere: whether it is on paths without a meaning.
        rango_message_bytes: one message of its clients; more is closed with 1009.
    """

    hub: Switchboard
    places: Places
    layout: Format
    rules: Rules
    rights: Rights
    identify: Identify | None = None
    origins: tuple[str, ...] = ()
    statuses: bool = True
    speaks_rango: bool = False
    is_rango_everywhere: bool = False
    rango_message_bytes: int = 0


def paths(offer: Offer) -> Paths:
    """Say what is spoken where."""
    ws: dict[str, Endpoint] = {"/ws": _ws(offer)}
    if not offer.speaks_rango:
        return Paths(ws)
    shared = rango_session.Surroundings(
        hub=offer.hub, layout=RangoFormat(statuses=offer.statuses), rules=offer.rules, rights=offer.rights
    )
    found = rango_paths(
        partial(rango_session.serve, shared),
        origins=Origins(offer.origins),
        identify=offer.identify,
        max_message_bytes=offer.rango_message_bytes,
        is_everywhere=offer.is_rango_everywhere,
    )
    return Paths({**found.endpoints, **ws}, found.catch_all)


def _ws(offer: Offer) -> Gate:
    shared = session.Surroundings(
        hub=offer.hub,
        layout=offer.layout,
        places=offer.places,
        notices=Notices(offer.places.brand, statuses=offer.statuses),
        rules=offer.rules,
        rights=offer.rights,
    )
    origins = Origins(offer.origins) if offer.origins else None
    return Gate(partial(session.serve, shared), origins=origins, identify=offer.identify)
