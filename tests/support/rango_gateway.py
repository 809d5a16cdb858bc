"""``feedmux rango`` in a process of its own, beside a real RabbitMQ, and clients as Rango's are."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.request import urlopen

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.http11 import Response
from websockets.typing import Origin, Subprotocol

from support.rabbitmq import EXCHANGE, Publisher, RabbitServer
from support.running import environment
from support.tokens import Signer, claims

DEADLINE_S: Final = 15.0
_LISTENING: Final = re.compile(r"Listening on ws://127\.0\.0\.1:(\d+)")


class RangoGateway:
    """A gateway; it belongs to no event loop, so that tests of a whole run can share it.

    Args:
        folder: for its log, and where it runs; it does not exist yet, or is empty.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *flags: str, env: dict[str, str] | None = None) -> None:
        """Run it; returns at once."""
        place = {"RANGER_HOST": "127.0.0.1", "RANGER_PORT": "0", "METRICS_PORT": "0", "LOG_JSON": "false"}
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "feedmux", "rango", *flags],
                env=environment(place | (env or {})),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def listens(self) -> None:
        """Wait until clients can connect."""
        self.port = int(self.says(_LISTENING)[1])

    def says(self, pattern: str | re.Pattern[str]) -> re.Match[str]:
        """Wait until something stands in its log; what that is."""
        deadline = time.monotonic() + DEADLINE_S
        while (found := re.search(pattern, self.log)) is None:
            assert self.runs and time.monotonic() < deadline, f"no {pattern} in:\n{self.log}"
            time.sleep(0.02)
        return found

    def consumes(self) -> None:
        """Wait until both sides of RabbitMQ are consumed."""
        for side in ("public", "private"):
            self.says(f"the {side} side is consumed")

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The process itself."""
        assert self._process is not None
        return self._process

    @property
    def runs(self) -> bool:
        """Whether it has not ended."""
        return self.process.poll() is None

    @property
    def log(self) -> str:
        """All that it said."""
        return (self.folder / "log").read_text(errors="replace")

    def ends(self) -> int:
        """Wait until it has ended by itself; its exit code."""
        return self.process.wait(DEADLINE_S)

    def stop(self) -> int:
        """Let it end in order; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.ends()

    def dispose(self) -> None:
        """Make sure that nothing is left, and that nothing raised what nobody caught."""
        if self.runs:
            self.process.kill()
        self.process.wait()
        assert "Traceback" not in self.log, self.log

    def page(self, path: str) -> str:
        """What a path answers to plain HTTP."""
        with urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=DEADLINE_S) as answer:
            return str(answer.read().decode())

    def metric(self, name: str, **labels: str) -> float | None:
        """A sample of ``/metrics``; None: there is none of these labels."""
        told = ",".join(f'{label}="{value}"' for label, value in labels.items())
        written = f"{name}{{{told}}}" if told else name
        found = re.search(rf"^{re.escape(written)} (\S+)$", self.page("/metrics"), re.MULTILINE)
        return None if found is None else float(found[1])


@contextmanager
def rango_gateway(
    folder: Path, server: RabbitServer, *flags: str, exchange: str = EXCHANGE, **env: str
) -> Iterator[RangoGateway]:
    """A gateway that consumes an exchange of a server; further settings by their names."""
    gateway = RangoGateway(folder)
    broker = {"RABBITMQ_HOST": "127.0.0.1", "RABBITMQ_PORT": str(server.port), "RABBITMQ_EXCHANGE": exchange}
    gateway.start(*flags, env=broker | env)
    try:
        gateway.listens()
        gateway.consumes()
        yield gateway
    finally:
        gateway.dispose()


def token(signer: Signer, uid: str = "U1", role: str = "member", **more: Any) -> str:
    """What Barong gives to a user, valid for an hour; ``more`` changes its claims, None leaves one out."""
    now = int(time.time())
    return signer.token(claims(**{"uid": uid, "role": role, "iat": now - 60, "exp": now + 3600} | more))


class Closed(NamedTuple):
    """How the server ended a connection."""

    code: int
    reason: str


