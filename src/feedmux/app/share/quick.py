"""Recognise a command line that starts a broker, without what reads all others.

A client that finds no broker starts one and waits for it: what the command line's library takes to load
would be part of its first message's time.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

Options = dict[str, str | float | int]

OPTIONS: Final = {
    "--name": ("name", str),
    "--linger": ("linger_s", float),
    "--ring-bytes": ("ring_bytes", int),
    "--beat": ("beat_s", float),
    "--dead": ("dead_s", float),
    "--client-dead": ("client_dead_s", float),
}


def quick_options(arguments: Sequence[str]) -> Options | None:
    """Read the arguments of ``feedmux``.

    Returns:
        The broker's options, if the arguments are ``share`` and options with their values and nothing
        else; None: whatever this is, it has time.
    """
    if not arguments or arguments[0] != "share":
        return None
    found: Options = {}
    rest = list(arguments[1:])
    while rest:
        option, is_joined, value = rest.pop(0).partition("=")
        if option not in OPTIONS or not (is_joined or rest):
            return None
        name, kind = OPTIONS[option]
        with suppress(ValueError):
            found[name] = kind(value if is_joined else rest.pop(0))
            continue
        return None
    return found
