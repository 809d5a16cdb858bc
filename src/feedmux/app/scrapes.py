"""Answer who asks for the metrics, and count that: on ``/metrics`` and on METRICS_PORT together.

A scrape is in flight while it is answered, and counted by its status when it has been. Source:
prometheus/client_golang v1.19, prometheus/promhttp/http.go, InstrumentMetricHandler.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

from feedmux.app import census, metrics
from feedmux.app.census import Figures
from feedmux.app.pages import Page

CODES: Final = (HTTPStatus.OK, HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.SERVICE_UNAVAILABLE)
"""What a scrape may be answered with; all of them are there from the start, as in Go."""
NOT_YET: Final = Page(
    HTTPStatus.SERVICE_UNAVAILABLE,
    {"error": "No process of this gateway has counted anything yet"},
    (("Retry-After", "1"),),
)


class Scrapes:
    """What one process answers with.

    Args:
        figures: of the whole gateway, as they are when they are asked for.
    """

    def __init__(self, figures: Callable[[], Figures]) -> None:
        self._figures = figures
        self._in_flight = 0
        self._by_code = {str(code.value): 0 for code in CODES}

    def page(self) -> Page:
        """Prometheus' text; 503 while there are no figures. What it raises counts as 500, and is a defect."""
        status = HTTPStatus.INTERNAL_SERVER_ERROR.value
        self._in_flight += 1
        try:
            answer = self._answer()
            status = answer.status
        finally:
            self._in_flight -= 1
            self._by_code[str(int(status))] += 1
        return answer

    def statistics(self) -> dict[str, Any]:
        """What is answered now, and what was, by HTTP status."""
        return {"in_flight": self._in_flight, "by_code": dict(self._by_code)}

    def _answer(self) -> Page:
        figures = self._figures()
        if not census.is_whole(figures):
            return NOT_YET
        from feedmux.app.exposition import prometheus

        return Page(HTTPStatus.OK, prometheus(census.snapshot(figures)), content_type=metrics.CONTENT_TYPE)
