"""Settings on their way to a child process: checked by its parent, plain values for the child.

A child does not load what reads and checks settings: that takes longer than all else that it does before
it serves, and whoever waits for it waits for that too. What it is given has the same attributes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import msgspec

from feedmux.app.secret import Secret

if TYPE_CHECKING:
    from feedmux.app.settings import Settings

_SECRET = "a secret!"  # noqa: S105 - the word that marks one, and is no name in any mapping


def pack(settings: Settings) -> dict[str, Any]:
    """Return every setting as a value that JSON has, secrets revealed: for our own processes only."""
    values = settings.model_dump()
    return {name: {_SECRET: v.reveal()} if isinstance(v, Secret) else v for name, v in values.items()}


def unpack(values: dict[str, Any]) -> Settings:
    """Return what was packed; frozen, and as right as it was: nothing is checked again."""
    made = msgspec.defstruct("Settings", list(values), frozen=True)
    return cast("Settings", made(**{name: _unpacked(value) for name, value in values.items()}))


def _unpacked(value: Any) -> Any:
    if isinstance(value, dict):
        return Secret(value[_SECRET]) if _SECRET in value else {k: _unpacked(v) for k, v in value.items()}
    return tuple(value) if isinstance(value, list) else value
