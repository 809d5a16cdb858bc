from __future__ import annotations

import asyncio
import contextlib
import json
import struct
import time
from itertools import pairwise

import msgspec
import pytest
from websockets.asyncio.client import connect

from feedmux.edge.http import Reply, Route
from support.clocks import StandingClock
from support.edge import CONFIG, Edge, parted
from support.frames import TEXT, masked
from support.loops import on_asyncio, on_both_loops
from support.raw import UPGRADE, request
from support.waiting import until

GET = b"GET %b HTTP/1.1\r\nHost: test\r\n\r\n"
JSON_404 = b'{"error": "Not found"}'


@on_both_loops
async def test_a_route_is_served_and_the_connection_ends() -> None:
    async with Edge() as edge:
        status, headers, body = await edge.http(GET % b"/ready?verbose=1")
        assert (status, body) == (200, b'{"ok": true}')
        assert headers["content-type"] == "application/json"
        assert headers["content-length"] == str(len(body))
        assert headers["connection"] == "close"
        await until(lambda: edge.count("sockets") == 0)


@on_both_loops
async def test_head_gets_the_headers_of_get_alone() -> None:
    async with Edge() as edge:
        status, headers, body = await edge.http(GET.replace(b"GET", b"HEAD") % b"/ready")
        assert (status, headers["content-length"], body) == (200, "12", b"")
        assert (await edge.http(b"HEAD /none HTTP/1.1\r\n\r\n"))[::2] == (404, b"")
        assert (await edge.http(b"HEAD /ws HTTP/1.1\r\n\r\n"))[::2] == (405, b"")


@on_both_loops
async def test_http_1_0_is_served() -> None:
    async with Edge() as edge:
        assert (await edge.http(b"GET /ready HTTP/1.0\r\n\r\n"))[::2] == (200, b'{"ok": true}')


def _raise() -> Reply:
    raise LookupError("no such thing")


@on_both_loops
async def test_a_route_that_raises_is_a_500_and_its_traceback_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    routes: dict[str, Route] = {
        "/ill": _raise,
        "/odd": lambda: Reply(200, {"when": object()}),
        "/well": lambda: Reply(200, {"ok": True}),
    }
    caplog.clear()
    async with Edge(routes=routes) as edge:
        for _ in range(3):
            status, headers, body = await edge.http(GET % b"/ill")
            assert (status, headers["content-type"]) == (500, "application/json")
            assert json.loads(body) == {"error": "The server could not answer this request"}
        assert (await edge.http(GET % b"/odd"))[0] == 500
        assert (await edge.http(b"HEAD /odd HTTP/1.1\r\n\r\n"))[::2] == (500, b"")
        assert (await edge.http(GET % b"/well"))[0] == 200
        await until(lambda: edge.count("sockets") == 0)
        assert edge.count("failed_requests") == 5
    errors = [record for record in caplog.records if record.levelname == "ERROR"]
    assert [record.getMessage().split(" could ")[0] for record in errors] == ["GET /ill", "GET /odd"]
    assert "LookupError: no such thing" in caplog.text


@on_both_loops
async def test_an_unknown_path_is_not_found() -> None:
    async with Edge() as edge:
        for path in (b"/", b"/wss", b"/ready/", b"//ws", b"*"):
            status, headers, body = await edge.http(GET % path)
            assert (status, body, headers["content-type"]) == (404, JSON_404, "application/json"), path


@on_both_loops
async def test_other_methods_are_told_which_ones_are_allowed() -> None:
    body = b"x" * 12_000_000  # its sender is still sending when the answer comes
    async with Edge() as edge:
        for method in (b"POST", b"PUT", b"DELETE", b"OPTIONS"):
            head = b"%b /ready HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (method, len(body))
            status, headers, _ = await edge.http(head + body)
            assert (status, headers["allow"]) == (405, "GET, HEAD"), method


