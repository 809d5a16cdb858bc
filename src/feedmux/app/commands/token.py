"""``feedmux token``: make tokens for tests, and look into tokens."""

from __future__ import annotations

import json
import sys
import time
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.text import Text

from feedmux.app.config import load, parse_pairs
from feedmux.app.keys import PACE, KeyFetch
from feedmux.app.minting import Algorithm, barong_claims, new_key, store
from feedmux.app.minting import load as load_key
from feedmux.app.options import ConfigFile, Pairs
from feedmux.app.secret import Secret
from feedmux.app.settings import Settings
from feedmux.app.urls import is_url
from feedmux.app.wiring import authenticator
from feedmux.core.access import Access
from feedmux.core.span import span
from feedmux.model.access import Identity
from feedmux.model.access_errors import TokenCode, TokenRefused
from feedmux.model.errors import InvalidSetting

app = typer.Typer(
    help="Make tokens for tests, and look into tokens.", no_args_is_help=True, add_completion=False
)

MAX_BYTES: Final = 65_536
"""More than this is not read: no token is so long."""
TIMES: Final = ("exp", "nbf", "iat")


@app.command()
def mint(
    *,
    uid: Annotated[str, typer.Option(help="Whose token it is.")] = "IDABC0000001",
    role: Annotated[str, typer.Option(help="His role; empty: none.")] = "admin",
    expires_in: Annotated[int, typer.Option(help="Seconds until it ends; may be negative.")] = 3600,
    key: Annotated[
        Path | None, typer.Option(help="PEM file of the private key that signs.", show_default=False)
    ] = None,
    make_key: Annotated[
        Path | None,
        typer.Option(
            "--new-key", help="Make a key, and write it here; its public key beside it.", show_default=False
        ),
    ] = None,
    algorithm: Annotated[
        Algorithm | None,
        typer.Option("--alg", help="What a new key is for.", case_sensitive=False, show_default="EdDSA"),
    ] = None,
    kid: Annotated[str, typer.Option(help="Name of the key, for a JWKS.", show_default=False)] = "",
    claim: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=JSON",
            help="Set another claim, or take one out with null; repeatable.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Make a token with the claims of Barong, and write it to standard output.

    With --new-key the setting that lets a gateway take it is written to standard error.
    """
    if (key is None) == (make_key is None):
        given = "" if key is None else str(key)
        raise InvalidSetting("--key", given, "the file of a private key, or --new-key to make one; not both")
    claims = barong_claims(uid, role, now=int(time.time()), expires_in=expires_in)
    claims |= dict(_claim(text) for text in claim or ())
    if make_key is not None:
        signing = new_key(algorithm or Algorithm.EDDSA)
        public = store(signing, make_key)
        sys.stderr.write(f"The private key is in {make_key}, the public one in {public}. For a gateway:\n")
        sys.stderr.write(f"JWT_PUBLIC_KEY={signing.setting}\n")
    else:
        assert key is not None
        signing = load_key(key)
        if algorithm not in {None, signing.algorithm}:
            raise InvalidSetting("--alg", str(algorithm), f"{signing.algorithm}, for which {key} is")
    kept = {name: value for name, value in claims.items() if value is not None}
    sys.stdout.write(signing.sign(kept, kid) + "\n")


def _claim(text: str) -> tuple[str, Any]:
    """Read ``NAME=JSON``; what is no JSON is a text."""
    name, sign, value = text.partition("=")
    if not name or not sign:
        raise InvalidSetting("--claim", text, "NAME=JSON, e.g. level=3, aud='[\"peatio\"]' or state=active")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


@app.command()
def inspect(
    file: Annotated[
        Path | None,
        typer.Argument(help="A file with a token; - is standard input.", show_default="standard input"),
    ] = None,
    *,
    config: ConfigFile = None,
    pairs: Pairs = None,
) -> None:
    """Show what a token says, and what a gateway with these settings would answer to it.

    The exit code is 1 if it would be refused. The signature is never shown.
    """
    settings = load(pairs=parse_pairs(pairs or []), config=config)
    gate = authenticator(settings)
    if is_url(settings.jwt_jwks):
        gate.take_jwks(KeyFetch(settings.jwt_jwks, PACE.timeout_s).run(), "JWT_JWKS")
    token = _read(file)
    console = Console(highlight=False, soft_wrap=True)
    _show(token, console)
    try:
        identity = gate.identify(token)
    except TokenRefused as refusal:
        console.print(Text(f"refused  {refusal.code}", style="bold red"))
        console.print(Text(f"         {refusal.reason}{_hint(refusal)}"))
        raise typer.Exit(1) from None
    console.print(Text("accepted", style="bold green"))
    for line in _granted(identity, settings):
        console.print(Text(f"         {line}"))


def _read(file: Path | None) -> str:
    is_input = file is None or file == Path("-")
    if is_input and sys.stdin.isatty():
        sys.stderr.write("Paste a token, then press Enter and Ctrl-D.\n")
    try:
        if is_input:
            content = sys.stdin.buffer.read(MAX_BYTES)
        else:
            assert file is not None
            with file.open("rb") as opened:
                content = opened.read(MAX_BYTES)
    except OSError as error:
        is_token = str(file).count(".") > 1
        wanted = "a file; what stands in a command line can be seen by others" if is_token else "a file"
        value = Secret("") if is_token else str(file)
        raise InvalidSetting("FILE", value, f"{wanted} ({error.strerror})") from None
    return content.decode("utf-8", "replace").strip().removeprefix("Bearer ").strip()


# What is shown


def _show(token: str, console: Console) -> None:
    """Show header and claims, as far as they can be read, believed or not."""
    parts = token.split(".")
    for title, part in zip(("header", "claims"), [*parts, "", ""], strict=False):
        console.print(Text(title, style="bold"))
        for line in _members(part):
            console.print(Text(f"  {line}"))
    size = len(_bytes(parts[2])) if len(parts) > 2 else 0
    console.print(Text("signature", style="bold"), Text(f"{size} bytes, not shown\n"))


def _members(part: str) -> Iterator[str]:
    try:
        content = json.loads(_bytes(part)).items()
        # As JSON in ASCII: whatever somebody has put there, a terminal only sees letters.
        members = [(json.dumps(name)[1:-1], json.dumps(value), value) for name, value in content]
    except (ValueError, AttributeError, RecursionError):
        yield "cannot be read: no JSON object in base64url"
        return
    width = max((len(name) for name, *_ in members), default=0)
    for name, shown, value in members:
        when = f"  {_moment(value)}" if name in TIMES else ""
        yield f"{name:{width}}  {shown}{when}"


def _bytes(part: str) -> bytes:
    try:
        return urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except ValueError:
        return b""


def _moment(value: object) -> str:
    """Say when a time is; empty if it is none."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return ""
    try:
        at = datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError):
        return ""
    away = value - time.time()
    said = f"in {span(away)}" if away > 0 else f"{span(-away)} ago"
    return f"{at:%Y-%m-%d %H:%M:%S} UTC, {said}"


def _hint(refusal: TokenRefused) -> str:
    """What a client does not have to know, and whoever looks after a gateway does."""
    is_bare = refusal.code == TokenCode.NO_KEYS
    return "; set JWT_PUBLIC_KEY, JWT_PUBLIC_KEY_FILE or JWT_JWKS" if is_bare else ""


def _granted(identity: Identity, settings: Settings) -> Iterator[str]:
    yield f"uid {json.dumps(identity.uid)}, " + (
        f"role {json.dumps(identity.role)}" if identity.role else "no role"
    )
    access = Access.of(settings.rango_rbac)
    opened = [prefix for prefix in settings.rango_rbac if access.may_read(identity, f"role={prefix}")]
    yield f"reads what is public, its own streams, and of the prefixes: {', '.join(opened) or 'none'}"
    moment = _moment(identity.expires_s)
    yield f"until {moment}" if moment else "until the connection ends"
