"""``feedmux tail``: follow streams, as a live table in a terminal, as JSON lines in a pipe."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import ssl
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Annotated, Any, Final, Protocol

import msgspec
import typer
from rich.console import Console
from rich.live import Live

from feedmux.app.table import PriceTable
from feedmux.client.clock import SystemClock
from feedmux.client.subscriber import Message, Subscriber
from feedmux.model.errors import FeedmuxError, InvalidSetting, Refused

FRAMES_PER_SECOND: Final = 8


class Display(Protocol):
    """Where a followed stream is shown."""

    def data(self, message: Message, text: bytes, /) -> None:
        """Show a message of a stream; raises BrokenPipeError when nobody looks any more."""

    def answer(self, message: Message, /) -> None:
        """Show what is worth showing of an answer."""

    def note(self, text: str, *, good: bool = False) -> None:
        """Show how the connection is."""

    def warn(self, text: str, /) -> None:
        """Show what went wrong."""


class Lines:
    """JSON lines on stdout, everything else on stderr."""

    def __init__(self) -> None:
        self._was_down = False

    def data(self, message: Message, text: bytes) -> None:
        """Write the message as it came, in one line, at once."""
        line = text if b"\n" not in text else msgspec.json.encode(message)
        sys.stdout.buffer.write(line + b"\n")
        sys.stdout.buffer.flush()

    def answer(self, message: Message) -> None:
        """Name rejected args and errors."""
        for rejected in message.get("rejected") or ():
            self.warn(f"{rejected.get('arg')} was rejected: {rejected.get('reason')}")
        if message.get("op") == "error":
            self.warn(f"{message.get('code')}: {message.get('message')}")

    def note(self, text: str, *, good: bool = False) -> None:
        """Write bad news, and good news after bad; else that all is well shows in the data."""
        if not good or self._was_down:
            self.warn(text)
        self._was_down = not good

    def warn(self, text: str) -> None:
        """Write one line."""
        sys.stderr.write(f"feedmux: {text}\n")


class Screen(PriceTable):
    """The live table."""

    def data(self, message: Message, _text: bytes) -> None:
        """Show a message of a stream."""
        self.update(message)

    def answer(self, message: Message) -> None:
        """Show rejected args and errors."""
        self.update(message)


class Follower:
    """Read a subscriber until there is a reason to stop.

    Args:
        display: where messages are shown.
        limit: stop after so many messages; None never.
        with_status: show status messages.
    """

    def __init__(self, display: Display, *, limit: int | None, with_status: bool) -> None:
        self._display = display
        self._left = limit
        self._with_status = with_status
        self._was_accepted = False
        self.failure: FeedmuxError | None = None
        self.stop: Callable[[], None] = _nothing

    def connected(self) -> None:
        """Say so."""
        self._display.note("connected", good=True)

    def disconnected(self, reason: str) -> None:
        """Say nothing: if it was not us, ``retrying`` follows and says more."""

    def retrying(self, reason: str, wait_s: float) -> None:
        """Say why and when."""
        self._display.note(f"{reason}; next attempt in {wait_s:.1f} s")

    def take(self, message: Message, text: bytes) -> None:
        """Show a message, and stop when it was the last one that was wanted."""
        if "stream" not in message:
            self._answer(message)
        elif self._with_status or message.get("type") != "status":
            self._show(message, text)

    def _show(self, message: Message, text: bytes) -> None:
        if self._left == 0:
            return
        try:
            self._display.data(message, text)
        except BrokenPipeError:
            _forget_stdout()
            self._left = 0
            self.stop()
            return
        if self._left is not None:
            self._left -= 1
            if self._left == 0:
                self.stop()

    def _answer(self, message: Message) -> None:
        if message.get("op") == "subscribe" and message.get("success"):
            self._was_accepted = True
        elif not self._was_accepted and (refusal := _refusal(message)) is not None:
            self.failure = refusal
            self.stop()
            return
        self._display.answer(message)


class Notes(logging.Handler):
    """Show log records of level ERROR: defects, which must not get lost behind the table."""

    def __init__(self, display: Display) -> None:
        super().__init__(logging.ERROR)
        self._display = display

    def emit(self, record: logging.LogRecord) -> None:
        """Show the record in one line."""
        error = record.exc_info[1] if record.exc_info else None
        self._display.warn(record.getMessage() + (f" ({error!r})" if error else ""))


def tail(
    args: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="STREAM...",
            help="e.g. ticker:BTCUSDT kline:1h:ETHUSDT trade:SOLUSDT",
            show_default="ticker:BTCUSDT",
        ),
    ] = None,
    *,
    url: Annotated[str, typer.Option(help="Where the gateway is.")] = "ws://127.0.0.1:8000/ws",
    seconds: Annotated[
        float | None, typer.Option(help="Stop after so many seconds.", min=0, show_default=False)
    ] = None,
    count: Annotated[
        int | None, typer.Option(help="Stop after so many messages.", min=1, show_default=False)
    ] = None,
    ca: Annotated[
        Path | None,
        typer.Option(
            help="PEM file of the authority that a wss gateway is checked against.",
            show_default="the system's",
        ),
    ] = None,
    status: Annotated[bool, typer.Option("--status/--no-status", help="Show status messages.")] = True,
) -> None:
    """Follow streams of a gateway: a live table in a terminal, JSON lines in a pipe.

    A connection that fails is tried again for ever, with growing waits; streams are asked for again.
    Only a gateway that closes it with a code from 4500 to 4999 is not asked again.
    """
    display = Screen(url, SystemClock()) if sys.stdout.isatty() else Lines()
    follower = Follower(display, limit=count, with_status=status)
    subscriber = Subscriber(
        url, args or ["ticker:BTCUSDT"], follower, ssl=None if ca is None else _trusting(ca)
    )
    follower.stop = subscriber.close
    _show_defects(display)
    try:
        asyncio.run(_follow(subscriber, follower, display, seconds))
    finally:
        if isinstance(display, Screen):
            Console().print(display)
    if follower.failure is not None:
        raise follower.failure


async def _follow(
    subscriber: Subscriber, follower: Follower, display: Display, seconds: float | None
) -> None:
    """Run the subscriber, draw beside it, and leave the terminal as it was."""
    loop = asyncio.get_running_loop()
    timer = None if seconds is None else loop.call_later(seconds, subscriber.close)
    try:
        with _drawn(display) as live:
            async with asyncio.TaskGroup() as group:
                drawing = None if live is None else group.create_task(_draw(live))
                try:
                    await subscriber.run()
                except Refused as refusal:
                    follower.failure = refusal
                if drawing is not None:
                    drawing.cancel()
    finally:
        if timer is not None:
            timer.cancel()


def _drawn(display: Display) -> AbstractContextManager[Live | None]:
    if not isinstance(display, Screen):
        return nullcontext()
    return Live(display, console=Console(), screen=True, auto_refresh=False, redirect_stderr=False)


async def _draw(live: Live) -> None:
    """Redraw a few times a second, and at once when the terminal changes its size."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGWINCH, live.refresh)
    try:
        while True:
            live.refresh()
            await asyncio.sleep(1 / FRAMES_PER_SECOND)
    finally:
        loop.remove_signal_handler(signal.SIGWINCH)