class RangoClient:
    """One WebSocket; it keeps every text that came."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.seen: list[str] = []

    async def recv(self) -> str:
        """The next text."""
        async with asyncio.timeout(DEADLINE_S):
            text = await self.socket.recv()
        assert isinstance(text, str), "data are text frames"
        self.seen.append(text)
        return text

    async def answer(self) -> Any:
        """The next message, decoded; what came before it stays in :attr:`seen`."""
        return json.loads(await self.recv())

    async def send(self, message: object) -> None:
        """Say something: a text or bytes as they are, anything else as JSON."""
        raw = message if isinstance(message, str | bytes) else json.dumps(message)
        await self.socket.send(raw)

    async def ask(self, message: object) -> str:
        """Say something; the next text."""
        await self.send(message)
        return await self.recv()

    async def subscribe(self, *streams: str) -> list[str]:
        """Subscribe; all that the client has then. Data that come before the answer are kept."""
        await self.send({"event": "subscribe", "streams": list(streams)})
        while True:
            told = (await self.answer()).get("success", {})
            if told.get("message") == "subscribed":
                names: list[str] = told["streams"]
                return names

    async def until(self, last: str) -> list[str]:
        """Read up to this text; all texts before it."""
        told = []
        while (text := await self.recv()) != last:
            told.append(text)
        return told

    async def closed(self) -> Closed:
        """Read on until the server has closed."""
        try:
            while True:
                await self.recv()
        except ConnectionClosed as error:
            frame = error.rcvd
            return Closed(frame.code, frame.reason) if frame is not None else Closed(1006, "")


class Refusal(NamedTuple):
    """What is answered in the place of a WebSocket."""

    status: int
    body: bytes
    response: Response

    @property
    def code(self) -> str:
        """What programs go by; empty: there is none."""
        return str(json.loads(self.body).get("code", "")) if self.body else ""


class Scene:
    """A gateway, who publishes to it, and the clients of one test."""

    def __init__(self, gateway: RangoGateway, publisher: Publisher, market: str) -> None:
        self.gateway = gateway
        self.publisher = publisher
        self.market = market
        """The name of a market that no other test knows."""
        self._clients: list[RangoClient] = []

    def say(self, routing_key: str, body: object) -> None:
        """Publish; ``*`` in the routing key is the market, what is no text becomes JSON."""
        self._publish(routing_key.replace("*", self.market), body)

    def say_to(self, uid: str, kind: str, body: object) -> None:
        """Publish to a user, whatever it is called."""
        self._publish(f"private.{uid}.{kind}", body)

    def _publish(self, routing_key: str, body: object) -> None:
        text = body if isinstance(body, str | bytes) else json.dumps(body, separators=(",", ":"))
        self.publisher.say(routing_key, text)

    def fence(self, uid: str = "") -> str:
        """Publish what comes behind all that was published before on the same side; its text."""
        if uid:
            self.say(f"private.{uid}.fence", "1")
            return '{"fence":1}'
        self.say("public.*.fence", "1")
        return f'{{"{self.market}.fence":1}}'

    async def client(
        self,
        path: str = "/public",
        *,
        jwt: str = "",
        headers: Iterable[tuple[str, str]] = (),
        origin: str = "",
        subprotocols: Iterable[str] = (),
        greeted: bool = True,
        **options: Any,
    ) -> RangoClient:
        """Connect; ``*`` in the path is the market. The first list of streams is read, if it may be."""
        bearer = [("Authorization", f"Bearer {jwt}")] if jwt else []
        async with asyncio.timeout(DEADLINE_S):
            socket = await connect(
                f"ws://127.0.0.1:{self.gateway.port}{path.replace('*', self.market)}",
                additional_headers=[*bearer, *headers],
                origin=Origin(origin) if origin else None,
                subprotocols=[Subprotocol(name) for name in subprotocols] or None,
                **{"compression": None, "max_size": None, "max_queue": None} | options,
            )
        client = RangoClient(socket)
        self._clients.append(client)
        while greeted and "streams" not in (await client.answer()).get("success", {}):
            pass
        return client

    async def refused(self, path: str, **options: Any) -> Refusal:
        """Try to connect where that is not granted."""
        try:
            await self.client(path, **options)
        except InvalidStatus as error:
            return Refusal(error.response.status_code, bytes(error.response.body or b""), error.response)
        raise AssertionError(f"{path} was granted")

    async def is_ready(self, jwt: str, uid: str) -> None:
        """Wait until messages come through on both sides; another test may have cut the connections."""
        client = await self.client("/?stream=*.fence,fence", jwt=jwt)
        missing = {"fence", f"{self.market}.fence"}
        while missing:
            self.fence()
            self.fence(uid)
            with suppress(TimeoutError):
                async with asyncio.timeout(0.5):
                    while missing:
                        missing -= set(await client.answer())
        await client.socket.close()

    async def end(self) -> None:
        """Hang up."""
        await asyncio.gather(*(client.socket.close() for client in self._clients))
