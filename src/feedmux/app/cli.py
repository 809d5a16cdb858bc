"""The command line: dispatch only. A command's module is imported when the command runs."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from importlib import import_module
from typing import Any, Final, NamedTuple, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup

from feedmux import __version__
from feedmux.model.errors import FeedmuxError, LocalError


class Entry(NamedTuple):
    """A command: the module that has it, and its line in ``--help``.

    The module offers ``app``, a Typer with subcommands, or a function of the command's name.
    """

    module: str
    summary: str


COMMANDS: Final = {
    "serve": Entry("feedmux.app.commands.serve", "Run the gateway."),
    "rango": Entry("feedmux.app.commands.rango", "Run the gateway in the place of Rango's program."),
    "demo": Entry(
        "feedmux.app.commands.demo", "See it work: a simulated venue, the gateway and a live table."
    ),
    "tail": Entry("feedmux.app.commands.tail", "Follow streams of a gateway in the terminal."),
    "sim": Entry("feedmux.app.commands.sim", "Run a simulated venue."),
    "bench": Entry("feedmux.app.commands.bench", "Load a gateway with clients and measure it."),
    "token": Entry("feedmux.app.commands.token", "Make tokens for tests, and look into tokens."),
    "amqp": Entry("feedmux.app.commands.amqp", "Publish to RabbitMQ, for tests."),
    "cluster": Entry("feedmux.app.commands.cluster", "See the nodes that share venues' connections."),
    "share": Entry("feedmux.app.commands.share", "Share WebSockets among the programs of one user."),
    "config": Entry("feedmux.app.commands.config", "Show and check the settings."),
}


class LazyGroup(TyperGroup):
    """A group that knows its commands by name and imports only the one that runs."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        for name, entry in COMMANDS.items():
            self.commands[name] = TyperCommand(name, callback=None, help=entry.summary)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Put the real command in place of its summary, then resolve as usual."""
        if args and args[0] in COMMANDS:
            self.commands[args[0]] = load_command(args[0])
        return super().resolve_command(ctx, args)


def load_command(name: str) -> Any:
    """Import a command's module and return the command that typer makes of it."""
    module = import_module(COMMANDS[name].module)
    group = getattr(module, "app", None)
    if group is None:
        group = typer.Typer(add_completion=False)
        group.command(name)(getattr(module, name))
    command = typer.main.get_command(group)
    command.name = name
    return command


app = typer.Typer(cls=LazyGroup, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


def _version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"feedmux {__version__}\n")
        raise typer.Exit


@app.callback()
def feedmux(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version."
    ),
) -> None:
    """One connection to each market-data source, served to any number of consumers."""


def main() -> NoReturn:
    """Run the command that ``sys.argv`` names and exit.

    Exit codes: 0 done, 1 it failed, 2 it was asked for something that cannot be, 70 a defect of
    ours, 130 interrupted.
    An error of ours is one sentence on stderr; a traceback is a defect.
    """
    try:
        app(prog_name="feedmux")
    except FeedmuxError as error:
        sys.stderr.write("".join(f"feedmux: {line}\n" for line in str(error).splitlines()))
        sys.exit(2 if isinstance(error, LocalError) else 1)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:  # noqa: BLE001 - the outermost edge of the program
        _report_defect(error)
        sys.exit(70)
    sys.exit(0)


def _report_defect(error: Exception) -> None:
    """Log what should never happen with its traceback; without a log, say it in one sentence."""
    log = logging.getLogger("feedmux")
    if log.hasHandlers():
        log.critical("this is a defect of feedmux", exc_info=error)
    elif os.environ.get("FEEDMUX_TRACEBACK"):
        traceback.print_exception(error)
    else:
        sys.stderr.write(
            f"feedmux: this is a defect of feedmux: {type(error).__name__}: {error}\n"
            "feedmux: please report it with what FEEDMUX_TRACEBACK=1 shows\n"
        )
