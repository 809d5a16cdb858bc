"""The script of leases in a real Redis, beside its specification in Python, and across a restart."""

from __future__ import annotations

import random
import re

import pytest

from feedmux.core.lease_record import SCRIPT, Act, Answer, Ask, Record, decide
from support.redis import RedisServer
from support.resp import Resp, RespError

KEY = "feedmux:lease:test"
SEEDS = range(5)


def run_of(client: Resp) -> str:
    info = client.ask("INFO", "server")
    assert isinstance(info, bytes)
    found = re.search(rb"run_id:(\w+)", info)
    assert found
    return found[1].decode()


def ask_redis(client: Resp, ask: Ask) -> Answer:
    return Answer.read(client.ask("EVAL", SCRIPT, "1", KEY, *ask.arguments()))


def stored(client: Resp) -> Record:
    """What Redis keeps, as the specification has it."""
    names = ("holder", "epoch", "until", "top", "guard", "ttl", "run", "granted")
    values = client.ask("HMGET", KEY, *names)
    assert isinstance(values, list)
    texts = [value.decode() if isinstance(value, bytes) else "" for value in values]
    assert all(text.isdecimal() or not text for text in texts[1:6]), texts
    epoch, until, top, guard, ttl = (int(text or 0) for text in texts[1:6])
    return Record(texts[0], epoch, until, top, guard, ttl, texts[6], texts[7])


@pytest.mark.parametrize("seed", SEEDS)
def test_redis_decides_as_the_specification(redis: RedisServer, seed: int) -> None:
    """The time to live is so short that leases end and guards pass while it runs."""
    dice = random.Random(seed)
    granted = set()
    with redis.client() as client:
        run = run_of(client)
        for _ in range(1500):
            before = stored(client)
            ask = Ask(
                dice.choice(list(Act)),
                dice.choice("abc") if dice.random() < 0.5 else before.holder or "a",
                dice.choice([before.epoch, before.epoch, before.epoch + dice.randint(-1, 3)]),
                dice.choice([0, before.top, before.epoch + dice.randint(0, 50)]),
                dice.randint(1, 12),
            )
            answer = ask_redis(client, ask)
            after, expected = decide(before, ask, answer.now_ms, run)
            assert answer == expected
            assert stored(client) == after
            granted.add((ask.act, answer.granted))
            match dice.randint(0, 60):
                case 0:
                    client.ask("DEL", KEY)
                case 1:
                    client.ask("HSET", KEY, "run", "another")
                case 2:
                    client.ask("HINCRBY", KEY, "until", "1000000")
                case 3:
                    client.ask("HINCRBY", KEY, "top", "40")
                case 4:
                    client.ask("HSET", KEY, "granted", "another")
    assert granted == {(act, fate) for act in Act for fate in (True, False)}


async def test_who_held_it_before_redis_was_started_again_holds_it_afterwards(redis: RedisServer) -> None:
    ttl_ms = 60_000
    with redis.client() as client:
        former = ask_redis(client, Ask(Act.RENEW, "a", 1000, 0, ttl_ms))
        assert former.granted
    redis.kill()
    await redis.restart()
    with redis.client() as client:
        assert not ask_redis(client, Ask(Act.ACQUIRE, "b", 0, 0, ttl_ms)).granted
        again = ask_redis(client, Ask(Act.RENEW, "a", 1000, 0, ttl_ms))
        assert (again.granted, again.holder, again.token) == (True, "a", 1000)
        assert not ask_redis(client, Ask(Act.ACQUIRE, "b", 0, 0, ttl_ms)).granted


def test_the_rights_that_it_needs_are_those_that_are_named(redis: RedisServer) -> None:
    rights = "+eval +evalsha +script +time +info +hmget +hset".split()
    redis.ask("ACL", "SETUSER", "node", "on", ">secret", "~feedmux:*", *rights)
    with Resp.connect(redis.port) as client:
        client.ask("AUTH", "node", "secret")
        assert ask_redis(client, Ask(Act.RENEW, "a", 1000, 0, 1000)).granted
        digest = client.ask("SCRIPT", "LOAD", SCRIPT)
        assert isinstance(digest, bytes)
        ask = Ask(Act.RELEASE, "a", 1000, 0, 1000)
        assert Answer.read(client.ask("EVALSHA", digest, "1", KEY, *ask.arguments())).granted
        for right in ("time", "info", "hmget", "hset"):
            redis.ask("ACL", "SETUSER", "node", f"-{right}")
            with pytest.raises(RespError, match=r"can't run this command|NOPERM|permissions"):
                ask_redis(client, ask)
            redis.ask("ACL", "SETUSER", "node", f"+{right}")
