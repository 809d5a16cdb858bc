"""``feedmux cluster status`` beside real nodes, and beside none."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import pytest

from support.cluster import QUICK
from support.debian import DebianProgram
from support.family import LIVELY, TICKER
from support.processes import Gateway, Running, Stage
from support.redis import RedisServer
from support.terminal import Terminal
from support.waiting import eventually

SECRET = "correct-horse-battery"
SOON = {**QUICK, "LEASE_TTL": 1}


async def status(stage: Stage, redis_url: str, *options: str) -> tuple[int, Running]:
    """Its exit code, and what it wrote."""
    running = await stage.run("cluster", "status", *options, env={"REDIS_URL": redis_url})
    code = await running.end()
    assert SECRET not in running.text
    assert "Traceback" not in running.text
    return code, running


async def told(stage: Stage, redis_url: str) -> tuple[int, Any]:
    """Its exit code, and what it tells machines."""
    code, running = await status(stage, redis_url, "--json")
    return code, json.loads("\n".join(running.stdout))


async def nodes(stage: Stage, redis: RedisServer, **settings: object) -> list[Gateway]:
    """Two nodes, and clients that have data: one of the first, two of the second."""
    venue = await stage.venue(*LIVELY)
    found = [
        await stage.gateway(venue.url, REDIS_URL=redis.url, NODE_NAME=name, **SOON, **settings)
        for name in ("node-a", "node-b")
    ]
    clients = [await stage.client(found[index]) for index in (0, 1, 1)]
    await asyncio.gather(*(client.subscribe("ticker:BTCUSDT") for client in clients))
    await clients[0].subscribe("kline:1m:ETHUSDT")
    await asyncio.gather(*(client.data(TICKER, count=20) for client in clients))
    return found


@pytest.mark.parametrize("settings", [{}, {"WORKERS": 2}], ids=["one process", "workers"])
async def test_it_shows_nodes_leases_and_demand(
    stage: Stage, redis: RedisServer, settings: dict[str, object]
) -> None:
    size = redis.ask("DBSIZE")
    both = await nodes(stage, redis, **settings)

    async def seen() -> tuple[int, Any]:
        return await told(stage, redis.url)

    def all_there(answer: tuple[int, Any]) -> bool:
        code, body = answer
        readers = [node["markets"]["bybit.linear"] for node in body["nodes"]]
        are_read = [one["lag_s"] is not None for one in readers if not one["holds"]]
        return code == 0 and [node["clients"] for node in body["nodes"]] == [1, 2] and are_read == [True]

    _, body = await eventually(seen, all_there, "both nodes say how many clients they have", 20.0)
    assert [node["name"] for node in body["nodes"]] == ["node-a", "node-b"]
    assert [node["address"] for node in body["nodes"]] == [f"127.0.0.1:{node.port}" for node in both]
    assert [node["has_rival"] for node in body["nodes"]] == [False, False]
    (lease,) = body["leases"]
    (holder,) = [node["name"] for node in body["nodes"] if node["markets"]["bybit.linear"]["holds"]]
    assert (lease["market"], lease["holder"]) == ("bybit.linear", holder)
    assert 0 < lease["left_s"] <= 1
    (reader,) = [node for node in body["nodes"] if node["name"] != holder]
    assert 0 <= reader["markets"]["bybit.linear"]["lag_s"] < 10
    topics = {"kline:ETHUSDT:1": 1, "ticker:BTCUSDT": 2}
    assert body["demand"] == {"bybit.linear": {"wants": 3, "is_whole": True, "topics": topics}}
    for node in both:
        node.running.signal(signal.SIGTERM)
    for node in both:
        assert await node.running.end() == 0
    assert redis.ask("KEYS", "feedmux:node:*") == []
    assert redis.ask("DBSIZE") == size + 1, "the last epoch of the one market is not forgotten"  # type: ignore[operator]


async def test_people_see_tables_and_topics_only_where_they_ask(stage: Stage, redis: RedisServer) -> None:
    await nodes(stage, redis)
    code, running = await status(stage, redis.url)
    text = running.text
    assert code == 0, text
    for word in ("node-a", "node-b", "127.0.0.1:", "bybit.linear", redis.url):
        assert word in text
    assert "ticker:BTCUSDT" not in text
    code, running = await status(stage, redis.url, "--topics")
    assert "ticker:BTCUSDT" in running.text


@pytest.mark.parametrize("columns", [50, 80, 160])
async def test_no_line_is_wider_than_the_terminal(stage: Stage, redis: RedisServer, columns: int) -> None:
    await nodes(stage, redis)
    terminal = await Terminal.run(
        "cluster", "status", "--topics", "--set", f"REDIS_URL={redis.url}", columns=columns
    )
    try:
        assert await terminal.end() == 0, terminal.text
        assert max(len(line.rstrip()) for line in terminal.text.splitlines()) <= columns
    finally:
        await terminal.dispose()


async def test_a_lease_that_nobody_has_is_one_sentence_and_exit_code_1(
    stage: Stage, redis: RedisServer
) -> None:
    venue = await stage.venue(*LIVELY)
    await stage.gateway(venue.url, REDIS_URL=redis.url, NODE_NAME="node-a", **QUICK, LEASE_TTL=60)

    async def last_line() -> tuple[int, str]:
        code, running = await status(stage, redis.url)
        return code, running.stdout[-1]

    sentence = "! bybit.linear: no node has the lease, so nobody runs its feed for all"
    await eventually(last_line, (1, sentence).__eq__, sentence, 20.0)


async def test_a_node_that_was_killed_is_forgotten(stage: Stage, redis: RedisServer) -> None:
    first, second = await nodes(stage, redis)
    first.running.signal(signal.SIGKILL)

    async def names() -> list[str]:
        _, body = await told(stage, redis.url)
        return [node["name"] for node in body["nodes"]]

    await eventually(names, ["node-b"].__eq__, "only node-b is there", 20.0)
    await second.shows(
        lambda body: body["cluster"]["markets"]["bybit.linear"]["held"], "node-b has the lease"
    )


async def test_two_processes_of_one_name_are_a_problem(stage: Stage, redis: RedisServer) -> None:
    venue = await stage.venue(*LIVELY)
    for _ in range(2):
        await stage.gateway(venue.url, REDIS_URL=redis.url, NODE_NAME="node-a", **SOON)

    async def problems() -> list[str]:
        code, body = await told(stage, redis.url)
        assert code == bool(body["problems"])
        found: list[str] = body["problems"]
        return found

    sentence = "several processes are called node-a; give each a NODE_NAME of its own"
    await eventually(problems, lambda found: sentence in found, sentence, 20.0)


async def test_where_no_node_is_it_says_so(stage: Stage, redis: RedisServer) -> None:
    code, running = await status(stage, redis.url)
    assert (code, running.stdout[-1]) == (1, "! no node says that it is there")


async def test_what_strangers_wrote_under_our_keys_is_named(stage: Stage, redis: RedisServer) -> None:
    redis.ask("SET", "feedmux:node:x", "\x1b[31m{")
    redis.ask("HSET", "feedmux:node:y", "a", "b")
    redis.ask("SET", "feedmux:z:lease", "a")
    redis.ask("HSET", "feedmux:q:lease", "until", "soon")
    code, running = await status(stage, redis.url)
    assert code == 1
    assert "! feedmux:node:x holds what no node wrote" in running.stdout
    assert "! feedmux:node:y holds what no node wrote" in running.stdout


async def test_a_prefix_that_is_a_pattern_is_taken_by_its_letters(stage: Stage, redis: RedisServer) -> None:
    venue = await stage.venue(*LIVELY)
    await stage.gateway(venue.url, REDIS_URL=redis.url, REDIS_PREFIX="f[a]*", NODE_NAME="node-a", **SOON)
    other = await stage.gateway(venue.url, REDIS_URL=redis.url, REDIS_PREFIX="fab", NODE_NAME="b", **SOON)
    assert other.port

    async def names() -> list[str]:
        running = await stage.run(
            "cluster", "status", "--json", env={"REDIS_URL": redis.url, "REDIS_PREFIX": "f[a]*"}
        )
        await running.end()
        return [node["name"] for node in json.loads("\n".join(running.stdout))["nodes"]]

    await eventually(names, ["node-a"].__eq__, "its own nodes", 20.0)


async def test_no_redis_is_one_sentence_and_exit_code_1(stage: Stage) -> None:
    code, running = await status(stage, f"redis://node:{SECRET}@127.0.0.1:1")
    assert code == 1
    (line,) = running.output
    assert line.startswith("feedmux: Redis cannot be asked: no connection to redis://127.0.0.1:1: ")


async def test_a_wrong_password_is_one_sentence_and_not_shown(
    stage: Stage, redis_program: DebianProgram, tmp_path: Path
) -> None:
    server = RedisServer(redis_program, tmp_path / "guarded", password="other")
    try:
        server.start()
        code, running = await status(stage, server.url.replace("//", f"//:{SECRET}@"))
        assert code == 1
        (line,) = running.output
        assert "does not accept the credentials: WRONGPASS" in line
    finally:
        server.kill()


async def test_a_right_that_is_missing_is_one_sentence(
    stage: Stage, redis_program: DebianProgram, tmp_path: Path
) -> None:
    user = f"looker on >{SECRET} ~* &* +hello +ping +client|setname"
    server = RedisServer(redis_program, tmp_path / "guarded", password="other", users=(user,))
    try:
        server.start()
        code, running = await status(stage, server.url.replace("//", f"//looker:{SECRET}@"))
        assert code == 1
        (line,) = running.output
        assert line.startswith("feedmux: Redis refused TIME: NOPERM")
    finally:
        server.kill()


async def test_a_redis_that_does_not_answer_is_one_sentence(stage: Stage, redis: RedisServer) -> None:
    redis.signal(signal.SIGSTOP)
    running = await stage.run(
        "cluster", "status", env={"REDIS_URL": redis.url, "REDIS_SOCKET_TIMEOUT": "0.5"}
    )
    code = await running.end()
    redis.signal(signal.SIGCONT)
    assert code == 1
    (line,) = running.output
    assert line.endswith("we were not let in within 0.5 s")


async def test_without_a_redis_it_says_which_setting_is_missing(stage: Stage) -> None:
    running = await stage.run("cluster", "status")
    assert await running.end() == 2
    assert running.text.startswith("feedmux: REDIS_URL: ")
