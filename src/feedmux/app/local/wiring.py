"""Put together what a gateway does for programs of the same user: what others get as frames, in rings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from feedmux._native.outbox import Outbox
from feedmux._native.text import data_text
from feedmux.app import terms
from feedmux.core.access import Access
from feedmux.edge.house import House
from feedmux.edge.login import Rights
from feedmux.edge.paths import Offer
from feedmux.edge.session import Session, Surroundings
from feedmux.model import ports
from feedmux.share.config import OfferConfig
from feedmux.share.offer import RULES, LocalOffer
from feedmux.share.reading import Reading
from feedmux.wire.notice import Notices
from feedmux.wire.stream import StreamFormat

if TYPE_CHECKING:
    from feedmux.app.settings import Settings

__all__ = ["RULES", "offer"]

_PUBLIC_ALONE: Final = "local programs read public streams alone"


class _Means(msgspec.Struct, frozen=True):
    """Outboxes that are flushed with those of the house's clients, and sessions of ``/ws``."""

    house: House
    shared: Surroundings

    def make_outbox(self, writer: ports.DirectWriter, /) -> Outbox:
        """Make an outbox that drains to ``writer``."""
        return self.house.make_outbox(writer)

    def make_session(self, reading: Reading, outlet: ports.Outlet, /) -> Session:
        """Make a session that answers through ``reading``, and whose data goes to ``outlet``."""
        return Session(reading, outlet=outlet, shared=self.shared)


def offer(settings: Settings, served: Offer, house: House, *, parent: int) -> LocalOffer | None:
    """Offer what clients of ``/ws`` are served to local programs as well; None: the settings forbid it.

    Args:
        settings: all of them.
        served: what clients are served.
        house: theirs; programs do not count in it.
        parent: of the workers of this gateway; 0: it has none.
    """
    if not settings.local:
        return None
    clock = served.rights.clock
    shared = Surroundings(
        hub=served.hub,
        layout=StreamFormat(served.places, statuses=served.statuses, data_frame=data_text, text_frame=bytes),
        places=served.places,
        notices=Notices(served.places.brand, statuses=served.statuses),
        rules=served.rules,
        rights=Rights(access=Access(), clock=clock, no_tokens=_PUBLIC_ALONE),
    )
    return LocalOffer(OfferConfig(**terms.local(settings)), _Means(house, shared), parent=parent)
