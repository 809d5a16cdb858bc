"""The RabbitMQ that stories talk to: it is real, it can be stopped, and nothing of it is left."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from support.debian import DebianProgram
from support.rabbitmq import NotReached, Publisher, RabbitServer
from support.running import environment
from support.waiting import until

SUPPORT = Path(__file__).parents[1]


def test_what_is_published_is_routed_and_a_queue_can_be_deleted(
    rabbitmq: RabbitServer, exchange: str
) -> None:
    with Publisher(rabbitmq.port, exchange) as publisher:
        publisher.channel.queue_declare("mine", exclusive=True)
        publisher.channel.queue_bind("mine", exchange, "public.#")
        publisher.say("public.eurusd.trades", b"{}")
        publisher.say("private.U1.order", b"{}")
        assert publisher.channel.basic_get("mine", auto_ack=True)[2] == b"{}"
        assert rabbitmq.queues(exchange) == {"mine": {"messages": 0, "consumers": 0}}
        rabbitmq.delete_queue("mine")
        assert rabbitmq.queues(exchange) == {}


async def test_it_is_stopped_and_started_on_the_same_port(own_rabbitmq: RabbitServer) -> None:
    Publisher(own_rabbitmq.port).close()
    await own_rabbitmq.stop()
    with pytest.raises(NotReached):
        Publisher(own_rabbitmq.port)
    await own_rabbitmq.restart()
    Publisher(own_rabbitmq.port).close()


async def test_it_ends_with_the_test_run_even_if_that_is_killed(
    rabbitmq_program: DebianProgram, tmp_path: Path
) -> None:
    script = (
        "import sys, time; from pathlib import Path; from support.debian import DebianProgram;"
        "from support.rabbitmq import RabbitServer;"
        "server = RabbitServer(DebianProgram(Path(sys.argv[1]), Path(sys.argv[2])), Path(sys.argv[3]));"
        "server.start(); print(*server.pids, flush=True); time.sleep(600)"
    )
    arguments = [*map(str, rabbitmq_program), str(tmp_path / "server")]
    path = environment()["PYTHONPATH"] + f":{SUPPORT}"
    run = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        script,
        *arguments,
        env=environment({"PYTHONPATH": path}),
        stdout=asyncio.subprocess.PIPE,
    )
    assert run.stdout is not None
    async with asyncio.timeout(60):
        pids = [int(pid) for pid in (await run.stdout.readline()).split()]
    assert [is_running(pid) for pid in pids] == [True, True]
    run.send_signal(signal.SIGKILL)
    await run.wait()
    await until(lambda: not any(map(is_running, pids)), "the server has ended")


def is_running(pid: int) -> bool:
    """Whether there is such a process, and it is no dead one that nobody has buried."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
