"""The gateway among its rivals: behind the native venue, which makes the messages.

Its process is the one whose CPU time counts; it reads, decodes and encodes what the others make themselves.

Saturation: two ticks are under way, and each message that reached every client lets the next one go (the
venue's closed loop). Over many topics no message reaches every client, so there it has fixed rates alone.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from types import TracebackType
from typing import Any, Self

from bench.rivals.catalogue import Subject
from bench.system.gateway import Gateway, interpreter_finds_gateway
from bench.system.native import BenchError, Venue

_TICKS_UNDER_WAY = 2


class Served:
    """Venue and gateway; a context manager like the other servers.

    Args:
        name: as in the results.
        version: the gateway's.
        options: the workload, as the others are given it.
    """

    path = Gateway.path
    load_arguments: Sequence[object] = ()

    def __init__(self, name: str, version: str, options: Sequence[object]) -> None:
        self.name = name
        self.version = version
        given = dict(zip(options[::2], options[1::2], strict=True))
        self._at_random = "--topics" in given
        self._tick = 0 if self._at_random else len(str(given["--symbols"]).split(","))
        self._client_bytes = int(str(given["--client-bytes"]))
        self._open = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as opening:
            reading, self.credit = (
                os.pipe()
            )  # the load writes a byte for each message that reached every client
            opening.callback(os.close, reading)
            opening.callback(os.close, self.credit)
            order = "random" if self._at_random else "round"
            venue = Venue(client_bytes=self._client_bytes, credit=reading, arguments=["--order", order])
            self._venue = opening.enter_context(venue)
            gateway = opening.enter_context(Gateway(venue.port))
            self.port, self.pid = gateway.port, gateway.pid
            self._open = opening.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def tell(self, command: str) -> None:
        """Give the venue the command that makes the same traffic; a rate is of ticks, as with the others.

        Raises:
            BenchError: ``saturate`` over many topics.
        """
        word, _, rate = command.partition(" ")
        if word == "saturate" and self._at_random:
            raise BenchError(
                "there is no closed loop over many topics; its fixed rates say how much it takes"
            )
        if word == "saturate":
            self._venue.tell(f"window {_TICKS_UNDER_WAY * self._tick} {self._tick}")
        elif word == "rate" and not self._at_random:
            self._venue.tell(f"rate {float(rate) * self._tick:g} {self._tick}")
        else:
            self._venue.tell(command)

    def statistics(self) -> dict[str, Any]:
        """What the venue counted so far."""
        counted = self._venue.statistics()
        return {**counted, "messages": counted["sent"]}


def _version() -> str | None:
    if not interpreter_finds_gateway():
        return None
    try:
        return version("feedmux")
    except PackageNotFoundError:
        return "not installed, run from its sources"


GATEWAY = Subject("gateway", "venue in, decoded, encoded, one flush per turn", _version, Served)
"""Takes part in :mod:`bench.rivals.run` where there is a gateway to start."""
