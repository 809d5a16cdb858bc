"""A Deribit link whose tokens end: renewed before, or got by the key, or the link ends and says why."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from functools import partial
from operator import lt
from typing import Any, NamedTuple

import msgspec
import pytest

from feedmux.client.deribit import Credentials, Deribit, OrderRequest
from feedmux.client.events import Interrupted, Restored
from feedmux.client.link import LinkState
from feedmux.model.errors import AuthenticationFailed
from feedmux.sim.deribit_options import DEMO
from support.deribit_server import INVALID_CREDENTIALS, INVALID_TOKEN, MAINTENANCE, DeribitServer
from support.link_scene import CONFIG, leaving_nothing
from support.processes import DeribitVenue, Stage
from support.waiting import DEADLINE, eventually, until

KEY = Credentials(DEMO.client_id, DEMO.secret)
ORDERS = "user.orders.any.any.raw"
CHANNELS = [ORDERS, "ticker.BTC-PERPETUAL.raw", "trades.BTC-PERPETUAL.100ms"]
QUICK = msgspec.structs.replace(CONFIG, ping_interval_s=5.0, ping_timeout_s=5.0, request_timeout_s=0.5)


class Story(NamedTuple):
    """A small Deribit that does what it is told, and a client that is live and subscribed."""

    venue: DeribitServer
    deribit: Deribit
    notices: list[object]

    @property
    def grants(self) -> list[str]:
        """How tokens were asked for, in order."""
        return [params["grant_type"] for params in self.venue.asked("public/auth")]

    @property
    def opens(self) -> int:
        """How many connections there were."""
        found: dict[str, Any] = self.deribit.statistics()["connection"]  # type: ignore[assignment]
        return int(found["opens"])

    async def grants_are(self, *kinds: str) -> None:
        """Wait until tokens were asked for so often, and in these ways."""
        await until(lambda: len(self.grants) >= len(kinds), f"{kinds}")
        assert self.grants[: len(kinds)] == list(kinds)

    async def is_whole(self) -> None:
        """The wanted set is subscribed to at the venue, and the link is live."""
        await until(lambda: self.deribit.link.state is LinkState.LIVE)
        assert self.venue.subscribed() == set(CHANNELS)


@asynccontextmanager
async def story() -> AsyncIterator[Story]:
    venue, notices = DeribitServer(), list[object]()
    venue.expires_in_s = 1  # renewed after a second, which is the least
    async with leaving_nothing():
        await venue.start()
        deribit = Deribit(venue.url, credentials=KEY, config=QUICK)
        reading = asyncio.create_task(collect(deribit, notices))
        try:
            async with deribit:
                await deribit.subscribe(CHANNELS)
                yield Story(venue, deribit, notices)
        finally:
            await asyncio.gather(reading, return_exceptions=True)
            await venue.stop()


async def collect(deribit: Deribit, notices: list[object]) -> None:
    async for message in deribit:
        if isinstance(message, Interrupted | Restored):
            notices.append(message)


async def test_a_token_is_renewed_before_it_ends_and_nobody_notices() -> None:
    async with story() as told:
        await told.grants_are("client_signature", "refresh_token")
        assert told.venue.asked("public/auth")[1]["refresh_token"] == "refresh-1"
        await told.is_whole()
        assert told.opens == 1
        assert told.notices == []


async def test_a_renewal_that_is_refused_is_made_good_by_the_key_on_the_same_connection() -> None:
    async with story() as told:
        told.venue.errors["public/auth"] = deque([INVALID_TOKEN])
        await told.grants_are("client_signature", "refresh_token", "client_signature")
        await told.is_whole()
        assert told.opens == 1
        assert told.notices == []


async def test_a_renewal_that_is_refused_and_a_key_that_is_not_taken_any_more_end_the_link() -> None:
    async with story() as told:
        told.venue.errors["public/auth"] = deque([INVALID_TOKEN, INVALID_CREDENTIALS])
        with pytest.raises(AuthenticationFailed, match="invalid_credentials"):
            async with asyncio.timeout(DEADLINE):
                await told.deribit.link.wait_closed()
        assert told.grants == ["client_signature", "refresh_token", "client_signature"]
        assert told.deribit.link.state is LinkState.CLOSED
        assert told.deribit.statistics()["requests"]["in_flight"] == 0  # type: ignore[index]
        await until(lambda: not told.venue.connections)


async def out_of_order(venue: DeribitServer) -> None:
    venue.errors["public/auth"] = deque([MAINTENANCE])


async def deaf(venue: DeribitServer) -> None:
    venue.deaf.add("public/auth")
    await until(lambda: len(venue.asked("public/auth")) == 2)
    venue.deaf.clear()


@pytest.mark.parametrize("fault", [out_of_order, deaf])
async def test_a_renewal_that_does_not_work_is_done_on_another_connection(
    fault: Callable[[DeribitServer], Awaitable[None]],
) -> None:
    """Nobody knows whether the old token still lives: what is private might have fallen silent."""
    async with story() as told:
        await fault(told.venue)
        await until(lambda: len(told.notices) >= 2)
        await told.is_whole()
        interrupted, restored = told.notices[:2]
        assert isinstance(interrupted, Interrupted)
        assert "its authentication could not be renewed" in interrupted.reason
        assert isinstance(restored, Restored)
        assert (sorted(restored.channels), restored.refused) == (sorted(CHANNELS), {})
        assert told.opens == 2


async def test_against_the_simulated_venue_private_news_go_on_through_renewals_and_reconnects(
    stage: Stage,
) -> None:
    """Its refresh tokens end with their connection: the next one needs the key."""
    venue = await stage.deribit("--rate", "0", "--expires-in", "2")
    async with leaving_nothing(), Deribit(venue.url, credentials=KEY, config=QUICK) as deribit:
        await deribit.subscribe(CHANNELS)
        for opens in (1, 2):
            asked = await grants(venue)
            await eventually(partial(grants, venue), partial(lt, asked), "a renewal")
            placed = await deribit.buy(
                OrderRequest(instrument_name="BTC-PERPETUAL", amount=Decimal(10), price=Decimal(1000))
            )
            await news_of(deribit, placed.order.order_id)
            await venue.has(*CHANNELS)
            assert deribit.statistics()["connection"]["opens"] == opens  # type: ignore[index]
            await venue.do("cut")
            await deribit.link.wait_live(DEADLINE)


async def grants(venue: DeribitVenue) -> int:
    """How often the venue was asked for tokens."""
    count: int = (await venue.report())["requests"]["public/auth"]
    return count


async def news_of(deribit: Deribit, order_id: str) -> None:
    """Wait for what the private channel says of an order."""
    async with asyncio.timeout(DEADLINE):
        async for message in deribit:
            params = message.get("params", {}) if isinstance(message, dict) else {}
            if params.get("channel") == ORDERS and params["data"]["order_id"] == order_id:
                return
