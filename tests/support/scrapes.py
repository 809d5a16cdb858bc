"""What Prometheus would see of a gateway."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from support.processes import Gateway

Samples = dict[str, float]


async def scrape(gateway: Gateway, path: str = "/metrics") -> tuple[Samples, Samples]:
    """All samples by name and labels, and of them those that may only grow."""
    answer = await gateway.get(path)
    assert answer.status == 200, answer
    everything, growing = Samples(), Samples()
    for family in text_string_to_metric_families(answer.body):
        for sample in family.samples:
            name = " ".join((sample.name, *sample.labels.values()))
            everything[name] = sample.value
            if family.type in {"counter", "histogram"}:
                growing[name] = sample.value
    return everything, growing


def fallen(before: Samples, after: Samples) -> Samples:
    """What may only grow, and did not."""
    return {name: value for name, value in before.items() if after.get(name, -1) < value}
