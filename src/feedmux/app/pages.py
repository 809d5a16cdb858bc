"""What the gateway answers to plain HTTP: about itself, its health and its figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from feedmux import __version__
from feedmux.app import census, metrics
from feedmux.app.census import Figures

if TYPE_CHECKING:
    from feedmux.app.settings import Settings


class Page(NamedTuple):
    """An answer; its fields are those of :class:`feedmux.edge.http.Reply`."""

    status: int
    body: Mapping[str, object] | bytes
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str = "application/json"


def pages(
    settings: Settings,
    figures: Callable[[], Figures],
    is_draining: Callable[[], bool],
    scrape: Callable[[], Page],
) -> dict[str, Callable[[], Page]]:
    """What each path answers.

    Args:
        settings: all of them.
        figures: of the whole gateway, as they are when they are asked for.
        is_draining: whether new clients are turned away.
        scrape: answers with the metrics.
    """
    about = {
        "name": f"{settings.brand.capitalize()} Futures WebSocket",
        "version": __version__,
        "websocket": "/ws",
        "health": "/health",
        "ready": "/ready",
    }

    def now() -> metrics.Snapshot:
        return census.snapshot(figures())

    found: dict[str, Callable[[], Page]] = {
        "/": lambda: Page(200, about),
        "/ready": lambda: Page(503, {"ok": False}) if is_draining() else Page(200, {"ok": True}),
        "/stats": lambda: Page(200, metrics.stats(now(), max_clients=settings.max_clients_total)),
    }
    if settings.health_check_enabled:
        found["/health"] = lambda: Page(*metrics.health(now()))
    if settings.metrics_enabled:
        found["/metrics"] = scrape
    return found
