"""The Redis that stories talk to: it is real, it can be stopped and stalled, and nothing of it is left."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import time
from pathlib import Path

import pytest

from support.debian import DebianProgram
from support.descent import is_gone
from support.redis import RedisServer, nobody
from support.resp import Resp, RespEnded, RespError
from support.running import environment
from support.waiting import until

SUPPORT = Path(__file__).parents[1]


def test_it_answers_and_carries_messages(redis: RedisServer) -> None:
    with redis.client() as publisher, Resp.connect(redis.port) as subscriber:
        assert subscriber.ask("SUBSCRIBE", "news") == [b"subscribe", b"news", 1]
        assert redis.subscribers("news", "other") == [1, 0]
        assert publisher.ask_all([("PUBLISH", "news", b"\r\n\0"), ("PING",)]) == [1, b"PONG"]
        assert subscriber.read() == [b"message", b"news", b"\r\n\0"]


def test_all_types_of_both_protocols_are_read(redis: RedisServer) -> None:
    with redis.client() as client:
        assert client.ask("GET", "nothing") is None
        hello = client.ask("HELLO", "3")
        assert isinstance(hello, dict)
        assert hello[b"proto"] == 3
        script = "redis.setresp(3); return {1, 'a', {double=1.5}, false, {map={a=1}}}"
        assert client.ask("EVAL", script, "0") == [1, b"a", 1.5, False, {b"a": 1}]
        assert client.ask("GET", "nothing") is None
        with pytest.raises(RespError, match="unknown command"):
            client.ask("NONSENSE")


async def test_it_is_stopped_and_started_on_the_same_port_and_has_forgotten_all(redis: RedisServer) -> None:
    redis.ask("SET", "a", "1")
    with redis.client() as client:
        await redis.stop()
        assert nobody(redis.port)
        with pytest.raises(RespEnded):
            client.read()
    await redis.restart()
    assert redis.ask("GET", "a") is None
    assert {path.name for path in redis.folder.iterdir()} <= {"log", "redis.conf", "socket"}


def test_connections_can_be_ended(redis: RedisServer) -> None:
    with Resp.connect(redis.port) as normal, Resp.connect(redis.port) as subscriber:
        assert normal.ask("PING") == b"PONG"
        subscriber.ask("SUBSCRIBE", "news")
        assert redis.kill_clients("pubsub") == 1
        with pytest.raises(RespEnded):
            subscriber.read()
        assert normal.ask("PING") == b"PONG"
        assert redis.kill_clients() == 1
        with pytest.raises(RespEnded):
            normal.read()


def test_it_can_be_made_to_answer_nobody(redis: RedisServer) -> None:
    with Resp.connect(redis.port) as other:
        begin = time.monotonic()
        with redis.sleep(0.2) as sleeper:
            other.send("PING")
            assert sleeper.read() == b"OK"
        assert other.read() == b"PONG"
        assert time.monotonic() - begin >= 0.2


def test_it_also_listens_at_a_path_and_speaks_tls(redis_program: DebianProgram, tmp_path: Path) -> None:
    server = RedisServer(redis_program, tmp_path / "redis", tls=True)
    try:
        server.start()
        with socket.socket(socket.AF_UNIX) as plain:
            plain.connect(server.socket_path)
            assert Resp(plain).ask("PING") == b"PONG"
        with socket.create_connection(("127.0.0.1", server.tls_port), 10) as plain:
            trusting = server.authority.trusting()
            with trusting.wrap_socket(plain, server_hostname="127.0.0.1") as secure:
                assert Resp(secure).ask("PING") == b"PONG"
    finally:
        server.kill()


def test_a_password_and_users_with_few_rights(redis_program: DebianProgram, tmp_path: Path) -> None:
    users = ("reader on >secret &news +subscribe",)
    server = RedisServer(redis_program, tmp_path / "redis", password="hidden", users=users)
    try:
        server.start()
        with Resp.connect(server.port) as client:
            with pytest.raises(RespError, match="NOAUTH"):
                client.ask("PING")
            with pytest.raises(RespError, match="WRONGPASS"):
                client.ask("AUTH", "wrong")
            assert client.ask("AUTH", "hidden") == b"OK"
            assert client.ask("AUTH", "reader", "secret") == b"OK"
            with pytest.raises(RespError, match="NOPERM"):
                client.ask("PUBLISH", "news", "x")
            with pytest.raises(RespError, match="NOPERM"):
                client.ask("SUBSCRIBE", "other")
            assert client.ask("SUBSCRIBE", "news") == [b"subscribe", b"news", 1]
    finally:
        server.kill()


async def test_it_ends_with_the_test_run_even_if_that_is_killed(
    redis_program: DebianProgram, tmp_path: Path
) -> None:
    script = (
        "import sys, time; from pathlib import Path; from support.debian import DebianProgram;"
        "from support.redis import RedisServer;"
        "server = RedisServer(DebianProgram(Path(sys.argv[1]), Path(sys.argv[2])), Path(sys.argv[3]));"
        "server.start(); print(server.pid, flush=True); time.sleep(600)"
    )
    arguments = [*map(str, redis_program), str(tmp_path / "server")]
    path = environment()["PYTHONPATH"] + f":{SUPPORT}"
    run = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, *arguments,
        env=environment({"PYTHONPATH": path}), stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert run.stdout is not None
    async with asyncio.timeout(60):
        pid = int(await run.stdout.readline())
    assert not is_gone(pid)
    run.send_signal(signal.SIGKILL)
    await run.wait()
    await until(lambda: is_gone(pid), "the server has ended")
