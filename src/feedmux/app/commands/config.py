"""``feedmux config``: show the settings in force, or say whether they can work."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

import typer

from feedmux.app.config import Layer, build, notices, origin, parse_pairs, read_layers
from feedmux.app.config_text import as_env, as_markdown, as_toml, shown, title
from feedmux.app.options import ConfigFile, Pairs
from feedmux.app.section import note
from feedmux.app.settings import SECTIONS, Settings
from feedmux.app.wiring import check_files

app = typer.Typer(help="Show and check the settings.", no_args_is_help=True, add_completion=False)


class Format(StrEnum):
    """How ``config print`` writes."""

    TABLE = "table"
    TOML = "toml"
    ENV = "env"
    MARKDOWN = "markdown"


@app.command("print")
def print_(
    config: ConfigFile = None,
    pairs: Pairs = None,
    form: Annotated[Format, typer.Option("--format", help="How to write it.")] = Format.TABLE,
) -> None:
    """Print the settings in force; secrets are masked. `markdown` prints the reference page."""
    if form is Format.MARKDOWN:
        sys.stdout.write(as_markdown())
        return
    layers = read_layers(pairs=parse_pairs(pairs or []), config=config)
    settings = build(layers)
    if form is Format.TABLE:
        _print_table(settings, layers)
    else:
        sys.stdout.write(as_toml(settings) if form is Format.TOML else as_env(settings))


@app.command()
def check(config: ConfigFile = None, pairs: Pairs = None) -> None:
    """Say whether the settings can work; exit with 2 and name every problem if they cannot."""
    layers = read_layers(pairs=parse_pairs(pairs or []), config=config)
    settings = build(layers)
    check_files(settings)
    for line in notices(settings):
        sys.stdout.write(f"note: {line}\n")
    origins = ", ".join(layer.origin for layer in layers if layer.values) or "defaults only"
    sys.stdout.write(f"The configuration works: {len(settings.model_fields_set)} settings set ({origins}).\n")


def _print_table(settings: Settings, layers: Sequence[Layer]) -> None:
    """Draw the settings; whoever reads a pipe gets whole lines, however long."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 200)
    wide = console.width >= 130
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("setting", "value", "unit", "from", *(["what it does"] if wide else [])):
        table.add_column(name, overflow="fold", no_wrap=name == "setting")
    for section in SECTIONS:
        table.add_row(f"[bold]{section.__doc__}[/bold]")
        for name, field in section.model_fields.items():
            layer = origin(layers, name)
            cells = [title(name), shown(name, settings), note(field, "unit"), layer.origin if layer else ""]
            about = [field.description or ""] if wide else []
            table.add_row(*cells, *about, style="" if layer else "dim")
    console.print(table, markup=True)
