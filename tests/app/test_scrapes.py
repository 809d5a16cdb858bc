"""Tests of what is answered to who asks for the metrics, and of its count."""

from __future__ import annotations

import re
from typing import Any

import pytest

from feedmux.app.scrapes import NOT_YET, Scrapes
from support.census import whole_figures

NONE = {"200": 0, "500": 0, "503": 0}


def sample(body: object, name: str) -> str:
    """The value of a sample in a page."""
    assert isinstance(body, bytes)
    found = re.search(rf"^{re.escape(name)} (\S+)$", body.decode(), re.MULTILINE)
    assert found, name
    return found[1]


def test_a_scrape_is_in_flight_while_it_is_answered_and_counted_afterwards() -> None:
    def figures() -> dict[str, Any]:
        return whole_figures(scrapes=scrapes.statistics())

    scrapes = Scrapes(figures)
    assert scrapes.statistics() == {"in_flight": 0, "by_code": NONE}
    for number in range(3):
        page = scrapes.page()
        assert (page.status, page.content_type) == (200, "text/plain; version=0.0.4; charset=utf-8")
        assert sample(page.body, "promhttp_metric_handler_requests_in_flight") == "1.0"
        for code in NONE:
            name = f'promhttp_metric_handler_requests_total{{code="{code}"}}'
            assert float(sample(page.body, name)) == (number if code == "200" else 0)
    assert scrapes.statistics() == {"in_flight": 0, "by_code": NONE | {"200": 3}}


@pytest.mark.parametrize("missing", ["server", "hub", "latency", "states", "feeds"])
def test_before_anybody_has_counted_there_is_nothing_to_show(missing: str) -> None:
    figures = whole_figures()
    del figures[missing]
    scrapes = Scrapes(lambda: figures)
    assert scrapes.page() == NOT_YET
    assert scrapes.statistics()["by_code"] == NONE | {"503": 1}


def test_what_cannot_be_answered_is_a_defect_and_counts_as_one() -> None:
    scrapes = Scrapes(lambda: whole_figures(server={}))
    with pytest.raises(KeyError):
        scrapes.page()
    assert scrapes.statistics() == {"in_flight": 0, "by_code": NONE | {"500": 1}}
