"""Declare the command-line options that more than one command takes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config", help="TOML file with settings; default: feedmux.toml, if it is here.", show_default=False
    ),
]
Pairs = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Set one setting; repeatable.", show_default=False),
]
