"""The link to a real Redis: batches, cuts, stalls, bounds, rights; nothing is lost without a mark."""

from __future__ import annotations

import asyncio
import logging
import signal
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from feedmux.bus.redis_config import RedisConfig, RedisRefused
from feedmux.core.lease_record import SCRIPT, Act, Answer, Ask
from feedmux.model.link_errors import RequestLost
from support.debian import DebianProgram
from support.redis import RedisServer
from support.redis_ear import SOON, open_link, running_link
from support.waiting import until

PASSWORD = "correct-horse-battery"


def config(redis: RedisServer, **more: Any) -> RedisConfig:
    given: dict[str, Any] = {"host": "127.0.0.1", "port": redis.port, "backoff": SOON} | more
    return RedisConfig(**given)


@contextmanager
def another(program: DebianProgram, folder: Path, **options: Any) -> Iterator[RedisServer]:
    server = RedisServer(program, folder / "another", **options)
    try:
        server.start()
        yield server
    finally:
        server.kill()


async def test_what_one_turn_publishes_leaves_in_one_write_and_arrives_in_order(redis: RedisServer) -> None:
    async with open_link(config(redis)) as (writer, _), open_link(config(redis)) as (reader, ear):
        reader.subscribe(b"a")
        await until(lambda: redis.subscribers("a") == [1])
        before = writer.counts["writes"]
        bodies = [b"%d\r\n\0" % number for number in range(10_000)]
        for body in bodies:
            writer.publish(b"a", body)
        await until(lambda: len(ear.messages) == 10_000)
        assert ear.heard(b"a") == bodies
        assert writer.counts["writes"] == before + 1
        assert (writer.counts["dropped"], writer.counts["marks"]) == (0, 0)


async def test_events_of_a_turn_share_a_message_with_those_of_their_channel(redis: RedisServer) -> None:
    async with open_link(config(redis)) as (link, ear):
        for channel in (b"a", b"b", b"c"):
            link.subscribe(channel)
        for number in range(3):
            link.join(b"a", b"%d " % number)
            link.join(b"b", b"%d " % number)
        link.publish(b"c", b"a message by itself")
        link.join(b"a", b"3 ")
        link.join(b"a", b"4 ")
        await until(lambda: len(ear.messages) == 4)
        assert ear.messages == [
            (b"a", b"0 1 2 "),
            (b"b", b"0 1 2 "),
            (b"c", b"a message by itself"),
            (b"a", b"3 4 "),
        ]
        assert link.counts["published"] == 9


async def test_what_may_not_leave_any_more_is_forgotten(redis: RedisServer) -> None:
    """It may be published when that is asked, but not when the turn ends."""
    may = True
    async with open_link(config(redis), may_publish=lambda: may) as (link, ear):
        link.subscribe(b"a")
        for number in range(3):
            link.join(b"a", b"%d " % number)
            link.publish(b"a", b"%d" % number)
        may = False
        assert await link.call("ECHO", b"hello") == b"hello"
        link.join(b"a", b"3 ")
        await link.call("PING")
        may = True
        link.join(b"a", b"4 ")
        await until(lambda: ear.messages)
        assert ear.messages == [(b"a", b"4 ")]
        assert (link.counts["published"], link.counts["dropped"], link.counts["marks"]) == (1, 0, 0)


async def test_an_event_does_not_overtake_the_mark_of_its_channel(redis: RedisServer) -> None:
    """More channels have a mark to come than there is room for at once."""
    channels = [b"channel-%d" % number for number in range(2000)]
    async with open_link(config(redis, bound_bytes=20_000)) as (link, ear):
        for channel in channels:
            link.subscribe(channel)
        await until(lambda: redis.subscribers("channel-1999") == [1])
        link.join(b"full", b"x" * 20_000)
        while not ear.heard(channels[-1]):
            link.join(channels[-1], b"event")
            await asyncio.sleep(0)
        assert ear.heard(channels[-1])[0].startswith(b"mark ")


async def test_who_subscribes_hears_what_it_publishes_in_the_same_turn(redis: RedisServer) -> None:
    async with open_link(config(redis)) as (link, ear):
        link.publish(b"a", b"1")
        link.subscribe(b"a")
        await until(lambda: ear.messages)
        link.unsubscribe(b"a")
        link.publish(b"a", b"2")
        link.subscribe(b"b")
        link.publish(b"b", b"3")
        await until(lambda: len(ear.messages) == 2)
        assert ear.messages == [(b"a", b"1"), (b"b", b"3")]


