"""Write settings as text: a TOML file, an environment file, the reference page."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

from pydantic.fields import FieldInfo

from feedmux.app import rbac
from feedmux.app.config import expected, plain
from feedmux.app.secret import MASK, Secret
from feedmux.app.section import note
from feedmux.app.settings import SECTIONS, Settings

REFERENCE_HEAD = """# Settings

This page is written by `feedmux config print --format markdown`; the declarations are in
`src/feedmux/app/settings.py`.

A setting is looked up in these places, the strongest first:

1. the command line: a flag of its own where the command has one, else `--set NAME=VALUE`;
2. the environment;
3. `.env` in the working directory;
4. a TOML file: `--config FILE`, else `feedmux.toml` in the working directory;
5. the default.

Names are the same everywhere and may be written in any case (`PORT`, `port`). An unknown name is an
error on the command line and in the TOML file, and the message names the nearest setting; in the
environment and in `.env` it is ignored, and so is an empty value. Truth values are written `true` or
`false`; `on`, `off`, `yes`, `no`, `1` and `0` are understood. A list is separated by commas (in TOML it
may be an array). `feedmux config check` names everything that is wrong at once and exits with 2.

Settings that are accepted but do nothing say so in one log line at start, if they were set.
"""

TABLE_HEAD = "| name | default | unit | values | what it does |\n|---|---|---|---|---|\n"

REFERENCE_TAIL = """
## Which Bybit URL is used

| `BYBIT_WS_URL` points to | used |
|---|---|
| a Bybit domain (`bybit.com`, `bybit.tr`, `bybit.id`, `bybit.kz`, `bybitgeorgia.ge`, `manepa.jp`) | \
`wss://stream.<domain>/v5/public/<market>`, or `wss://stream-testnet.bybit.com/v5/public/<market>` with \
`BYBIT_TESTNET=true`; one log line says so when that differs from `BYBIT_WS_URL` |
| any other host, ending in `/linear`, `/spot` or `/inverse` | that URL, with the market as its last segment |
| any other host | that URL as it is |

## How log lines look

`LOG_JSON=true` writes JSON, `false` writes lines for people, `auto` writes JSON if `ENVIRONMENT` is
`production` and stderr is not a terminal. All lines go to stderr. A JSON line has `timestamp`, `level`,
`logger`, `message`, then `exception` if there is one, then the fields of the event.
"""


def as_toml(settings: Settings) -> str:
    """Return a TOML file that gives these settings; defaults and secrets are commented out."""
    return "\n".join(_lines(settings, lambda name, value: f"{name} = {_toml(value)}"))


def as_env(settings: Settings) -> str:
    """Return an environment file that gives these settings; defaults and secrets are commented out."""
    return "\n".join(_lines(settings, lambda name, value: f"{name.upper()}={plain(value)}"))


def as_markdown() -> str:
    """Return the reference page of all settings."""
    parts = [REFERENCE_HEAD]
    for section in SECTIONS:
        parts.append(f"\n## {section.__doc__}\n\n{TABLE_HEAD}")
        parts += [_row(name, field) for name, field in section.model_fields.items()]
    return "".join([*parts, REFERENCE_TAIL])


def write_reference(path: Path) -> None:
    """Write the reference page to ``path``, docs/reference/config.md as a rule."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(as_markdown(), "utf-8")


def shown(name: str, settings: Settings) -> str:
    """Return a setting's value as people write it; a secret that is set is ``***``."""
    value = getattr(settings, name)
    return (MASK if value else "") if isinstance(value, Secret) else plain(value)


def title(name: str) -> str:
    """Return a setting's name as pages show it."""
    return rbac.TITLE if name == rbac.FIELD else name.upper()


def _row(name: str, field: FieldInfo) -> str:
    default = shown(name, Settings())
    value = f"`{default}`" if default else ""
    cells = (f"`{title(name)}`", value, note(field, "unit"), expected(field), field.description or "")
    return "| " + " | ".join(cells) + " |\n"


def _lines(settings: Settings, assign: Callable[[str, object], str]) -> Iterator[str]:
    defaults = Settings()
    for section in SECTIONS:
        yield f"# {section.__doc__}"
        for name in section.model_fields:
            value = getattr(settings, name)
            if isinstance(value, dict):
                grants = [assign(rbac.BEGINNING + prefix, roles) for prefix, roles in value.items()]
                yield from grants or [f"# {assign(rbac.TITLE.lower(), ())}"]
                continue
            is_secret = isinstance(value, Secret)
            line = assign(name, shown(name, settings) if is_secret else value)
            yield line if value != getattr(defaults, name) and not is_secret else f"# {line}"
        yield ""


def _toml(value: object) -> str:
    if value is None:
        return '"auto"'
    return json.dumps(list(value) if isinstance(value, tuple) else value)