def _refusal(message: Message) -> Refused | None:
    """Return why a whole request was turned down; None when it was not."""
    if message.get("op") == "error":
        return Refused("the subscription", f"{message.get('message')} ({message.get('code')})")
    rejected: list[dict[str, Any]] = message.get("rejected") or []
    if message.get("op") != "subscribe" or not rejected:
        return None
    what = ", ".join(str(one.get("arg")) for one in rejected)
    return Refused(what, "; ".join(dict.fromkeys(str(one.get("reason")) for one in rejected)))


def _trusting(ca: Path) -> ssl.SSLContext:
    """Check servers against one authority, and nobody else's word."""
    try:
        return ssl.create_default_context(cafile=str(ca))
    except OSError as error:  # an ssl.SSLError, too: then the file is there and holds none
        reason = "is no certificate in PEM format" if isinstance(error, ssl.SSLError) else error.strerror
        raise InvalidSetting("--ca", str(ca), f"the PEM file of a certificate ({reason})") from None


def _show_defects(display: Display) -> None:
    log = logging.getLogger("feedmux")
    log.addHandler(Notes(display))
    log.propagate = False


def _forget_stdout() -> None:
    """Keep the interpreter from writing to the broken pipe when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _nothing() -> None:
    """Stop nothing: no subscriber runs yet."""
