"""Servers that repeat what they hear, wherever a server can say something; and secrets to be repeated."""

from __future__ import annotations

import asyncio
import json
import re
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from support.peers import CLOSE, QUICK, TEXT, frame, raw_server, read_frame, upgrade

MARK = "s3cr3t"
"""Every secret has this in it."""
USER, PASSWORD, QUERY = f"{MARK}-user", f"{MARK}-pass/word", f"{MARK}-query"
HEADER, BEARER, COOKIE, PROTOCOL = (f"{MARK}-{word}" for word in ("header", "bearer", "cookie", "protocol"))
KEY, SECRET, PIN = f"{MARK}-key", f"{MARK}-secret", f"{MARK}-pin"
CLIENT_ID, CLIENT_SECRET = f"{MARK}-client-id", f"{MARK}-client-secret"
ACCESS, REFRESH = f"{MARK}-access", f"{MARK}-refresh"
BASIC = b64encode(f"{USER}:{PASSWORD}".encode()).decode()

CONFIG = msgspec.structs.replace(
    QUICK,
    request_timeout_s=0.15,
    max_attempts=2,
    headers=(
        ("X-Api-Key", HEADER),
        ("X-Forwarded-Authorization", f"Bearer {BEARER}"),
        ("Cookie", f"session={COOKIE}; theme=dark"),
        ("Sec-WebSocket-Protocol", f"json, {PROTOCOL}"),
    ),
)


def url_to(port: int) -> str:
    return f"ws://{USER}:{PASSWORD.replace('/', '%2F')}@127.0.0.1:{port}/ws?api_key={QUERY}&depth=5"


class Heard:
    """What a client said: its request to upgrade, and its first message."""

    def __init__(self, head: bytes, payload: bytes) -> None:
        self.head, self.payload = head.decode("latin-1"), payload
        self.text = payload.decode()
        try:
            self.message: Any = json.loads(self.text)
        except ValueError:
            self.message = {}

        params = self.message.get("params")
        signed = params if isinstance(params, dict) else {}
        signature = [signed[name] for name in ("signature", "nonce") if name in signed]
        self.words = re.findall(rf"{MARK}[\w-]*", self.text) + signature
        self.secrets = [MARK, BASIC, *signature]
        """What must not show."""


Rude = Callable[[Heard, asyncio.StreamWriter], Awaitable[None]]


def answers(make: Callable[[Heard], Mapping[str, object]]) -> Rude:
    """Answer the first message with this."""

    async def talk(heard: Heard, writer: asyncio.StreamWriter) -> None:
        writer.write(frame(TEXT, json.dumps({"id": heard.message.get("id"), **make(heard)}).encode()))

    return talk


def sends(make: Callable[[Heard], bytes]) -> Rude:
    """Send these bytes."""

    async def talk(heard: Heard, writer: asyncio.StreamWriter) -> None:
        writer.write(make(heard))

    return talk


async def says_nothing(heard: Heard, writer: asyncio.StreamWriter) -> None: ...


async def cuts(heard: Heard, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


def everything(heard: Heard) -> dict[str, object]:
    return {"head": heard.head, "text": heard.text, "message": heard.message}


RUDE: dict[str, Rude] = {
    "its message": answers(lambda h: {"error": {"code": 13004, "message": f"not {h.text} of {h.head}"}}),
    "its data": answers(lambda h: {"error": {"code": 13004, "message": "no", "data": everything(h)}}),
    "its data, deep": answers(lambda h: {"error": {"code": 1, "message": "", "data": [[h.text, [h.head]]]}}),
    "an error that is text": answers(lambda h: {"error": h.text}),
    "an error that is a list": answers(lambda h: {"error": [h.message, h.head]}),
    "an error without a code": answers(lambda h: {"error": {"code": h.text, "message": h.message}}),
    "an error and a result": answers(lambda h: {"result": everything(h), "error": everything(h)}),
    "a result of another kind": answers(lambda h: {"result": everything(h)}),
    "a result that is text": answers(lambda h: {"result": h.text}),
    "a result that is a list": answers(lambda h: {"result": [h.text, h.message]}),
    "a time that is none": answers(lambda h: {"result": {"valid_s": h.text, "expires_in": h.text}}),
    "tokens that are none": answers(
        lambda h: {"result": {"access_token": ACCESS, "refresh_token": [REFRESH], "expires_in": h.text}}
    ),
    "an id": answers(lambda h: {"id": h.words[-1], "result": everything(h)}),
    "an id and an error": answers(lambda h: {"id": h.text, "error": {"code": 1, "message": h.text}}),
    "a method": answers(lambda h: {"method": h.words[0], "params": everything(h)}),
    "a channel": answers(
        lambda h: {"method": "subscription", "params": {"channel": h.words[0], "data": h.text}}
    ),
    "an array": sends(
        lambda h: frame(TEXT, json.dumps([h.message, h.text, {"id": h.words[0], "error": h.text}]).encode())
    ),
    "text that is no JSON": sends(lambda h: frame(TEXT, f"what is {h.text}?".encode())),
    "text that is no UTF-8": sends(lambda h: frame(TEXT, h.payload + b"\xff")),
    "a binary message": sends(lambda h: frame(2, h.payload)),
    "a frame that is none": sends(lambda h: frame(11, h.payload)),
    "a frame that is too long": sends(lambda h: frame(TEXT, h.payload * 2000)),
    "half a frame": sends(lambda h: frame(TEXT, h.payload)[:-5]),
    "a reason to close": sends(lambda h: frame(CLOSE, b"\x0f\xa1" + " ".join(h.words[:3])[:123].encode())),
    "another reason": sends(
        lambda h: frame(CLOSE, b"\x03\xe8" + f"{QUERY} {HEADER} {BASIC} {COOKIE}".encode())
    ),
    "a reason in JSON": sends(lambda h: frame(CLOSE, b"\x03\xe8" + json.dumps({"token": ACCESS}).encode())),
    "a reason that is no UTF-8": sends(lambda h: frame(CLOSE, b"\x03\xe8" + h.words[0].encode() + b"\xff")),
    "nothing": says_nothing,
    "a cut": cuts,
}  # fmt: skip


@asynccontextmanager
async def parrot(rude: Rude, heard: list[Heard]) -> AsyncIterator[int]:
    """A server that upgrades, hears one message, and is rude."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await upgrade(reader, writer)
        heard.append(Heard(head, (await read_frame(reader))[1]))
        await rude(heard[-1], writer)
        await reader.read(-1)

    async with raw_server(talk) as port:
        yield port
