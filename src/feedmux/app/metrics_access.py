"""The metrics of tokens, and of scrapes: who was let in where, and who asked for the metrics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from feedmux.model.access_errors import TokenCode


def tokens(figures: Mapping[str, Any]) -> Iterator[Metric]:
    """Yield what :meth:`feedmux.edge.auth.Authenticator.statistics` counted, every code from the start."""
    if "keys" in figures:
        yield GaugeMetricFamily("feedmux_token_keys", "Keys that tokens are checked with", figures["keys"])
    yield CounterMetricFamily(
        "feedmux_tokens_accepted", "Tokens that proved who shows them", figures["accepted"]
    )
    refused = CounterMetricFamily(
        "feedmux_tokens_refused", "Tokens that were refused, by code", labels=["code"]
    )
    for code in TokenCode:
        refused.add_metric([code], figures["refused"].get(code, 0))
    yield refused


def scrapes(figures: Mapping[str, Any]) -> Iterator[Metric]:
    """Yield what :class:`feedmux.app.scrapes.Scrapes` counted, by Go's names for it; of nothing none.

    Source: prometheus/client_golang v1.19, prometheus/promhttp/http.go, InstrumentMetricHandler.
    """
    if not figures:
        return
    yield GaugeMetricFamily(
        "promhttp_metric_handler_requests_in_flight",
        "Current number of scrapes being served.",
        figures["in_flight"],
    )
    family = CounterMetricFamily(
        "promhttp_metric_handler_requests",
        "Total number of scrapes by HTTP status code.",
        labels=["code"],
    )
    for code, count in figures["by_code"].items():
        family.add_metric([code], count)
    yield family
