from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from feedmux.app import census
from feedmux.app.exposition import prometheus
from support.census import FEED, SHARED, elsewhere, node, whole_figures


def samples(**figures: object) -> dict[str, float]:
    """Every sample of the cluster, by its name and the values of its labels."""
    text = prometheus(census.snapshot(whole_figures(**figures))).decode()
    return {
        " ".join((sample.name.removeprefix("feedmux_cluster_"), *sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith("feedmux_cluster_")
    }


def test_every_figure_is_shown_by_market() -> None:
    shown = samples(feeds=[SHARED, elsewhere() | {"market": "spot"}], nodes=[node()])
    assert {name: value for name, value in shown.items() if "spot" not in name} == {
        "redis_connected": 1,
        "lease_held bybit.linear": 1,
        "topics bybit.linear here": 2,
        "topics bybit.linear elsewhere": 3,
        "takeovers_total bybit.linear": 1,
        "published_total bybit.linear": 90,
        "received_total bybit.linear": 80,
        "marks_total bybit.linear": 2,
        "lost_total bybit.linear": 4,
        "refused_total bybit.linear": 5,
    }
    assert (shown["lease_held bybit.spot"], shown["lag_seconds bybit.spot"]) == (0, 0.001)


def test_a_redis_that_is_away_is_0() -> None:
    assert samples(nodes=[node(connected=False)])["redis_connected"] == 0


def test_without_redis_there_is_none() -> None:
    assert samples(feeds=[FEED], nodes=[]) == {}
