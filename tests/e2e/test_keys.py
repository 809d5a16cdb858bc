"""Keys of tokens at a URL: a gateway asks for them, and neither begins nor ends later because of it."""

from __future__ import annotations

import pytest

from support.key_server import key_server
from support.processes import Stage
from support.tokens import ed25519, jwks
from support.waiting import until

NOWHERE = "ws://127.0.0.1:9/v5/public/linear"


@pytest.mark.parametrize("workers", [1, 2])
async def test_every_process_with_clients_asks_for_keys(stage: Stage, workers: int) -> None:
    async with key_server() as server:
        server.give(jwks(ed25519("one")))
        url = f"http://127.0.0.1:{server.port}/keys"
        gateway = await stage.gateway(NOWHERE, WORKERS=workers, JWT_JWKS=url)
        await until(lambda: len(server.requests) == workers, "each of them has asked")
        assert await gateway.running.stop() == 0
    assert "The keys of tokens" not in gateway.running.text


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_server_that_does_not_answer_holds_nobody_up(stage: Stage, workers: int) -> None:
    async with key_server() as server:
        server.is_mute = True
        url = f"http://127.0.0.1:{server.port}/keys?secret=hunter2"
        gateway = await stage.gateway(NOWHERE, WORKERS=workers, JWT_JWKS=url)
        await until(lambda: len(server.requests) == workers, "each of them has asked")
        assert (await gateway.get("/ready")).status == 200
        assert await gateway.running.stop() == 0
        await until(lambda: server.ended == workers)
    assert "hunter2" not in gateway.running.text


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_keys_that_cannot_be_used_end_it_with_one_sentence(stage: Stage, workers: str) -> None:
    running = await stage.run("serve", "--port", "0", "--workers", workers, env={"JWT_JWKS": "/none/such"})
    assert await running.end() == 2
    said = "JWT_JWKS: /none/such cannot be used: No such file or directory"
    assert running.text.splitlines() == [f"feedmux: {said}"]