async def test_nobody_subscribed_is_a_state_like_any_other(redis: RedisServer) -> None:
    async with open_link(config(redis, ping_interval_s=0.01)) as (link, ear):
        for round_ in range(1, 4):
            link.subscribe(b"a")
            link.subscribe(b"a")
            link.publish(b"a", b"x")
            await until(lambda expected=round_: len(ear.messages) == expected)  # type: ignore[misc]
            link.unsubscribe(b"a")
            link.unsubscribe(b"a")
            await until(lambda: redis.subscribers("a") == [0])
            assert await link.call("PING") == b"PONG"
        assert (ear.opens, ear.losses) == (1, [])


async def test_a_link_that_is_cut_subscribes_to_all_again(redis: RedisServer) -> None:
    channels = [b"channel-%d" % number for number in range(1200)]
    async with open_link(config(redis)) as (link, ear):
        for channel in channels:
            link.subscribe(channel)
        link.unsubscribe(channels.pop())
        names = [channel.decode() for channel in channels]
        await until(lambda: redis.subscribers(*names) == [1] * 1199)
        for kind in ("pubsub", "pubsub"):
            opens = ear.opens
            assert redis.kill_clients(kind) == 1
            await until(lambda expected=opens: ear.opens == expected + 1)  # type: ignore[misc]
            await until(lambda: redis.subscribers(*names) == [1] * 1199)
        assert redis.subscribers("channel-1199") == [0]
        assert [str(error) for error in ear.losses] == ["the connection ended: Redis ended it"] * 2


async def test_what_is_published_while_redis_is_away_is_marked_before_anything_else(
    redis: RedisServer,
) -> None:
    async with open_link(config(redis)) as (link, ear):
        link.subscribe(b"a")
        link.publish(b"a", b"before")
        await until(lambda: ear.messages)
        await redis.stop()
        await until(lambda: ear.losses)
        for _ in range(3):
            link.publish(b"a", b"meanwhile")
        link.publish(b"b", b"meanwhile")
        with pytest.raises(RequestLost, match="it was not sent"):
            await link.call("PING")
        assert link.statistics()["missed"] == 2
        await redis.restart()
        await until(lambda: link.is_open)
        link.publish(b"a", b"after")
        await until(lambda: ear.heard(b"a")[-1] == b"after")
        assert ear.heard(b"a") == [b"before", b"mark 3", b"after"]
        assert (link.counts["dropped"], link.counts["marks"]) == (4, 2)
        assert (link.statistics()["missed"], link.statistics()["trouble"]) == (0, "")


async def test_what_was_sent_and_not_answered_counts_as_missing(redis: RedisServer) -> None:
    async with open_link(config(redis)) as (link, ear):
        link.subscribe(b"a")
        await until(lambda: redis.subscribers("a") == [1])
        redis.signal(signal.SIGSTOP)
        for _ in range(5):
            link.publish(b"a", b"x")
        await until(lambda: link.counts["writes"] >= 2)
        redis.kill()
        await redis.restart()
        await until(lambda: ear.heard(b"a"))
        assert ear.heard(b"a") == [b"mark 5"]


async def test_what_waits_is_bounded_and_what_is_dropped_is_marked_where_it_is_missing(
    redis: RedisServer,
) -> None:
    bound = 256 * 1024
    patient = {"answer_timeout_s": 60.0}
    async with (
        open_link(config(redis, bound_bytes=bound, **patient)) as (writer, _),
        open_link(config(redis, **patient)) as (reader, ear),
    ):
        reader.subscribe(b"a")
        await until(lambda: redis.subscribers("a") == [1])
        redis.signal(signal.SIGSTOP)
        number = 0
        while not writer.counts["dropped"]:
            for _ in range(100):
                writer.publish(b"a", b"%d " % number + b"x" * 2000)
                number += 1
            await asyncio.sleep(0)
        waiting = writer.statistics()["waiting_bytes"]
        assert isinstance(waiting, int)
        assert bound // 2 < waiting < bound + 3000
        redis.signal(signal.SIGCONT)
        await until(lambda: any(body.startswith(b"mark") for body in ear.heard(b"a")))
        writer.publish(b"a", b"%d after" % number)
        await until(lambda: ear.heard(b"a")[-1].endswith(b"after"))
        *sent, mark, after = (body.split(b" ")[:2] for body in ear.heard(b"a"))
        assert [int(first) for first, _ in sent] == list(range(len(sent)))
        assert mark == [b"mark", b"%d" % (number - len(sent))]
        assert int(after[0]) == number


