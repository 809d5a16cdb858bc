"""The paths on which Rango's clients connect.

Rango looks at a token on ``/private`` alone; everywhere else, ``/private/`` included, one that does not
hold makes a client anonymous. Here a path with a slash at its end is the same path, and such a token
is refused wherever it is shown (:mod:`feedmux.edge.gate`).
"""

from __future__ import annotations

from typing import NamedTuple

from feedmux.core.origin import Origins
from feedmux.edge.endpoint import Endpoint
from feedmux.edge.gate import Gate, Identify, Serve


class Paths(NamedTuple):
    """What serves which path; the fields are parameters of :class:`feedmux.edge.house.House`."""

    endpoints: dict[str, Endpoint]
    catch_all: Endpoint | None = None


def rango_paths(
    serve: Serve,
    *,
    origins: Origins,
    identify: Identify | None,
    max_message_bytes: int,
    is_everywhere: bool,
) -> Paths:
    """Serve Rango's clients where they connect.

    Args:
        serve: how those are served who are let in.
        origins: whose pages may.
        identify: says who a client is; None: there is no key, all are anonymous, and nobody gets
            into ``/private``.
        max_message_bytes: one message of a client; more is closed with 1009.
        is_everywhere: whether they are served on paths without a meaning too, as by Rango.
    """
    public = Gate(serve, origins=origins, identify=identify, max_message_bytes=max_message_bytes)
    private = Gate(
        serve, origins=origins, identify=identify, is_private=True, max_message_bytes=max_message_bytes
    )
    endpoints: dict[str, Endpoint] = {
        "/public": public,
        "/public/": public,
        "/private": private,
        "/private/": private,
    }
    if not is_everywhere:
        return Paths(endpoints)
    return Paths({**endpoints, "/": public}, public)  # a plain page may be there, which would win
