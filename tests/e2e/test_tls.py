"""The gateway's own TLS: the same streams, the same goodbyes, and certificates that change under way."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import ssl
from itertools import pairwise
from pathlib import Path

import pytest
from websockets.asyncio.client import connect

from support.certificates import HOST, Authority, SecureRaw
from support.frames import CLOSE, TEXT
from support.processes import Client, Gateway, Stage
from support.streams import judge
from support.waiting import eventually

BTC = "mudrex.futures.ticker.BTCUSDT"
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "DOGEUSDT")


@pytest.fixture(name="authority")
def _authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


class Secured:
    """A gateway with TLS, and what its clients trust."""

    def __init__(self, gateway: Gateway, authority: Authority) -> None:
        self.gateway = gateway
        self.authority = authority
        self.trust = authority.trusting()
        self.url = f"wss://{HOST}:{gateway.port}/ws"

    async def client(self) -> Client:
        return Client(await connect(self.url, compression=None, max_queue=None, ssl=self.trust))

    async def get(self, path: str) -> tuple[int, bytes]:
        """Ask over HTTPS."""
        reader, writer = await asyncio.open_connection(HOST, self.gateway.port, ssl=self.trust)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: gateway\r\n\r\n".encode())
        async with asyncio.timeout(15):
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        return int(head.split()[1]), body

    async def stats(self) -> dict[str, dict[str, object]]:
        status, body = await self.get("/stats")
        assert status == 200
        stats: dict[str, dict[str, object]] = json.loads(body)
        return stats

    async def shown(self) -> bytes | None:
        """The certificate that a new connection is shown."""
        with await SecureRaw.secured(self.gateway.port, self.trust) as raw:
            return raw.certificate


async def secured(stage: Stage, authority: Authority, *rates: str, **settings: object) -> Secured:
    venue = await stage.venue(*rates)
    return Secured(await stage.gateway(venue.url, **authority.settings, **settings), authority)


async def test_a_client_that_checks_the_certificate_gets_its_streams_and_a_goodbye(
    stage: Stage, authority: Authority
) -> None:
    gateway = await secured(stage, authority, "--rate", "200")
    await gateway.gateway.running.line(r"Listening on wss://127\.0\.0\.1:\d+/ws")
    client = await gateway.client()
    assert (await client.subscribe("ticker:BTCUSDT", "trade:BTCUSDT"))["success"]
    await client.data(BTC, count=200)
    with pytest.raises(ssl.SSLCertVerificationError):
        await connect(gateway.url, ssl=ssl.create_default_context())
    assert await gateway.get("/ready") == (200, b'{"ok": true}')
    await gateway.gateway.running.stop()
    assert await client.end() == (1001, "Server going away")
    (run,) = judge(client.messages, BTC)
    assert run.values[-1]["seq"] - run.values[0]["seq"] == len(run.values) - 1
    assert await gateway.gateway.running.end() == 0


async def test_plain_http_on_the_port_is_told_what_to_use(stage: Stage, authority: Authority) -> None:
    gateway = await secured(stage, authority)
    answer = await gateway.gateway.get("/ready")
    assert (answer.status, answer.body) == (400, {"error": "This port speaks TLS; use https:// or wss://"})
    assert (await gateway.get("/ready"))[0] == 200


async def test_a_handshake_that_never_ends_is_cut_off_and_keeps_nobody_waiting(
    stage: Stage, authority: Authority
) -> None:
    gateway = await secured(stage, authority, HANDSHAKE_TIMEOUT=0.7)
    loop = asyncio.get_running_loop()
    stuck = []
    for _ in range(100):
        sock = socket.create_connection((HOST, gateway.gateway.port))
        sock.setblocking(False)
        await loop.sock_sendall(sock, b"\x16\x03\x01\x02\x00")
        stuck.append(sock)
    client = await gateway.client()
    await client.subscribe("ticker:BTCUSDT")
    await client.data(BTC)
    async with asyncio.timeout(10):
        for sock in stuck:
            with contextlib.suppress(ConnectionResetError):
                assert await loop.sock_recv(sock, 100) == b""
            sock.close()
    await client.data(BTC, seen=client.seen)
    await client.close()


async def test_a_new_certificate_is_taken_on_sighup_while_clients_stay(
    stage: Stage, authority: Authority
) -> None:
    gateway = await secured(stage, authority, "--rate", "100")
    running = gateway.gateway.running
    first = authority.shown
    old = await gateway.client()
    await old.subscribe("ticker:BTCUSDT")
    assert await gateway.shown() == first
    second = authority.renew()
    running.signal(signal.SIGHUP)
    await running.line("The TLS certificate was loaded again: SHA-256 [0-9A-F:]{95}")
    new = await gateway.client()
    assert await gateway.shown() == second
    await new.subscribe("ticker:BTCUSDT")
    authority.damage()
    running.signal(signal.SIGHUP)
    await running.line(
        "The TLS certificate stays the old one: TLS_CERT: .* cannot be used: its certificate is damaged"
    )
    assert await gateway.shown() == second
    for client in (old, new):
        await client.data(BTC, seen=client.seen, count=20)
        (run,) = judge(client.messages, BTC)
        assert run.values[-1]["seq"] - run.values[0]["seq"] == len(run.values) - 1
        await client.close()


async def test_sighup_without_tls_changes_nothing(stage: Stage) -> None:
    venue = await stage.venue()
    gateway = await stage.gateway(venue.url)
    client = await stage.client(gateway)
    gateway.running.signal(signal.SIGHUP)
    await gateway.running.line("SIGHUP changes nothing: there is no TLS certificate to read again")
    await client.subscribe("ticker:BTCUSDT")
    await client.data(BTC)


async def test_a_slow_client_gets_newer_values_only_and_is_closed_when_it_stays_so(
    stage: Stage, authority: Authority
) -> None:
    gateway = await secured(stage, authority, "--rate", "500", FANOUT_CALLBACK_TIMEOUT=3, CLOSE_TIMEOUT=0.5)
    fast = await gateway.client()
    await fast.subscribe(*(f"ticker:{symbol}" for symbol in SYMBOLS))
    with await SecureRaw.websocket(gateway.gateway.port, gateway.trust, receive_buffer=8192) as slow:
        await slow.ask("subscribe", *(f"ticker:{symbol}" for symbol in SYMBOLS))
        await eventually(
            gateway.stats, lambda body: int(str(body["slow_clients"]["conflated"])) > 500, "it is conflated"
        )
        newest = next(m for m in reversed(fast.messages) if m.get("stream") == BTC)["seq"]
        shown = [0]
        while shown[-1] < newest:
            message = await slow.message()
            if message.get("stream") == BTC and message["type"] in {"snapshot", "update"}:
                shown.append(message["seq"])
        assert shown == sorted(set(shown)), "never an older value after a newer one"
        assert any(later > earlier + 1 for earlier, later in pairwise(shown[1:]))
        await eventually(
            gateway.stats, lambda body: body["closed_by_code"] == {"4008": 1}, "the stalled one is closed"
        )
        rest = []
        try:
            while (frame := await slow.frame()).opcode == TEXT:
                rest.append(json.loads(frame.payload))
            assert (frame.opcode, frame.close_code) == (CLOSE, 4008)
        except EOFError:
            pass  # its close did not fit any more, and it was cut off
        again = [shown[-1], *(m["seq"] for m in rest if m.get("stream") == BTC and "seq" in m)]
        assert again == sorted(set(again))
    judge(fast.messages, BTC)
    assert fast.closed is None
    await fast.close()


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"TLS_CERT": "/c.pem"}, "TLS_KEY: '' does not work; expected the path of its private key,"),
        ({"TLS_KEY": "/k.pem"}, "TLS_CERT: '' does not work; expected the path of the certificate,"),
        (
            {"TLS_CERT": "/none/c.pem", "TLS_KEY": "/none/k.pem"},
            "TLS_CERT: /none/c.pem cannot be used: No such file or directory",
        ),
    ],
)
async def test_settings_that_cannot_work_are_one_sentence_and_an_exit_code(
    stage: Stage, settings: dict[str, str], sentence: str
) -> None:
    for command in (("serve",), ("config", "check")):
        running = await stage.run(*command, env=settings)
        assert await running.end() == 2
        (line,) = [line for line in running.stderr if line.startswith("feedmux: ")]
        assert line.startswith(f"feedmux: {sentence}")


async def test_tail_follows_over_tls_and_trusts_nobody_it_was_not_told_to(
    stage: Stage, authority: Authority
) -> None:
    gateway = await secured(stage, authority, "--rate", "100")
    options = ("tail", "ticker:BTCUSDT", "--url", gateway.url, "--count", "5")
    tail = await stage.run(*options, "--ca", str(authority.ca_file))
    assert await tail.end() == 0
    assert [json.loads(line)["stream"] for line in tail.stdout] == [BTC] * 5
    told = await stage.run(*options, env={"SSL_CERT_FILE": str(authority.ca_file)})
    assert await told.end() == 0
    stranger = await stage.run(*options)
    await stranger.line("the server's certificate is not trusted")
    await stranger.stop(signal.SIGINT)
    wrong = await stage.run(*options, "--ca", authority.files.key)
    assert await wrong.end() == 2
    assert "--ca: " in wrong.stderr[0]
    assert "is no certificate in PEM format" in wrong.stderr[0]