async def test_what_one_turn_publishes_is_bounded_too(redis: RedisServer) -> None:
    async with open_link(config(redis, bound_bytes=100_000)) as (link, ear):
        link.subscribe(b"a")
        for _ in range(300):
            link.publish(b"a", b"x" * 1000)
        link.publish(b"b", b"x")
        await until(lambda: ear.heard(b"a")[-1:] and ear.heard(b"a")[-1].startswith(b"mark"))
        sent = len(ear.heard(b"a")) - 1
        assert 90 < sent <= 100
        assert ear.heard(b"a")[-1] == b"mark %d" % (300 - sent)
        assert (link.counts["dropped"], link.counts["marks"]) == (301 - sent, 2)


async def test_a_connection_that_stands_but_is_dead_is_found(redis: RedisServer) -> None:
    async with open_link(config(redis, ping_interval_s=0.02, answer_timeout_s=0.3)) as (link, ear):
        redis.signal(signal.SIGSTOP)
        await until(lambda: ear.losses)
        assert str(ear.losses[0]) == "the connection ended: Redis did not answer within 0.3 s"
        redis.signal(signal.SIGCONT)
        await until(lambda: link.is_open)


async def test_a_redis_that_is_busy_for_a_moment_is_waited_for(redis: RedisServer) -> None:
    async with open_link(config(redis, answer_timeout_s=60.0)) as (link, ear):
        with redis.sleep(0.3):
            assert await link.call("ECHO", b"hello") == b"hello"
        assert (ear.opens, ear.losses) == (1, [])


async def test_a_call_whose_connection_ends_may_have_been_executed(redis: RedisServer) -> None:
    async with open_link(config(redis)) as (link, ear):
        redis.signal(signal.SIGSTOP)
        writes = link.counts["writes"]
        calling = asyncio.ensure_future(link.call("INCR", "a"))
        await until(lambda: link.counts["writes"] > writes)
        redis.kill()
        with pytest.raises(RequestLost, match="it may have been executed") as caught:
            await calling
        assert (caught.value.method, caught.value.maybe_executed) == ("INCR", True)
        await redis.restart()
        await until(lambda: ear.opens == 2)


async def test_the_script_of_leases_is_called_over_it(redis: RedisServer) -> None:
    async with open_link(config(redis)) as (link, _):
        ask = Ask(Act.RENEW, "a", 1000, 0, 3000)
        answer = Answer.read(await link.call("EVAL", SCRIPT, "1", "feedmux:lease", *ask.arguments()))
        assert (answer.granted, answer.token) == (True, 1000)


# Who may do what


