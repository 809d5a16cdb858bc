"""``feedmux amqp replay``: lines of a file become messages of a real RabbitMQ."""

from __future__ import annotations

import json
from pathlib import Path

import pika
import pytest

from support.processes import Stage
from support.rabbitmq import RabbitServer

LINES = """
# what peatio publishes
public.eurusd.trades {"trades":[{"tid":1,"price":"1.50"}]}

private.ID1.order   {"id":9007199254740993, "state":"wait"}
"""


def listener(server: RabbitServer, exchange: str) -> tuple[pika.BlockingConnection, str]:
    """A queue that gets everything."""
    connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", server.port))
    channel = connection.channel()
    channel.exchange_declare(exchange, "topic")
    queue = channel.queue_declare("", exclusive=True).method.queue
    channel.queue_bind(queue, exchange, "#")
    return connection, queue


@pytest.mark.parametrize("options", [(), ("--every", "0")])
async def test_every_line_is_published_once_and_in_order(
    stage: Stage, tmp_path: Path, rabbitmq: RabbitServer, exchange: str, options: tuple[str, ...]
) -> None:
    connection, queue = listener(rabbitmq, exchange)
    (tmp_path / "messages").write_text(LINES)
    env = {"RABBITMQ_PORT": str(rabbitmq.port), "RABBITMQ_EXCHANGE": exchange}
    running = await stage.run("amqp", "replay", "messages", *options, env=env, cwd=str(tmp_path))
    assert await running.end() == 0
    assert running.stdout == [f"2 messages were published to {exchange}"]
    got = [connection.channel().basic_get(queue, auto_ack=True) for _ in range(3)]
    connection.close()
    assert [method.routing_key for method, _, _ in got[:2]] == ["public.eurusd.trades", "private.ID1.order"]
    assert json.loads(got[0][2])["trades"][0]["price"] == "1.50"
    assert got[1][2] == b'{"id":9007199254740993, "state":"wait"}'
    assert got[2][0] is None


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("public.eurusd.trades", "line 1 is no message; expected a routing key, a space and a body"),
        ("# nothing\n", "FILE: 'messages' does not work; expected at least one line `routing-key body`"),
    ],
)
async def test_a_file_without_messages_is_named(
    stage: Stage, tmp_path: Path, content: str, said: str
) -> None:
    (tmp_path / "messages").write_text(content)
    running = await stage.run("amqp", "replay", "messages", cwd=str(tmp_path))
    assert await running.end() == 2
    assert running.text.splitlines() == [f"feedmux: {said}"]


async def test_a_rabbitmq_that_is_not_there_is_named(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "messages").write_text("public.a.b {}\n")
    env = {"RABBITMQ_HOST": "127.0.0.1", "RABBITMQ_PORT": "9"}
    running = await stage.run("amqp", "replay", "messages", env=env, cwd=str(tmp_path))
    assert await running.end() == 1
    assert "amqp://127.0.0.1:9" in running.text
    assert "Traceback" not in running.text
