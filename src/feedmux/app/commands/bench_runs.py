"""The runs of ``feedmux bench``: what is started for one, and what comes out of it."""

from __future__ import annotations

import resource
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final, NamedTuple

import msgspec

from feedmux.app.cpu import cpu_seconds
from feedmux.app.measurement import Delays, Point, SlowClients, Workload, per_second
from feedmux.app.own_gateway import OwnGateway
from feedmux.model.errors import FeedmuxError
from feedmux.sim.generator import Generator
from feedmux.sim.swarm import Swarm, SwarmOptions, TooFewDescriptors, descriptors
from feedmux.sim.tally import Group, Latency, Outcome
from feedmux.sim.target import Target, probe

SPARE: Final = 128
"""What a gateway may need beyond its clients: descriptors, and seats for whoever looks at it."""
_VENUE_S = 10.0


class Setting(NamedTuple):
    """What is measured.

    Args:
        target: where the clients connect.
        options: what they do.
        pid: the server's process, when its CPU time can be read.
        venue: the source that is told a rate; None where the data comes by itself.
        gateway: the gateway, when it is ours.
    """

    target: Target
    options: SwarmOptions
    pid: int | None
    venue: Generator | None
    gateway: OwnGateway | None


@asynccontextmanager
async def own(options: SwarmOptions, settings: dict[str, str], message_bytes: int) -> AsyncIterator[Setting]:
    """A venue and a gateway of our own; both are gone at the end.

    Args:
        options: what its clients will do.
        settings: the gateway's, by name.
        message_bytes: about how long a message to a client is.

    Raises:
        TooFewDescriptors: the gateway may not open as many files as it will have clients.
        GatewayDied, GeneratorDied, NoGenerator: one of them did not start.
        Refused: the venue does not have the topics.
    """
    _raise_limit(options.clients)
    async with AsyncExitStack() as stack:
        venue = await Generator.start("venue", ["--client-bytes", message_bytes, "--order", "random"])
        stack.push_async_callback(venue.end)
        port = msgspec.json.decode(await venue.line(_VENUE_S), type=dict[str, int])["port"]
        upstream = {"bybit_ws_url": f"ws://127.0.0.1:{port}/v5/public/linear"}
        gateway = await stack.enter_async_context(OwnGateway(upstream | settings))
        setting = Setting(await Target.of(gateway.url), options, gateway.pid, venue, gateway)
        await _look_at(setting)
        yield setting


async def theirs(url: str, options: SwarmOptions, pid: int | None) -> Setting:
    """Somebody's server.

    Raises:
        InvalidSetting: the URL is none that can be measured.
        ConnectFailed, NotAGateway, FullHouse, Refused: a client could not subscribe; says why.
    """
    setting = Setting(await Target.of(url), options, pid, None, None)
    await _look_at(setting)
    return setting


async def _look_at(setting: Setting) -> None:
    """Send one client ahead, with as many topics as one will have."""
    await probe(setting.target, setting.options.topics[: setting.options.each or None])


def _raise_limit(clients: int) -> None:
    """Let our children open as many files as they may; a gateway is one process."""
    limit = descriptors()
    if clients + SPARE > limit:
        raise TooFewDescriptors("the gateway", clients + SPARE, limit)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def workload(setting: Setting) -> Workload:
    """What will be done, as the result tells it."""
    options = setting.options
    return Workload(
        server="own gateway" if setting.gateway else setting.target.url,
        clients=options.clients,
        topics=len(options.topics),
        each=options.each or len(options.topics),
        seconds=options.seconds,
        warmup_seconds=options.warmup_s,
        slow=options.slow,
        stop_reading=options.stop_reading,
        processes=Swarm(setting.target, options).processes,
        times=options.times,
    )


async def run(setting: Setting, rate: float | None) -> Point:
    """Let new clients subscribe, let data flow, count.

    Args:
        setting: what is measured.
        rate: messages per second that the venue is told to send; None where there is none.

    Raises:
        FeedmuxError: clients could not subscribe, nothing came, or a process died; says which and why.
    """
    try:
        async with Swarm(setting.target, setting.options) as swarm:
            return await _count(setting, swarm, rate)
    except FeedmuxError:
        if setting.gateway is not None:
            await setting.gateway.check()  # then what the clients saw is only what followed from it
        raise


async def _count(setting: Setting, swarm: Swarm, rate: float | None) -> Point:
    ready = await swarm.ready()
    at = f", {per_second(rate)} messages/s" if rate is not None else ""
    say(f"{ready.connected:,} clients subscribed in {ready.seconds:.2f} s{at}")
    if setting.venue is not None:
        await setting.venue.tell(f"rate {rate}")
    await swarm.measuring()
    before = cpu_seconds(setting.pid) if setting.pid else None
    outcome = await swarm.result()
    after = cpu_seconds(setting.pid) if setting.pid else None
    behind = await _rest(setting.venue) if setting.venue is not None else None
    cpu = after - before if before is not None and after is not None else None
    return _point(outcome, ready.seconds, rate=rate, cpu=cpu, behind=behind)


async def _rest(venue: Generator) -> int:
    """Let the venue be quiet; how many messages it is behind with."""
    await venue.tell("stats")
    behind = msgspec.json.decode(await venue.line(_VENUE_S), type=dict[str, float])["behind"]
    await venue.tell("stop")
    return int(behind)


def _point(
    outcome: Outcome, connect_seconds: float, *, rate: float | None, cpu: float | None, behind: int | None
) -> Point:
    usual, slow = outcome.usual, outcome.slow
    everything = usual.deliveries + (slow.deliveries if slow else 0)
    return Point(
        rate=rate,
        deliveries=usual.deliveries,
        deliveries_per_s=round(usual.deliveries_per_s, 1),
        seconds=outcome.seconds,
        lost=usual.lost,
        disorder=usual.disorder,
        duplicates=usual.duplicates,
        announced=usual.announced,
        closed=outcome.closed,
        close_codes=outcome.close_codes or None,
        bytes=usual.bytes,
        connect_seconds=connect_seconds,
        load_busy=outcome.load_busy,
        latency=_delays(usual.latency) if usual.latency else None,
        cpu_us_per_delivery=round(cpu / everything * 1e6, 3) if cpu and everything else None,
        server_busy=round(cpu / outcome.seconds, 3) if cpu is not None and outcome.seconds else None,
        venue_behind=behind,
        slow=_slow(slow, outcome.slow_closed) if slow else None,
    )


def _delays(latency: Latency) -> Delays:
    return Delays(
        measured=latency.measured,
        p50_ms=latency.p50_ns / 1e6,
        p90_ms=latency.p90_ns / 1e6,
        p99_ms=latency.p99_ns / 1e6,
        p999_ms=latency.p999_ns / 1e6,
        max_ms=latency.max_ns / 1e6,
    )


def _slow(group: Group, closed: int) -> SlowClients:
    return SlowClients(
        deliveries=group.deliveries,
        lost=group.lost,
        conflated=group.conflated,
        announced=group.announced,
        closed=closed,
    )


def say(sentence: str) -> None:
    """Tell of progress, on standard error, so that standard output is the result alone."""
    sys.stderr.write(f"{sentence}\n")
    sys.stderr.flush()
