from __future__ import annotations

from typing import Any

import pytest

from feedmux.app import terms_redis
from feedmux.app.settings import Settings
from feedmux.model.errors import InvalidSetting


def settings(**given: Any) -> Settings:
    return Settings.model_validate({"redis_url": "redis://127.0.0.1", **given})


@pytest.mark.parametrize(
    ("compat", "venues", "needed"),
    [
        ("off", ("bybit.linear",), 3),
        ("mudrex", ("bybit.linear",), 4),
        ("off", ("bybit.linear", "deribit"), 5),
        ("mudrex", ("bybit.linear", "deribit"), 6),
    ],
)
def test_as_many_connections_are_needed_as_are_opened(
    compat: str, venues: tuple[str, ...], needed: int
) -> None:
    enough = settings(redis_compat=compat, venues=venues, redis_max_connections=needed)
    terms_redis.require_redis(enough)
    too_few = settings(redis_compat=compat, venues=venues, redis_max_connections=needed - 1)
    said = f"REDIS_MAX_CONNECTIONS: {needed - 1} does not work; expected at least {needed}, for {len(venues)}"
    with pytest.raises(InvalidSetting, match=said):
        terms_redis.require_redis(too_few)


def test_without_a_market_nothing_can_be_published_in_the_proxys_words() -> None:
    given = settings(redis_compat="mudrex", venues=(), rabbitmq_host="rabbit")
    with pytest.raises(InvalidSetting, match="REDIS_COMPAT: 'mudrex' does not work; expected off, because"):
        terms_redis.require_redis(given)


@pytest.mark.parametrize(
    ("compat", "market"), [("off", ""), ("mudrex", "bybit.spot"), (" Mudrex", "bybit.spot")]
)
def test_the_first_market_is_the_one_that_has_the_proxys_names(compat: str, market: str) -> None:
    given = settings(redis_compat=compat, venues=("bybit.spot", "bybit.linear"))
    assert terms_redis.node(given)["compat"] == market