@on_both_loops
async def test_a_head_over_16_kilobytes_is_refused_however_it_comes() -> None:
    padded = b"GET /ready HTTP/1.1\r\n" + b"X-Padding: %b\r\n" % (b"x" * 4000) * 4
    async with Edge() as edge:
        assert (await edge.http(padded + b"\r\n"))[0] == 200
        assert (await edge.http(padded + b"X: %b\r\n\r\n" % (b"x" * 400)))[0] == 431
        assert (await edge.http(padded * 50))[0] == 431
        assert (await edge.http(b"GET /ready HTTP/1.1\r\nX: %b\r\n\r\n" % (b"x" * 9000)))[0] == 431
        assert (await edge.http(b"GET /ready HTTP/1.1\r\n" + b"X: y\r\n" * 200 + b"\r\n"))[0] == 431


@on_asyncio
async def test_a_head_that_does_not_come_in_time_is_told_so() -> None:
    async with Edge(msgspec.structs.replace(CONFIG, handshake_timeout_s=0.1)) as edge:
        began = time.monotonic()
        answers = await asyncio.gather(edge.http(b"GET /ready HTTP/1.1\r\nHost: te"), edge.http(b""))
        assert [status for status, _, _ in answers] == [408, 408]
        assert 0.1 <= time.monotonic() - began < 1.0


@on_both_loops
async def test_who_does_not_close_after_the_answer_is_aborted() -> None:
    config = msgspec.structs.replace(CONFIG, close_timeout_s=0.1, handshake_timeout_s=60.0)
    async with Edge(config) as edge:
        with await edge.connect() as raw:
            await raw.send(GET % b"/ready")
            assert parted(await raw.read_to_end())[0] == 200
            await until(lambda: edge.count("sockets") == 0)


GARBAGE = (
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS
    b"\x00" * 100,
    b"hello\r\n\r\n",
    b"HELLO\r\n\r\n",
    b"\r\n\r\n",
    b"get /ready HTTP/1.1\r\n\r\n",
    b"GET /ready\r\n\r\n",
    b"GET /ready HTTP/2.0\r\n\r\n",
    b"GET /r\xc3\xa9ady HTTP/1.1\r\n\r\n",
    b"GET /ready HTTP/1.1\r\nno colon\r\n\r\n",
    b"GET /ready HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
    b"GET /ready HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
)


@pytest.mark.parametrize("garbage", GARBAGE)
@on_both_loops
async def test_garbage_is_a_bad_request(garbage: bytes) -> None:
    async with Edge() as edge:
        status, _, body = await edge.http(garbage)
        assert (status, body) == (400, b'{"error": "This is not an HTTP request"}')


ACCEPTED = {
    "as usual": UPGRADE,
    "two connection options": UPGRADE.replace(b"Connection: Upgrade", b"Connection: keep-alive, Upgrade"),
    "lower case": UPGRADE.replace(b"Sec-WebSocket", b"sec-websocket").replace(b"Upgrade: w", b"upgrade: w"),
    "upper case": UPGRADE.replace(b"Sec-WebSocket", b"SEC-WEBSOCKET").replace(b"Upgrade: w", b"UPGRADE: W"),
    "with a query": UPGRADE.replace(b"/ws", b"/ws?token=1"),
    "with an extension": UPGRADE[:-2] + b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
}  # fmt: skip


@pytest.mark.parametrize("head", ACCEPTED.values(), ids=list(ACCEPTED))
@on_both_loops
async def test_a_websocket_is_accepted(head: bytes) -> None:
    async with Edge() as edge:
        with await edge.connect() as raw:
            await raw.send(head)
            answer = (await raw.upgrade_answer()).decode().split("\r\n")
            assert answer[0] == "HTTP/1.1 101 Switching Protocols"
            assert "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in answer  # RFC 6455 §1.3
            assert not [line for line in answer if "extensions" in line.lower()]
            await raw.ask("ping")
            assert (await raw.message())["op"] == "pong"


