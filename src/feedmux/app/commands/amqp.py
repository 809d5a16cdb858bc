"""``feedmux amqp replay``: publish the lines of a file to RabbitMQ, as its producers would."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import chain, repeat
from pathlib import Path
from typing import Annotated, NamedTuple, TextIO

import typer

from feedmux.app.config import Layer, load, parse_pairs
from feedmux.app.options import ConfigFile, Pairs
from feedmux.app.sources.wiring import publish
from feedmux.model.errors import InvalidSetting, LocalError

app = typer.Typer(help="Publish to RabbitMQ, for tests.", no_args_is_help=True, add_completion=False)

DEFAULTS = Layer("feedmux amqp", {"rabbitmq_host": "localhost"})


class MalformedLine(LocalError):
    """A line of a file that is no message.

    Args:
        number: which one, from 1.
    """

    code = "MALFORMED_LINE"

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number

    def __str__(self) -> str:
        return f"line {self.number} is no message; expected a routing key, a space and a body"


class Message(NamedTuple):
    """What is published."""

    key: str
    body: bytes


@app.callback()
def amqp() -> None:
    """Publish to RabbitMQ, for tests."""


@app.command()
def replay(
    file: Annotated[Path, typer.Argument(help="Lines `routing-key body`; - is standard input.")],
    *,
    every: Annotated[float, typer.Option(min=0.0, max=3600.0, help="Seconds between two messages.")] = 2.0,
    loop: Annotated[bool, typer.Option(help="Begin again at the end, until Ctrl-C.")] = False,
    config: ConfigFile = None,
    pairs: Pairs = None,
) -> None:
    """Publish each line of a file, to the exchange that a gateway with these settings listens to.

    Empty lines and those that begin with # are passed over. What has been published is counted at the end.
    """
    settings = load(pairs=parse_pairs(pairs or []), config=config, defaults=DEFAULTS)
    messages = list(_read(file))
    if not messages:
        raise InvalidSetting("FILE", str(file), "at least one line `routing-key body`")
    paced = _Paced(messages, every, is_endless=loop)
    try:
        asyncio.run(publish(settings, paced))
    finally:
        sys.stdout.write(f"{paced.count} messages were published to {settings.rabbitmq_exchange}\n")


class _Paced:
    """One message after the other, each so long after the one before."""

    def __init__(self, messages: Sequence[Message], every_s: float, *, is_endless: bool) -> None:
        self._messages, self._every_s, self._is_endless = messages, every_s, is_endless
        self.count = 0
        """How many have gone."""

    async def __aiter__(self) -> AsyncIterator[Message]:
        turns = repeat(self._messages) if self._is_endless else [self._messages]
        for message in chain.from_iterable(turns):
            if self.count:
                await asyncio.sleep(self._every_s)
            yield message
            self.count += 1


def _read(file: Path) -> Iterator[Message]:
    if str(file) == "-":
        yield from _parse(sys.stdin)
        return
    try:
        with file.open(encoding="utf-8") as lines:
            yield from _parse(lines)
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidSetting("FILE", str(file), f"a readable file of text ({error})") from error


def _parse(lines: TextIO) -> Iterator[Message]:
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if text and not text.startswith("#"):
            key, space, body = text.partition(" ")
            if not space:
                raise MalformedLine(number)
            yield Message(key, body.strip().encode())
