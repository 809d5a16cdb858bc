from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from feedmux.app.keys import MAX_BYTES, KeyRefresh, KeysNotFetched, Pace, fetched, keep, local_keys
from feedmux.app.settings import Settings
from feedmux.app.wiring import authenticator
from feedmux.edge.auth import Authenticator
from feedmux.edge.claims import TokenRules
from feedmux.edge.keys import KeySet
from feedmux.model.access_errors import InvalidKey, TokenCode, TokenRefused
from support.certificates import ServerCertificates
from support.key_server import KeyServer, key_server
from support.tokens import TokenClock, ed25519, jwks, p256
from support.waiting import until

OLD, NEW = ed25519("old"), p256("new")
QUICK = Pace(refresh_s=3600, at_most_every_s=0.01, timeout_s=5)


def url(server: KeyServer, path: str = "/jwks", *, scheme: str = "http") -> str:
    return f"{scheme}://127.0.0.1:{server.port}{path}"


# What stands in a setting or a file


def test_keys_of_a_setting_and_of_files_check_tokens(tmp_path: Path) -> None:
    pem, many = tmp_path / "key.pem", tmp_path / "keys.json"
    pem.write_text(OLD.raw_pem)
    many.write_text(jwks(OLD, NEW))
    given = ({"jwt_public_key": OLD.pem}, {"jwt_public_key_file": str(pem)}, {"jwt_jwks": str(many)})
    for one in given:
        by = authenticator(Settings.model_validate(one | {"jwt_leeway": 300}))
        assert by.identify(OLD.token({"uid": "ID1"})).uid == "ID1"


def test_without_keys_or_with_keys_at_a_url_there_are_none_yet() -> None:
    for given in ({}, {"jwt_jwks": "https://id.example/keys"}):
        settings = Settings.model_validate(given)
        assert local_keys(settings) is None
        with pytest.raises(TokenRefused) as refused:
            authenticator(settings).identify(OLD.token())
        assert refused.value.code == TokenCode.NO_KEYS


def test_every_rule_of_the_settings_counts() -> None:
    base = {"jwt_public_key": OLD.pem}
    rules = {"jwt_audience": "a", "jwt_issuer": "i", "jwt_query_token": True, "jwt_expiry": "connect"}
    by = authenticator(Settings.model_validate(base | rules))
    content = {"uid": "ID1", "aud": "a", "iss": "i", "exp": 99_999_999_999}
    assert by.identify(OLD.token(content)).expires_s == float("inf")
    for wrong in ({"aud": "b"}, {"iss": "b"}):
        with pytest.raises(TokenRefused):
            by.identify(OLD.token(content | wrong))
    assert by.credentials([], "token=x") is not None
    enforcing = authenticator(Settings.model_validate(base | {"jwt_leeway": 5}))
    assert enforcing.identify(OLD.token(content)).expires_s == 100_000_000_004


@pytest.mark.parametrize("setting", ["jwt_public_key_file", "jwt_jwks"])
def test_a_file_that_cannot_be_used_is_named(setting: str, tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(b"x" * (MAX_BYTES + 1))
    odd = tmp_path / "odd"
    odd.write_bytes(b"\xff\xfe")
    for path, reason in (
        ("/none/such", "No such file or directory"),
        (tmp_path, "Is a directory"),
        (large, f"it is longer than {MAX_BYTES} bytes"),
        (odd, "it "),
        ("/a\0b", "embedded null byte"),
    ):
        with pytest.raises(InvalidKey) as failed:
            authenticator(Settings.model_validate({setting: str(path)}))
        assert str(failed.value).startswith(f"{setting.upper()}: {path} cannot be used: {reason}")


# What is fetched


async def test_what_stands_at_a_url_is_fetched_with_its_query() -> None:
    async with key_server() as server:
        server.give(jwks(OLD))
        assert await fetched(url(server, "/keys?tenant=a"), 5) == jwks(OLD).encode()
        server.give(jwks(OLD), headers="Content-Type: text/plain\r\n")
        assert await fetched(url(server, ""), 5) == jwks(OLD).encode()
    head, second = server.requests
    assert head.startswith(b"GET /keys?tenant=a HTTP/1.1\r\n")
    assert b"\r\nHost: 127.0.0.1:" in head
    assert second.startswith(b"GET / HTTP/1.1\r\n")


async def failure(server: KeyServer, timeout_s: float = 5) -> str:
    with pytest.raises(KeysNotFetched) as failed:
        await fetched(url(server, "/jwks?secret=1"), timeout_s)
    said = str(failed.value)
    assert said.startswith(f"http://127.0.0.1:{server.port}/jwks does not give keys: ")
    return said.partition("keys: ")[2]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
         "it answers 302, a redirect, which is not followed"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "it answers 404, no keys"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "it answers 204, no keys"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 500000\r\n\r\n" + b"x" * 300_000, "its answer is longer than"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 300_000, "its answer is longer than"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", "its answer ends too early"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", "IncompleteRead"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", ""),
        (b"SSH-2.0-OpenSSH\r\n", "SSH-2.0-OpenSSH"),
        (b"", "Remote end closed connection without response"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200, "got more than 100 headers"),
    ],
)  # fmt: skip
async def test_an_answer_without_keys_is_named(answer: bytes, reason: str) -> None:
    async with key_server() as server:
        server.answer = answer
        assert (await failure(server)).startswith(reason)
        assert len(server.requests) == 1


async def test_a_server_that_is_not_there_is_named() -> None:
    async with key_server() as server:
        pass
    assert "refused" in await failure(server)


