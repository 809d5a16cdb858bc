from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest

from feedmux.client.events import Interrupted, Restored
from feedmux.client.guard import Guard
from feedmux.client.link import connect
from feedmux.client.policy import Policy, Verdict, judge, patient, usual
from feedmux.model.errors import InvalidSetting
from feedmux.model.link_errors import Cause, ConnectFailed, LinkError, LinkLost
from support.peers import QUICK
from support.rpc_server import rpc_server


def status(number: int, wait_s: float = 0.0) -> ConnectFailed:
    return ConnectFailed("wss://h/", "no", cause=Cause.STATUS, status=number, wait_s=wait_s)


@pytest.mark.parametrize(
    ("policy", "error", "verdict"),
    [
        (usual, status(401), Verdict(halt=True)),
        (usual, status(403), Verdict(halt=True)),
        (patient, status(401), Verdict(elsewhere=True)),
        (usual, status(404), Verdict(elsewhere=True)),
        (usual, status(429, 12.0), Verdict(wait_s=12.0, elsewhere=True)),
        (usual, ConnectFailed("wss://h/", "refused"), Verdict(elsewhere=True)),
        (usual, LinkLost("gone"), Verdict()),
        (usual, LinkError(), Verdict()),
    ],
)
def test_what_follows_from_a_failure(policy: Policy, error: LinkError, verdict: Verdict) -> None:
    assert policy(error, 1) == verdict


@pytest.mark.parametrize("wait_s", [-1, math.nan, math.inf, "5", True, None])
def test_a_verdict_waits_for_a_time(wait_s: Any) -> None:
    with pytest.raises(InvalidSetting, match=r"wait_s: .* expected seconds, 0 or more"):
        Verdict(wait_s=wait_s)


def mistaken(error: LinkError, failures: int) -> Verdict:
    return Verdict(wait_s=-1.0)


@pytest.mark.parametrize("policy", [mistaken, lambda error, failures: None, lambda error: Verdict()])
def test_who_says_no_verdict_is_judged_as_usual(policy: Policy) -> None:
    assert judge(policy, status(401), 1, Guard("wss://h/")) == Verdict(halt=True)
    assert judge(patient, status(401), 1, Guard("wss://h/")) == Verdict(elsewhere=True)


def loud(error: LinkError, failures: int) -> Verdict:
    raise KeyError("a mistake")


@pytest.mark.parametrize("policy", [loud, lambda error, failures: None, lambda error, failures: "halt"])
async def test_a_policy_that_fails_does_not_end_the_link(policy: Policy) -> None:
    async with (
        asyncio.timeout(5),
        rpc_server() as server,
        connect(server.url, policy=policy, config=QUICK) as link,
    ):
        await server.cut()
        assert isinstance(await anext(link), Interrupted)
        assert isinstance(await anext(link), Restored)
