"""A link whose server is not found, or says no: tried again where that may help, ended where it does not."""

from __future__ import annotations

import asyncio

import pytest

from feedmux.client.events import Interrupted
from feedmux.client.link import LinkState, connect
from feedmux.model.link_errors import Cause, ConnectFailed, RequestLost
from support.link_scene import CHANNELS, CONFIG, Scene, gone, is_whole, leaving_nothing, of, scene, traces
from support.rpc_server import SILENCE
from support.waiting import DEADLINE, until

NOWHERE = "ws://no-such-host.invalid:80/"


async def test_a_name_that_does_not_resolve_is_an_error_with_a_cause() -> None:
    async with leaving_nothing():
        with pytest.raises(ConnectFailed, match=r"'no-such-host\.invalid' does not resolve") as caught:
            await connect(NOWHERE, config=CONFIG)
        assert caught.value.cause is Cause.NAME


async def test_a_name_that_does_not_resolve_is_passed_over_for_the_next_url() -> None:
    async with scene(others=(NOWHERE,)) as set_up:
        await set_up.proxy.refuse(True)
        set_up.proxy.cut()
        reasons: set[str] = set()

        def both_were_tried() -> bool:
            reasons.add(set_up.carried["last_reason"].partition(";")[0].partition(" (")[0])
            return {"connection refused", "the name 'no-such-host.invalid' does not resolve"} <= reasons

        await until(both_were_tried)
        await set_up.proxy.refuse(False)
        await is_whole(set_up)


@pytest.mark.parametrize("status", [401, 403])
async def test_credentials_that_the_upgrade_does_not_take_any_more_end_the_link(status: int) -> None:
    """Everybody who waits is told: who asked, who reads, who owns it."""
    async with scene() as set_up:
        link = set_up.link
        set_up.server.refusals.append((status, {}))
        asked = asyncio.create_task(link.request("never answered", repeatable=True))
        set_up.server.methods["never answered"] = lambda _: SILENCE
        await until(lambda: set_up.server.asked("never answered"))
        set_up.proxy.cut()
        with pytest.raises(ConnectFailed, match=f"HTTP {status} .*; check the credentials") as caught:
            async with asyncio.timeout(DEADLINE):
                await link.wait_closed()
        assert (caught.value.cause, caught.value.status) == (Cause.STATUS, status)
        with pytest.raises(RequestLost):
            await asked
        with pytest.raises(ConnectFailed):
            await anext(link)
        assert link.state is LinkState.CLOSED
        assert len(set_up.server.upgrades) == 2
        assert len(of(set_up.seen, Interrupted)) == 1
        await nothing_runs(set_up)


async def nothing_runs(set_up: Scene) -> None:
    """The link's own task has ended by itself, and holds nothing."""
    statistics = set_up.link.statistics()
    assert statistics["requests"]["in_flight"] == 0  # type: ignore[index]
    assert statistics["held"] == 0
    assert set_up.link.channels == tuple(CHANNELS), "the wish is its user's, and stays"
    await until(lambda: set_up.proxy.statistics()["connections"] == 0)


@pytest.mark.parametrize("status", [429, 503])
async def test_a_server_that_says_when_to_come_again_is_given_that_time(status: int) -> None:
    async with scene() as set_up:
        before = traces()
        set_up.server.refusals.append((status, {"Retry-After": "1"}))
        set_up.proxy.cut()
        await is_whole(set_up)
        _, refused_at, taken_at = set_up.server.upgrades
        assert taken_at - refused_at >= 1.0
        await gone(before)


async def test_a_server_that_says_no_without_a_time_is_asked_again_as_after_any_failure() -> None:
    async with scene() as set_up:
        set_up.server.refusals.extend([(429, {}), (500, {}), (404, {}), (426, {})])
        set_up.proxy.cut()
        await is_whole(set_up)
        assert len(set_up.server.upgrades) == 6
