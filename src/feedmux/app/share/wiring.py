"""Put a broker together and run it; as light as can be, because somebody waits for it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import Final

from feedmux.model.errors import FeedmuxError, LocalError
from feedmux.share.broker import Broker
from feedmux.share.config import ShareConfig
from feedmux.share.door import claim
from feedmux.wire.local_address import DEFAULT_NAME, NAME_VARIABLE

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def run(**options: object) -> bool:
    """Be the broker until nobody needs it, or until a signal.

    Args:
        options: those of :class:`feedmux.share.config.ShareConfig`.

    Returns:
        Whether it was; False: there is one already.

    Raises:
        InvalidSetting: an option is outside its range.
        ForeignBroker: another user holds the place.
    """
    config = ShareConfig(**options)  # type: ignore[arg-type]  # it checks them itself
    listener = claim(config.name)
    if listener is None:
        return False
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve(config, listener))
    return True


def main(options: dict[str, str | float | int]) -> int:
    """Run as a program whose options were recognised at once; returns the exit code."""
    options.setdefault("name", os.environ.get(NAME_VARIABLE) or DEFAULT_NAME)
    try:
        is_ours = run(**options)
    except FeedmuxError as error:
        sys.stderr.write(f"feedmux: {error}\n")
        return 2 if isinstance(error, LocalError) else 1
    if not is_ours:
        sys.stderr.write(f"feedmux: {already(str(options['name']))}\n")
    return 0


def already(name: str) -> str:
    """Say that there is a broker."""
    return f"a broker {name!r} is there already"


async def _serve(config: ShareConfig, listener: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    broker = Broker(config, listener)
    for number in _SIGNALS:
        loop.add_signal_handler(number, broker.stop, f"signal {number}")
    await broker.run()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop
