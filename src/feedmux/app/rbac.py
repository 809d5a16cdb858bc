"""Which roles open which prefixes: settings whose names are not known beforehand.

``RANGO_RBAC_<PREFIX>=role,role`` stands for itself in the environment and in ``.env``; in a TOML file and
after ``--set`` the same names are meant, in any case. In a source they are folded into the one setting
``rango_rbac``, prefix to roles; of several sources that name a prefix the strongest decides about it.

**Source**: Rango's README, "RBAC"; there, too, names after the prefix are put into small letters.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from feedmux.model.errors import InvalidSetting

FIELD: Final = "rango_rbac"
BEGINNING: Final = FIELD + "_"
TITLE: Final = "RANGO_RBAC_<PREFIX>"

_PREFIX: Final = re.compile(r"[a-z0-9_-]{1,64}")
_SCOPES: Final = ("public", "global", "private")
"""First words of routing keys that are no prefixes."""
_RIGHT_PREFIX: Final = (
    "a prefix of 1 to 64 of a-z, 0-9, _ and - at the end of the name, none of " + ", ".join(_SCOPES)
)
_RIGHT_ROLES: Final = "names of roles, separated by commas"

Roles = dict[str, tuple[str, ...]]
"""Prefix to the roles that open it."""


class Source(Protocol):
    """Where settings stand: a :class:`feedmux.app.config.Layer`."""

    @property
    def values(self) -> Mapping[str, Any]:
        """Setting to value, unchecked."""

    def place(self, name: str) -> str:
        """Where a setting is to be corrected."""


def attribute(name: str) -> str:
    """Return what a name means, in small letters; behind the beginning a hyphen stays one."""
    small = name.strip().lower()
    plain = small.replace("-", "_")
    return BEGINNING + small[len(BEGINNING) :] if plain.startswith(BEGINNING) else plain


def named(variables: Mapping[str, str | None]) -> dict[str, str]:
    """Return those of an environment's variables that open prefixes; what is empty is not set."""
    lowered = ((name.lower(), value) for name, value in variables.items())
    return {name: value for name, value in lowered if name.startswith(BEGINNING) and value}


def folded(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a source's settings with those that open prefixes put together, by prefix."""
    mine = {name: value for name, value in values.items() if name.startswith(BEGINNING)}
    rest = {name: value for name, value in values.items() if name not in mine}
    if not mine:
        return rest
    whole = rest.get(FIELD)
    before = whole if isinstance(whole, Mapping) else {}
    return {**rest, FIELD: {**before, **{name[len(BEGINNING) :]: value for name, value in mine.items()}}}


def read(sources: Sequence[Source]) -> tuple[Roles, list[InvalidSetting]]:
    """Put the sources together, and say what is wrong in any of them.

    Args:
        sources: folded ones, the strongest first.

    Returns:
        what is right, and one problem for each prefix that is not.
    """
    roles: Roles = {}
    problems: list[InvalidSetting] = []
    for source in reversed(sources):
        found = source.values.get(FIELD, {})
        if not isinstance(found, Mapping):
            problems.append(InvalidSetting(source.place(FIELD), found, f"names like {TITLE}"))
            continue
        for prefix, value in found.items():
            names = _names(value)
            where = source.place(BEGINNING + prefix)
            if not _PREFIX.fullmatch(prefix) or prefix in _SCOPES:
                problems.append(InvalidSetting(where, prefix, _RIGHT_PREFIX))
            elif not names:
                problems.append(InvalidSetting(where, value, _RIGHT_ROLES))
            else:
                roles[prefix] = names
    return roles, problems


def text(roles: Mapping[str, Sequence[str]]) -> str:
    """Write all of it in one line, for people."""
    return "; ".join(f"{prefix}={','.join(names)}" for prefix, names in roles.items())


def _names(value: object) -> tuple[str, ...]:
    """The roles in a value; none when it is not one."""
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, Sequence) or not all(isinstance(part, str) for part in parts):
        return ()
    return tuple(dict.fromkeys(part.strip() for part in parts if part.strip()))
