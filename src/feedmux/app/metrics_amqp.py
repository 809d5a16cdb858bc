"""The metrics of RabbitMQ: what is consumed there, what came, what was let go, what is kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

_COUNTERS: Final = {
    "feedmux_amqp_reconnects": ("reconnects", "Connections to RabbitMQ that had to be made again"),
    "feedmux_amqp_published": ("published", "Messages that were passed on to readers"),
    "feedmux_amqp_holes": ("holes", "Holes in the numbers of a book's increments"),
    "feedmux_amqp_spills": ("spilled", "Times that RabbitMQ said it had dropped what waited for us"),
    "feedmux_amqp_evicted": ("evicted", "Stored objects that were let go because there was no room"),
}
_GAUGES: Final = {
    "feedmux_amqp_stored_objects": ("stored_objects", "Objects that are kept for who comes later"),
    "feedmux_amqp_stored_bytes": ("stored_bytes", "Bytes of all stored objects"),
    "feedmux_amqp_last_message_age_seconds": (
        "last_message_age_s",
        "Time since the latest message of RabbitMQ",
    ),
}


def families(broker: Mapping[str, Any]) -> Iterator[Metric]:
    """Yield the families of what :meth:`feedmux.feed.rabbitmq.RabbitMq.statistics` counted.

    An age that nobody knows has no sample.
    """
    yield _by_side(broker, "feedmux_amqp_up", "connected", "Whether a side of RabbitMQ is consumed")
    yield _by_side(broker, "feedmux_amqp_consumers", "consumers", "Consumers that RabbitMQ has for a side")
    messages = CounterMetricFamily(
        "feedmux_amqp_messages", "Messages that RabbitMQ delivered, by whose they are", labels=["scope"]
    )
    for scope, count in broker["consumed"].items():
        messages.add_metric([scope], count)
    yield messages
    dropped = CounterMetricFamily(
        "feedmux_amqp_dropped", "Messages that were not passed on, by reason", labels=["reason"]
    )
    for reason, count in broker["dropped"].items():
        dropped.add_metric([reason], count)
    yield dropped
    for name, (key, text) in _COUNTERS.items():
        yield CounterMetricFamily(name, text, broker[key])
    for name, (key, text) in _GAUGES.items():
        yield GaugeMetricFamily(name, text, broker[key])


def _by_side(broker: Mapping[str, Any], name: str, key: str, text: str) -> Metric:
    family = GaugeMetricFamily(name, text, labels=["side"])
    for link in broker["links"]:
        family.add_metric([link["side"]], int(link[key]))
    return family