@pytest.mark.parametrize("how", ["is_mute", "dribbles"])
async def test_a_server_that_takes_too_long_is_cut(how: str) -> None:
    """Each byte of the second kind is in time."""
    async with key_server() as server:
        setattr(server, how, True)
        if how == "dribbles":
            server.answer = b""
        assert await failure(server, 0.2) == "it took longer than 0.2 s"
        await until(lambda: server.ended == 1)


async def test_whoever_stops_waiting_leaves_no_thread_behind() -> None:
    async with key_server() as server:
        server.is_mute = True
        asking = asyncio.create_task(fetched(url(server), 600))
        await until(lambda: server.requests)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await until(lambda: server.ended == 1)


async def test_a_certificate_is_checked() -> None:
    certificates = ServerCertificates()
    async with key_server(certificates.context) as server:
        server.give(jwks(OLD))
        secure = url(server, scheme="https")
        assert await fetched(secure, 5, certificates.trusting()) == jwks(OLD).encode()
        for wrong in (certificates.expired, certificates.of_another_name, certificates.of_nobody):
            certificates.show(wrong)
            with pytest.raises(KeysNotFetched, match="certificate verify failed"):
                await fetched(secure, 5, certificates.trusting())
        certificates.show(certificates.good)
        with pytest.raises(KeysNotFetched, match="certificate verify failed"):
            await fetched(secure, 5)
        assert len(server.requests) == 1


# What is refreshed


@asynccontextmanager
async def refreshing(
    server: KeyServer, pace: Pace = QUICK
) -> AsyncIterator[tuple[Authenticator, KeyRefresh]]:
    """An authenticator with the keys of a server."""
    by = Authenticator(KeySet(), TokenRules(), clock=TokenClock())
    refresh = KeyRefresh(url(server, "/jwks?secret=1"), by.take_jwks, pace=pace)
    by.key_missing = refresh.key_missing
    task = asyncio.create_task(refresh.run())
    try:
        yield by, refresh
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def passes(by: Authenticator, signer: Any) -> bool:
    try:
        return bool(by.identify(signer.token()).uid)
    except TokenRefused:
        return False


async def test_a_token_of_a_new_key_makes_it_known() -> None:
    async with key_server() as server:
        server.give(jwks(OLD))
        async with refreshing(server) as (by, refresh):
            await until(lambda: passes(by, OLD))
            server.give(jwks(OLD, NEW))
            await until(lambda: passes(by, NEW))
            assert passes(by, OLD)
            server.give(jwks(NEW))
            assert not passes(by, ed25519("unheard-of"))
            await until(lambda: not passes(by, OLD))
            assert passes(by, NEW)
            assert refresh.statistics() == {"fetched": len(server.requests), "failed": 0}


async def test_without_new_tokens_keys_are_fetched_in_their_time() -> None:
    async with key_server() as server:
        server.give(jwks(OLD))
        async with refreshing(server, Pace(0.02, 0.01, 5)) as (by, _):
            await until(lambda: passes(by, OLD))
            server.give(jwks(NEW))
            await until(lambda: [key.kid for key in by.keys] == ["new"])


async def test_strange_tokens_do_not_make_it_ask_more_often_than_it_may() -> None:
    async with key_server() as server:
        server.give(jwks(OLD))
        async with refreshing(server, Pace(7200, 3600, 5)) as (by, _):
            await until(lambda: passes(by, OLD))
            for _ in range(100):
                assert not passes(by, NEW)
                await asyncio.sleep(0)
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("<html>", "JWT_JWKS: http://127.0.0.1:{port}/jwks cannot be used: it is no JWKS"),
        ('{"keys":[]}', "JWT_JWKS: http://127.0.0.1:{port}/jwks cannot be used: it holds no key for tokens"),
        (json.dumps({"keys": [OLD.jwk | {"d": "hunter2"}]}), "JWT_JWKS: http://127.0.0.1:{port}/jwks, key 1"),
    ],
    ids=["no JSON", "no keys", "a private key"],
)
async def test_keys_that_cannot_be_used_leave_the_old_ones_and_one_line(
    body: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with key_server() as server:
        server.give(jwks(OLD))
        async with refreshing(server) as (by, refresh):
            await until(lambda: passes(by, OLD))
            server.give(body)
            assert not passes(by, NEW)
            await until(lambda: refresh.statistics()["failed"] == 1)
            assert passes(by, OLD)
            server.give(jwks(NEW))
            assert not passes(by, ed25519("unheard-of"))
            await until(lambda: passes(by, NEW))
    (line,) = caplog.messages
    assert line.startswith("The keys of tokens stay the old ones: " + said.format(port=server.port))
    assert "hunter2" not in line and "secret" not in line


async def test_a_server_that_comes_later_is_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    async with key_server() as server:
        server.give("", status="503 Service Unavailable")
        async with refreshing(server) as (by, refresh):
            await until(lambda: refresh.statistics()["failed"])
            assert not passes(by, OLD)
            server.give(jwks(OLD))
            await until(lambda: passes(by, OLD))
    assert caplog.messages[0] == (
        f"The keys of tokens have not come yet: http://127.0.0.1:{server.port}/jwks does not give keys: "
        "it answers 503, no keys"
    )
    assert caplog.records[0].levelno == logging.ERROR
    assert caplog.records[0].exc_info is None


async def test_keys_are_kept_fresh_until_the_gateway_stops() -> None:
    async with key_server() as server:
        server.give(jwks(OLD))
        settings = Settings.model_validate({"jwt_jwks": url(server)})
        by, stop = authenticator(settings), asyncio.Event()
        keeping = asyncio.create_task(keep(settings, by, stop))
        await until(lambda: len(by.keys) == 1)
        assert by.key_missing is not None
        stop.set()
        await asyncio.wait_for(keeping, 5)
    await asyncio.wait_for(keep(Settings(), by, asyncio.Event()), 5)