REFUSED = {
    "no upgrade": (GET % b"/ws", 426),
    "another upgrade": (UPGRADE.replace(b"websocket", b"h2c"), 426),
    "no key": (UPGRADE.replace(b"Sec-WebSocket-Key", b"X-Key"), 400),
    "short key": (UPGRADE.replace(b"dGhlIHNhbXBsZSBub25jZQ==", b"c2hvcnQ="), 400),
    "bad key": (UPGRADE.replace(b"dGhlIHNhbXBsZSBub25jZQ==", b"\xe9***"), 400),
    "two keys": (UPGRADE[:-2] + b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", 400),
    "old version": (UPGRADE.replace(b"Version: 13", b"Version: 8"), 400),
    "no version": (UPGRADE.replace(b"Sec-WebSocket-Version", b"X-Version"), 400),
    "HTTP/1.0": (UPGRADE.replace(b"HTTP/1.1", b"HTTP/1.0"), 505),
    "HEAD": (UPGRADE.replace(b"GET", b"HEAD"), 405),
}


@pytest.mark.parametrize(("head", "status"), REFUSED.values(), ids=list(REFUSED))
@on_both_loops
async def test_a_handshake_that_is_none_is_refused_in_a_sentence(head: bytes, status: int) -> None:
    async with Edge() as edge:
        got, headers, body = await edge.http(head)
        assert got == status
        assert headers["sec-websocket-version"] == "13"  # RFC 6455 §4.4
        assert headers.get("upgrade") == ("websocket" if status == 426 else None)
        if not head.startswith(b"HEAD"):
            assert list(json.loads(body)) == ["error"]
            assert b"Traceback" not in body
            assert b"websockets." not in body


@on_both_loops
async def test_a_request_may_come_byte_by_byte() -> None:
    async with Edge() as edge:
        with await edge.connect() as raw:
            for at in range(len(UPGRADE)):
                await raw.send(UPGRADE[at : at + 1])
            assert (await raw.upgrade_answer()).startswith(b"HTTP/1.1 101")
            for byte in masked(TEXT, request("ping")):
                await raw.send(struct.pack("B", byte))
            assert (await raw.message())["op"] == "pong"


@on_both_loops
async def test_frames_right_behind_the_request_are_answered() -> None:
    two = masked(TEXT, request("ping")) + masked(TEXT, request("subscribe", "ticker:BTCUSDT"))
    async with Edge() as edge:
        for cut in (0, 3, len(two)):
            with await edge.connect() as raw:
                await raw.send(UPGRADE + two[:cut])
                await raw.upgrade_answer()
                await raw.send(two[cut:])
                assert [(await raw.message())["op"] for _ in range(2)] == ["pong", "subscribe"]


@on_both_loops
async def test_new_websockets_are_turned_away_while_draining_and_probes_are_not() -> None:
    async with Edge() as edge:
        ending = asyncio.create_task(edge.server.drain(grace_s=0.1, spread_s=0.1))
        await until(lambda: edge.server.draining)
        status, headers, body = await edge.http(UPGRADE)
        assert (status, headers["retry-after"]) == (503, "1")
        assert body == b'{"error": "The server is going away"}'
        assert (await edge.http(GET % b"/ready"))[0] == 200
        await ending


@on_both_loops
async def test_a_client_that_goes_away_in_the_middle_of_its_request_leaves_nothing() -> None:
    async with Edge() as edge:
        with await edge.connect() as raw:
            await raw.send(UPGRADE[:50])
            await until(lambda: edge.count("sockets") == 1)
        await until(lambda: edge.count("sockets") == 0)


@on_both_loops
async def test_another_library_finds_its_way_in() -> None:
    async with Edge() as edge, connect(edge.url) as client:
        await client.send('{"op":"ping"}')
        assert json.loads(await client.recv())["op"] == "pong"
        await client.ping()


@on_both_loops
async def test_who_is_half_open_is_counted_from_the_first_moment_on_and_to_the_last() -> None:
    async with Edge() as edge:
        with await edge.connect() as mute, await edge.connect() as half:
            await half.send(UPGRADE[:40])
            await until(lambda: edge.count("half_open") == 2)
            await half.send(UPGRADE[40:])
            await half.upgrade_answer()
            assert (edge.count("half_open"), edge.count("clients")) == (1, 1)
            mute.close()
            await until(lambda: edge.count("half_open") == 0)
        assert await edge.http(GET % b"/ready")
        await until(lambda: edge.count("sockets") == 0)
        assert (edge.count("half_open"), edge.count("handshakes_timed_out")) == (0, 0)


@on_asyncio
async def test_heads_that_do_not_come_in_time_are_counted() -> None:
    async with Edge(msgspec.structs.replace(CONFIG, handshake_timeout_s=0.1)) as edge:
        with await edge.connect() as mute, await edge.connect() as slow:
            await slow.send(UPGRADE[:-1])
            for raw in (mute, slow):
                assert parted(await raw.read_to_end())[0] == 408
        await until(lambda: edge.count("half_open") == 0)
        assert edge.count("handshakes_timed_out") == 2


@on_both_loops
async def test_handshakes_wait_for_their_turn_and_are_answered_in_order() -> None:
    async with Edge(msgspec.structs.replace(CONFIG, handshake_turn_s=1e-9)) as edge:
        raws = [await edge.connect() for _ in range(50)]
        await until(lambda: edge.count("half_open") == 50)
        for raw in raws:
            await raw.send(UPGRADE + masked(TEXT, request("ping")))
        seen = [edge.count("clients")]
        while seen[-1] < 50:
            await asyncio.sleep(0)
            seen.append(edge.count("clients"))
        assert max(later - earlier for earlier, later in pairwise(seen)) <= 2, "at most one in each turn"
        for raw in raws:
            await raw.upgrade_answer()
            assert (await raw.message())["op"] == "pong"
            raw.close()
        assert edge.count("half_open") == 0
        await until(lambda: edge.count("sockets") == 0)


@on_both_loops
async def test_who_goes_while_it_waits_for_its_turn_is_not_answered_and_not_missed() -> None:
    async with Edge(msgspec.structs.replace(CONFIG, handshake_turn_s=0.005)) as edge:
        raws = [await edge.connect() for _ in range(20)]
        await until(lambda: edge.count("half_open") == 20)
        for _ in range(6):
            edge.server.house.doorway.ask(lambda: time.sleep(0.02))
        for raw in raws:
            await raw.send(UPGRADE)
        for raw in raws[::2]:
            raw.close()
        for raw in raws[1::2]:
            await raw.upgrade_answer()
        await until(lambda: edge.count("clients") == 10 and edge.count("half_open") == 0)
        for raw in raws[1::2]:
            raw.close()
        await until(lambda: edge.count("sockets") == 0)


@on_both_loops
async def test_no_room_for_another_half_open_one_is_no_harm_to_those_inside() -> None:
    clock = StandingClock()
    async with Edge(msgspec.structs.replace(CONFIG, max_half_open=20), clock=clock) as edge:
        with await edge.client() as client:
            mutes = [await edge.connect() for _ in range(20)]
            await until(lambda: edge.count("half_open") == 20)
            with contextlib.suppress(ConnectionResetError), await edge.connect() as refused:
                assert await refused.read() == b""
            assert edge.count("refused_half_open") == 1
            await client.ask("ping")
            assert (await client.message())["op"] == "pong"
            clock.now += CONFIG.handshake_timeout_s
            await until(lambda: edge.count("handshakes_timed_out") == 20, "places become free by themselves")
            for mute in mutes:
                mute.close()
            await until(lambda: edge.count("half_open") == 0)
            with await edge.client():
                assert edge.count("clients") == 2


@on_both_loops
async def test_who_waits_for_our_turn_is_not_told_that_it_is_late() -> None:
    config = msgspec.structs.replace(CONFIG, handshake_timeout_s=0.15, handshake_turn_s=1e-9)
    async with Edge(config) as edge:
        with await edge.connect() as raw:
            await until(lambda: edge.count("half_open") == 1)
            for _ in range(30):
                edge.server.house.doorway.ask(lambda: time.sleep(0.01))
            await raw.send(UPGRADE)
            await raw.upgrade_answer()
            assert edge.count("handshakes_timed_out") == 0


@on_both_loops
async def test_who_waits_for_our_turn_when_the_server_ends_is_gone_with_it() -> None:
    async with Edge(msgspec.structs.replace(CONFIG, handshake_turn_s=1e-9)) as edge:
        doorway = edge.server.house.doorway
        with await edge.connect() as raw:
            await until(lambda: edge.count("half_open") == 1)
            for _ in range(20):
                doorway.ask(lambda: time.sleep(0.001))
            await raw.send(UPGRADE)
            await until(lambda: doorway.waiting < 15)
            await edge.server.stop()
            await until(lambda: not doorway.waiting)
            assert await raw.read() == b""
            assert (edge.count("clients_lifetime"), edge.count("half_open"), edge.count("sockets")) == (
                0,
                0,
                0,
            )