@pytest.mark.parametrize("said", ["", "wrong-" + PASSWORD])
async def test_who_does_not_know_the_password_is_told_so(
    redis_program: DebianProgram, tmp_path: Path, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with another(redis_program, tmp_path, password=PASSWORD) as server:
        wrong = config(server, password=said)
        async with running_link(wrong) as (link, _):
            await until(lambda: "does not accept the credentials" in str(link.statistics()["trouble"]))
            assert not said or said not in str(link.statistics())
        assert PASSWORD not in caplog.text + repr(wrong)
        lines = [record for record in caplog.records if record.name == "feedmux.bus.redis"]
        assert len(lines) == 1, "it is said once, however often it is tried"


async def test_a_user_with_few_rights(redis_program: DebianProgram, tmp_path: Path) -> None:
    users = (f"node on >{PASSWORD} &fm:* +publish +subscribe +unsubscribe +ping +hello +client|setname",)
    with another(redis_program, tmp_path, password="other", users=users) as server:
        node = config(server, user="node", password=PASSWORD)
        async with open_link(node) as (link, ear):
            link.subscribe(b"fm:a")
            await until(lambda: server.subscribers("fm:a") == [1])
            link.subscribe(b"secret")
            link.publish(b"secret", b"x")
            link.publish(b"fm:a", b"x")
            await until(lambda: ear.messages and len(ear.refusals) == 2)
            assert [channels for channels, _ in ear.refusals] == [[b"secret"], [b"secret"]]
            assert {error.word for _, error in ear.refusals} == {"NOPERM"}
            with pytest.raises(RedisRefused, match="Redis refused GET: NOPERM") as caught:
                await link.call("GET", "a")
            assert caught.value.word == "NOPERM"
            server.ask("ACL", "SETUSER", "node", "&secret")
            link.subscribe(b"secret")
            await until(lambda: server.subscribers("secret") == [1])
            assert (ear.opens, ear.losses) == (1, [])
            server.ask("ACL", "DELUSER", "node")
            await until(lambda: "credentials" in str(link.statistics()["trouble"]))


async def test_a_redis_without_memory_says_so_and_still_carries_messages(redis: RedisServer) -> None:
    redis.ask("CONFIG", "SET", "maxmemory", "1")
    async with open_link(config(redis)) as (link, ear):
        with pytest.raises(RedisRefused) as caught:
            await link.call("SET", "a", "x")
        assert caught.value.word == "OOM"
        link.subscribe(b"a")
        link.publish(b"a", b"x")
        await until(lambda: ear.messages)


async def test_a_redis_that_became_a_replica_is_left_until_it_is_none(redis: RedisServer) -> None:
    async with open_link(config(redis)) as (link, ear):
        redis.ask("REPLICAOF", "127.0.0.1", "1")
        with pytest.raises(RedisRefused) as caught:
            await link.call("SET", "a", "x")
        assert caught.value.word == "READONLY"
        await until(lambda: ear.losses)
        assert "another Redis took over" in str(ear.losses[0])
        await until(lambda: "is a replica" in str(link.statistics()["trouble"]))
        redis.ask("REPLICAOF", "NO", "ONE")
        await until(lambda: link.is_open)


# Ways to it


async def test_over_tls_and_only_to_who_its_certificate_names(
    redis_program: DebianProgram, tmp_path: Path
) -> None:
    with another(redis_program, tmp_path, tls=True) as server:
        secure = {"port": server.tls_port}
        async with open_link(config(server, tls=server.authority.trusting(), **secure)) as (link, ear):
            link.subscribe(b"a")
            link.publish(b"a", b"x" * 1_000_000)
            await until(lambda: ear.messages)
        async with running_link(config(server, tls=ssl.create_default_context(), **secure)) as (link, _):
            await until(lambda: "its certificate is not trusted" in str(link.statistics()["trouble"]))


async def test_over_a_unix_socket(redis: RedisServer) -> None:
    async with open_link(config(redis, path=redis.socket_path)) as (link, _):
        assert await link.call("PING") == b"PONG"


async def test_what_was_published_leaves_before_the_end(redis: RedisServer) -> None:
    async with open_link(config(redis)) as (reader, ear):
        reader.subscribe(b"a")
        await until(lambda: redis.subscribers("a") == [1])
        async with open_link(config(redis)) as (writer, _):
            for _ in range(100):
                writer.publish(b"a", b"x" * 10_000)
        await until(lambda: len(ear.messages) == 100)


async def test_who_ends_while_redis_does_not_answer_ends_soon(redis: RedisServer) -> None:
    async with open_link(config(redis, close_timeout_s=0.1)) as (link, ear):
        redis.signal(signal.SIGSTOP)
        for _ in range(100):
            link.publish(b"a", b"x" * 50_000)
        await until(lambda: link.statistics()["waiting_bytes"])
        calling = asyncio.ensure_future(link.call("INCR", "a"))
    assert (link.is_open, ear.losses) == (False, [])
    with pytest.raises(RequestLost, match="we ended it"):
        await calling
    redis.signal(signal.SIGCONT)


@pytest.mark.parametrize("end", ["close", "abandon"])
async def test_who_ends_while_it_is_let_in_does_not_open_any_more(redis: RedisServer, end: str) -> None:
    greeted: list[Callable[[], None]] = []

    class Greeted(RedisConfig, frozen=True):
        def greeted(self, reply: object, *, is_only_asked: bool = False) -> None:
            greeted.pop()()

    async with running_link(Greeted(host="127.0.0.1", port=redis.port, backoff=SOON)) as (link, ear):
        greeted.append(getattr(link, end))
        link.subscribe(b"a")
        await until(lambda: not greeted)
    assert (ear.opens, ear.losses, link.statistics()["opens"]) == (0, [], 0)
