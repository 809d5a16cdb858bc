"""A rival under measurement: its own process on the server's core, with the C loop's manners."""

from __future__ import annotations

import resource
from collections.abc import Sequence

from bench.system.native import SERVER_CORE, Native

_START_S = 20.0


class Server(Native):
    """A server that makes its messages itself and obeys the C loop's commands.

    Args:
        name: the rival's.
        version: the rival's.
        program: what starts it; empty: the native tool of that name.
        arguments: the workload.
    """

    path = "/ws"
    load_arguments: Sequence[object] = ()

    def __init__(self, name: str, version: str, program: Sequence[str], arguments: Sequence[object]) -> None:
        allow_many_clients()
        super().__init__(name, arguments, core=SERVER_CORE, program=program)
        self.version = version
        try:
            self.port: int = self.line(_START_S)["port"]
        except BaseException:
            self.end()
            raise


def allow_many_clients() -> None:
    """Raise what this process and its children may have open: not every rival does it for itself."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
