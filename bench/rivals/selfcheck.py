"""Check that each installed rival does the same work as the C loop: all messages, in order, none twice."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from bench.rivals.catalogue import Subject, subjects
from bench.rivals.gateway import GATEWAY
from bench.rivals.workload import ONE, Workload
from bench.system.native import Load
from bench.system.run import clean

_CLIENTS = 10
_HALF = Workload("half", "every client has half of the topics", topics=10, each=5, client_bytes=250)
_ARRIVE_S = 5.0


def checks() -> list[tuple[str, Callable[[], None]]]:
    """A sentence and a function for each installed rival and the gateway; it fails with what was seen."""
    made: list[tuple[str, Callable[[], None]]] = []
    for subject in [*([GATEWAY] if GATEWAY.version else []), *subjects()]:
        made.append((f"{subject.name} delivers every message in order", _every_message(subject)))
        made.append((f"{subject.name} delivers what was subscribed to", _half_of_the_topics(subject)))
    return made


def _every_message(subject: Subject) -> Callable[[], None]:
    def check() -> None:
        result, made = _drive(subject, ONE, "rate 100")
        assert result["received_in_all"] == made * _CLIENTS, (made, result)
        assert abs(result["deliveries"] - 100 * _CLIENTS) <= 20 * _CLIENTS, result
        assert abs(result["bytes"] / result["deliveries"] - ONE.client_bytes) <= 8, result

    return check


def _half_of_the_topics(subject: Subject) -> Callable[[], None]:
    def check() -> None:
        result, _ = _drive(subject, _HALF, "rate 3000")
        assert result["streams"] == _HALF.topics, result
        share = result["deliveries"] / (3000 * _CLIENTS)
        assert 0.4 <= share <= 0.6, (share, result)

    return check


def _drive(subject: Subject, workload: Workload, command: str) -> tuple[dict[str, Any], int]:
    """Run it for a second, stop it; what the load counted and how many messages were made."""
    of_server = {"topics": workload.topics, "client_bytes": workload.client_bytes}
    with subject(symbols=workload.symbols, **of_server) as server:
        arguments = [*server.load_arguments, *workload.load_arguments, "--warmup", 0.1, "--seconds", 1]
        with Load(server.port, clients=_CLIENTS, arguments=arguments) as load:
            load.ready()
            server.tell(command)
            while (result := load.line(10))["event"] != "result":
                continue
            server.tell("stop")
            made = server.statistics()["messages"]
            if not workload.each:
                result["received_in_all"] = _received_in_all(load, made * _CLIENTS)
    assert clean(result) and not result["untimed"], result
    assert 0 < result["p50_ns"] < 500_000_000, result
    return result, made


def _received_in_all(load: Load, wanted: int) -> int:
    """What arrived in the end, waiting for as much as is wanted."""
    deadline = time.monotonic() + _ARRIVE_S
    while (received := int(load.statistics()["received_in_all"])) < wanted and time.monotonic() < deadline:
        time.sleep(0.02)
    return received
