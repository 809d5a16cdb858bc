"""A Redis that sentinels watch: its replica takes over, and everybody follows."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from feedmux.bus.redis_config import RedisConfig
from feedmux.core.lease import Terms
from support.certificates import HOST
from support.debian import DebianProgram
from support.processes import Stage
from support.programs import free_port
from support.redis import RedisServer
from support.redis_ear import SOON, open_link, running_link
from support.redis_leases import seeking
from support.redis_sentinels import MASTER, PASSWORD, SENTINEL_PASSWORD, Sentinel, Watched, watched
from support.redis_story import FAILOVER_S, bus_follows, gateways_follow
from support.resp import RespEnded
from support.waiting import until


@pytest.fixture(name="scene")
def _scene(redis_program: DebianProgram, tmp_path: Path) -> Iterator[Watched]:
    with watched(redis_program, tmp_path) as scene:
        yield scene


def config(scene: Watched, **more: Any) -> RedisConfig:
    given: dict[str, Any] = {
        "password": PASSWORD,
        "sentinels": tuple((HOST, sentinel.port) for sentinel in scene.sentinels),
        "sentinel_password": SENTINEL_PASSWORD,
        "master": MASTER,
        "backoff": SOON,
    }
    return RedisConfig(**given | more)


def address(server: RedisServer) -> str:
    return f"redis://{HOST}:{server.port}"


async def test_a_link_follows_from_a_master_that_was_killed_and_misses_nothing_untold(scene: Watched) -> None:
    first, second = scene.servers
    async with open_link(config(scene)) as (link, ear):
        assert link.statistics()["address"] == address(first)
        link.subscribe(b"a")
        link.publish(b"a", b"before")
        await until(lambda: ear.messages)
        first.kill()
        await until(lambda: ear.losses)
        link.publish(b"a", b"meanwhile")
        await until(lambda: link.is_open, "the link is open", FAILOVER_S)
        assert link.statistics()["address"] == address(second)
        link.publish(b"a", b"after")
        await until(lambda: ear.heard(b"a")[-1] == b"after")
        assert ear.heard(b"a") == [b"before", b"mark 1", b"after"]


async def test_links_leave_a_master_that_is_told_to_hand_over(scene: Watched) -> None:
    """Nobody dies: the sentinels make the old one a replica, and end its connections."""
    second = scene.servers[1]
    async with open_link(config(scene)) as (link, ear):
        link.subscribe(b"a")
        await until(lambda: scene.servers[0].subscribers("a") == [1])
        scene.sentinels[1].ask("SENTINEL", "FAILOVER", MASTER)
        await until(lambda: second.subscribers("a") == [1], "it listens at the new one", FAILOVER_S)
        assert link.statistics()["address"] == address(second)
        assert len(ear.losses) >= 1


async def test_a_sentinel_that_is_away_and_one_that_is_wrong_do_not_matter(
    scene: Watched, redis_program: DebianProgram, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The wrong one takes the replica for the master: its role says that it is none."""
    wrong = Sentinel(redis_program, tmp_path / "wrong", scene.servers[1].port)
    try:
        wrong.start()
        ports = (free_port(), wrong.port, scene.sentinels[2].port)
        asked = config(scene, sentinels=tuple((HOST, port) for port in ports))
        async with open_link(asked) as (link, _):
            assert link.statistics()["address"] == address(scene.servers[0])
        assert "is a replica; expected the one that it copies" in caplog.text
    finally:
        wrong.kill()


async def test_a_sentinel_that_does_not_answer_is_not_waited_for(scene: Watched) -> None:
    scene.sentinels[0].signal(signal.SIGSTOP)
    async with open_link(config(scene, ask_timeout_s=0.2)) as (link, _):
        assert link.statistics()["address"] == address(scene.servers[0])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"master": "others"}, f"no sentinel knows a master 'others' (asked: redis://{HOST}:"),
        ({"sentinel_password": "wrong"}, "does not accept the credentials: WRONGPASS"),
        ({"sentinel_password": ""}, "does not accept the credentials: NOAUTH"),
        ({"password": "wrong"}, "does not accept the credentials: WRONGPASS"),
        ({"sentinels": ((HOST, 1), ("name.invalid", 2))}, f"no sentinel answers: no connection to redis://{HOST}:1"),
    ],
)  # fmt: skip
async def test_why_no_master_is_found_is_named(
    scene: Watched, wrong: dict[str, Any], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with running_link(config(scene, **wrong)) as (link, ear):
        await until(lambda: said in str(link.statistics()["trouble"]), f"{said}: {link.statistics()}")
        assert (ear.opens, ear.losses) == (0, [])
    assert PASSWORD not in caplog.text and SENTINEL_PASSWORD not in caplog.text


async def test_a_sentinel_is_not_taken_for_a_redis(scene: Watched) -> None:
    taken = RedisConfig(host=HOST, port=scene.sentinels[0].port, password=SENTINEL_PASSWORD, backoff=SOON)
    async with running_link(taken) as (link, _):
        await until(lambda: "is a sentinel; expected it to be in REDIS_SENTINELS" in str(link.statistics()))


async def test_a_tenure_goes_on_at_the_new_master(scene: Watched) -> None:
    terms = Terms(ttl_s=15.0, renew_s=0.1, look_s=0.1, margin_s=0.3)
    first, second = scene.servers
    first.ask("HSET", "feedmux:lease", "run", first.run_id)  # it has not forgotten: nobody waits
    run = second.run_id.encode()

    def is_renewed() -> bool:
        with suppress(RespEnded):
            return second.ask("HGET", "feedmux:lease", "run") == run
        return False

    async with seeking(config(scene), "feedmux:lease", terms) as (lease, told, leases):
        await until(lease.may_write, "it is gained")
        token = lease.lease.token
        first.kill()
        await until(is_renewed, "it is renewed there", FAILOVER_S)
        assert (lease.may_write(), lease.lease.token) == (True, token)
        assert told.events == [("gained", token)]
        assert leases.statistics()["leases"]


async def test_the_bus_goes_on_at_the_new_master_and_tells_what_is_missing(scene: Watched) -> None:
    await bus_follows(config(scene), scene.servers[0].kill)


async def test_gateways_follow_and_the_venue_is_asked_by_one_of_them(stage: Stage, scene: Watched) -> None:
    async def change() -> None:
        scene.servers[0].kill()

    await gateways_follow(stage, scene.settings, change)
