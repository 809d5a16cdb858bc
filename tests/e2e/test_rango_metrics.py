"""The figures that Rango's dashboards ask for: they rise, fall to where they began, and stay few."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from support.documents import table
from support.rango_gateway import RangoGateway, Scene, token
from support.tokens import Signer
from support.waiting import until

CLIENTS: Final = "rango_hub_clients_count"
SUBSCRIPTIONS: Final = "rango_hub_subscriptions_count"
DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "rango.md"


def count(scene: Scene, kind: str, topic: str) -> float:
    """How many subscriptions of a topic are shown; those that are not shown are none."""
    return scene.gateway.metric(SUBSCRIPTIONS, topic=topic, type=kind) or 0.0


async def test_subscriptions_are_counted_up_and_down_by_the_same_name(scene: Scene, signer: Signer) -> None:
    """Rango counts a prefixed stream down under another name than up, so that both figures drift."""
    jwt, market = token(signer, "U-secret", "admin"), scene.market
    before = scene.gateway.metric(CLIENTS)
    assert before is not None
    streams = [f"{market}.x", f"admin.{market}.x", f"{market}-private"]
    kinds = ["public", "prefixed", "private"]
    clients = [await scene.client(f"/?stream={','.join(streams)}", jwt=jwt) for _ in range(3)]
    assert scene.gateway.metric(CLIENTS) == before + 3
    counts = [*zip(kinds, streams, strict=True)]
    assert [count(scene, *one) for one in counts] == [3, 3, 3]
    await clients[0].ask({"event": "unsubscribe", "streams": streams})
    assert [count(scene, *one) for one in counts] == [2, 2, 2]
    await clients[1].socket.close()
    await until(lambda: scene.gateway.metric(CLIENTS) == before + 2, "one is gone")
    assert [count(scene, *one) for one in counts] == [1, 1, 1]
    await clients[2].ask({"event": "unsubscribe", "streams": streams})
    assert [count(scene, *one) for one in counts] == [0, 0, 0]
    assert "U-secret" not in scene.gateway.page("/metrics")


async def test_thousands_of_names_are_few_labels(scene: Scene, signer: Signer) -> None:
    for kind in ("{}.{}{}", "admin.{}.{}{}", "{}{}{}"):
        client = await scene.client(jwt=token(signer, role="admin"))
        for part in range(3):
            names = [kind.format(scene.market, f"{part}-", number) for number in range(300)]
            assert len(await client.subscribe(*names)) == 300 * (part + 1)
    text = scene.gateway.page("/metrics")
    for kind in ("public", "prefixed", "private"):
        found = re.findall(rf'^{SUBSCRIPTIONS}{{topic="([^"]*)",type="{kind}"}} (\S+)$', text, re.MULTILINE)
        assert len(found) <= 200
        assert dict(found)["other"] != "0.0"
        assert sum(float(value) for _, value in found) >= 900


async def test_names_are_escaped_as_labels_and_long_ones_are_no_labels(scene: Scene) -> None:
    odd, long = f'{scene.market}"\n\\.x', f"{scene.market}{'y' * 150}.x"
    await (await scene.client()).subscribe(odd, long)
    text = scene.gateway.page("/metrics")
    assert "y" * 50 not in text
    assert f'topic="{scene.market}\\"\\n\\\\.x"' in text


@pytest.mark.parametrize(
    "name",
    [
        CLIENTS,
        "promhttp_metric_handler_requests_in_flight",
        "promhttp_metric_handler_requests_total",
        "process_cpu_seconds_total",
        "process_max_fds",
        "process_open_fds",
        "process_resident_memory_bytes",
        "process_start_time_seconds",
        "process_virtual_memory_bytes",
        "process_virtual_memory_max_bytes",
    ],
)
def test_every_name_of_rangos_page_is_there(rango: RangoGateway, name: str) -> None:
    assert re.search(rf"^{name}(\{{.*\}})? \S+$", rango.page("/metrics"), re.MULTILINE)
    assert f"`{name}`" in DOCUMENT.read_text()


def test_what_stands_for_gos_names_is_there(rango: RangoGateway) -> None:
    rows = table(DOCUMENT, "Metrics")
    theirs, ours = (re.findall(r"`(\w+)`", " ".join(row[column] for row in rows)) for column in (0, 1))
    assert len(set(theirs)) == 30
    assert all(name.startswith("go_") for name in theirs)
    text = rango.page("/metrics")
    for name in ours:
        family = name.removesuffix("_total")
        assert re.search(rf"^# TYPE {family}(_total)? ", text, re.MULTILINE), name
