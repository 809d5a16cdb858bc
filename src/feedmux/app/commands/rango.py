"""``feedmux rango``: the gateway in the place of Rango's program."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from feedmux.app import log, node
from feedmux.app.config import Layer, load, notices, parse_pairs
from feedmux.app.options import ConfigFile, Pairs
from feedmux.app.settings import Settings
from feedmux.model.errors import InvalidSetting

_LOG = logging.getLogger("feedmux.rango")

KEY_FILE: Final = Path("config/ed25519-key.pub")
"""Where Rango looks for its key."""
DEFAULTS: Final = Layer(
    "feedmux rango",
    {
        "dialect": "rango",
        "venues": (),
        "rabbitmq_host": "localhost",
        "metrics_port": 4242,
        "brand": "rango",
        "max_subscriptions_per_client": 1000,
    },
)


def rango(
    *,
    ws_addr: Annotated[
        str | None,
        typer.Option("-ws-addr", "--ws-addr", help="Where to listen, host:port.", show_default=False),
    ] = None,
    amqp_addr: Annotated[
        str | None,
        typer.Option("-amqp-addr", "--amqp-addr", help="Where RabbitMQ is, amqp://…", show_default=False),
    ] = None,
    public_key: Annotated[
        Path | None,
        typer.Option(
            "-pubKey",
            "--pub-key",
            help=f"File of the public key of tokens; {KEY_FILE} if it is there.",
            show_default=False,
        ),
    ] = None,
    exchange: Annotated[
        str | None,
        typer.Option("-exchange", "--exchange", help="The exchange to listen to.", show_default=False),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="How many processes serve clients.", show_default=False)
    ] = None,
    config: ConfigFile = None,
    pairs: Pairs = None,
) -> None:
    """Serve RabbitMQ's streams as Rango does: its environment, its flags, its protocol, its port."""
    host, port = _address(ws_addr) if ws_addr is not None else (None, None)
    flags = {"host": host, "port": port, "rabbitmq_url": amqp_addr, "rabbitmq_exchange": exchange}

    def read() -> Settings:
        given = parse_pairs(pairs or [])
        return load({**flags, "workers": workers}, pairs=given, config=config, defaults=DEFAULTS)

    _run(read, listens_elsewhere=ws_addr is not None, public_key=public_key)


def _run(read: Callable[[], Settings], *, listens_elsewhere: bool, public_key: Path | None) -> None:
    settings = read()
    place = {} if listens_elsewhere else _place(settings)
    settings = settings.model_copy(update={**place, **_key(settings, public_key)})
    log.configure(settings)
    for line in notices(settings):
        _LOG.warning(line)
    if not _has_key(settings):
        _LOG.warning(
            "There is no key to check tokens with: private streams are served to nobody; JWT_PUBLIC_KEY "
            "or -pubKey names one"
        )
    node.run(settings, read)


def _place(settings: Settings) -> dict[str, Any]:
    """Where to listen: RANGER_HOST and RANGER_PORT come before HOST and PORT, which others may have set."""
    names = {"host": "ranger_host", "port": "ranger_port"}
    given = settings.model_fields_set
    return {
        name: getattr(settings, theirs)
        for name, theirs in names.items()
        if theirs in given or name not in given
    }


def _key(settings: Settings, file: Path | None) -> dict[str, Any]:
    """Where the key is; one in the environment comes before a file, as in Rango."""
    if settings.jwt_public_key or settings.jwt_jwks:
        return {}
    if file is None and not settings.jwt_public_key_file and KEY_FILE.exists():
        file = KEY_FILE
    return {} if file is None else {"jwt_public_key_file": str(file)}


def _has_key(settings: Settings) -> bool:
    return bool(settings.jwt_public_key or settings.jwt_public_key_file or settings.jwt_jwks)


def _address(text: str) -> tuple[str, int]:
    """Read ``host:port``; without a host all addresses are meant.

    Raises:
        InvalidSetting: there is no port in it.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65_535:
        raise InvalidSetting("-ws-addr", text, "host:port, e.g. 0.0.0.0:8080")
    return host.removeprefix("[").removesuffix("]") or "0.0.0.0", int(port)  # noqa: S104
