"""An object's story over every bus: whoever comes, whenever, has it whole, and nothing of it twice."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from feedmux.core.increments import ObjectLimits, Stored
from feedmux.core.outbox import TopicRow
from feedmux.hub.hub import Hub
from feedmux.model.event import Envelope, State, Status
from support.buses import InprocWiring, ShmWiring, StreamWiring, Wiring
from support.hubs import Reader, ScriptedTime
from support.objects import BOOK, LINES, Copy, Follower, ask, base
from support.waiting import until

BUSES: dict[str, Callable[[], Wiring]] = {"inproc": InprocWiring, "stream": StreamWiring, "shm": ShmWiring}
SMALL_BUSES: dict[str, Callable[[], Wiring]] = {
    "stream": lambda: StreamWiring(bound_bytes=16 * 1024),
    "shm": lambda: ShmWiring(64 * 1024),
}
LIMITS = ObjectLimits(increments=20)
FIRST = [base(1, "2@1"), *(ask(seq, f"{seq}@1") for seq in range(2, 6))]


@pytest.fixture(params=BUSES)
async def wiring(request: pytest.FixtureRequest) -> AsyncIterator[Wiring]:
    wiring = BUSES[request.param]()
    wiring.source.objects[BOOK] = Stored(LIMITS)
    yield wiring
    await wiring.close()


class Edge:
    """A reader of the bus with a hub, and one client of it."""

    def __init__(self) -> None:
        time = ScriptedTime()
        self.hub = Hub(TopicRow, time, time.call_later, limits=LIMITS)
        self.reader = Reader(LINES, then=lambda topic, _: self.hub.join(topic, self.reader))
        self.follower = Follower()
        self.told: list[str] = []

    @classmethod
    async def start(cls, wiring: Wiring, holder: str) -> Edge:
        edge = cls()
        edge.hub.connect(await wiring.reader(holder, edge.hub))
        edge.hub.attach(BOOK, edge.reader, asker=0)
        return edge

    def read(self) -> list[str]:
        """All that the client was told until now, applied as it came."""
        self.told += self.follower.read(self.reader.take())
        return self.told

    async def has(self, copy: Copy) -> None:
        """Wait until the client's copy is the writer's."""

        def is_whole() -> bool:
            self.read()
            return self.follower.copy == copy and self.follower.copy.is_whole

        await until(is_whole, "the client has the object")


def said(wiring: Wiring, *parts: Envelope) -> None:
    for one in parts:
        wiring.source.say(one)


def names(*seqs: int) -> list[str]:
    return [f"UPDATE 1:{seq}" for seq in seqs]


async def test_a_late_joiner_at_another_reader_gets_the_parts_and_then_increments(wiring: Wiring) -> None:
    early = await Edge.start(wiring, "a")
    await until(lambda: wiring.source.calls)
    said(wiring, *FIRST)
    late = await Edge.start(wiring, "b")
    await until(lambda: len(wiring.source.calls) == 2)
    said(wiring, ask(6, "6@1"), ask(7, "2@0"))
    truth = Copy().follow([*FIRST, ask(6, "6@1"), ask(7, "2@0")])
    await early.has(truth)
    await late.has(truth)
    assert early.told[-7:] == late.told[-7:] == ["SNAPSHOT 1:1", *names(2, 3, 4, 5, 6, 7)]
    for edge in (early, late):
        assert edge.told.count("SNAPSHOT 1:1") == 1, "nothing comes twice"
        assert not [told for told in edge.told if told.startswith("GAP")]


async def test_who_holds_it_hears_nothing_of_a_repeated_or_a_folded_snapshot(wiring: Wiring) -> None:
    early = await Edge.start(wiring, "a")
    await until(lambda: wiring.source.calls)
    said(wiring, *FIRST, base(6, *(f"{seq}@1" for seq in range(2, 6)), sequence=5))
    increments = [ask(seq, f"{seq}@2", sequence=seq - 1) for seq in range(7, 30)]
    said(wiring, *increments)
    assert wiring.source.objects[BOOK].parts()[0].seq > 6, "the writer folded it"
    late = await Edge.start(wiring, "b")
    await until(lambda: len(wiring.source.calls) == 2)
    said(wiring, ask(30, "1@1", sequence=29))
    truth = Copy().follow(wiring.source.objects[BOOK].parts())
    await early.has(truth)
    await late.has(truth)
    assert [told for told in early.read() if told != "live"] == [
        "SNAPSHOT 1:1", *names(2, 3, 4, 5), *names(*range(7, 31)),
    ]  # fmt: skip
    assert sum(told.startswith("SNAPSHOT") for told in late.told) == 1


async def test_a_snapshot_that_mends_comes_before_the_status_that_says_so(wiring: Wiring) -> None:
    edge = await Edge.start(wiring, "a")
    await until(lambda: wiring.source.calls)
    said(wiring, *FIRST)
    wiring.source.status(BOOK, Status(State.STALE, "sequence 6 is missing"))
    said(wiring, base(6, "9@1", sequence=7))
    wiring.source.status(BOOK, Status(State.LIVE))
    said(wiring, base(7, "9@1"), ask(8, "8@1"))
    await edge.has(Copy().follow([base(7, "9@1"), ask(8, "8@1")]))
    assert edge.told[-4:] == ["stale", "SNAPSHOT 1:6", "live", "UPDATE 1:8"]


@pytest.mark.parametrize("kind", SMALL_BUSES)
async def test_a_reader_that_lost_increments_has_the_object_again(kind: str) -> None:
    wiring = SMALL_BUSES[kind]()
    wiring.source.objects[BOOK] = Stored(LIMITS)
    early, late = await Edge.start(wiring, "a"), await Edge.start(wiring, "b")
    await until(lambda: len(wiring.source.calls) == 2)
    said(wiring, *FIRST)
    await early.has(Copy().follow(FIRST))
    said(wiring, *(ask(seq, f"{seq % 50 + 1}@{seq}") for seq in range(6, 3_000)))  # in one turn
    await until(lambda: len(wiring.source.calls) >= 4, "both want again")
    said(wiring, ask(3_000, "7@7"))
    truth = Copy().follow(wiring.source.objects[BOOK].parts())
    for edge in (early, late):
        await edge.has(truth)
        assert sum(told.startswith("GAP") for told in edge.told) >= 1
        assert edge.told[-1] == "UPDATE 1:3000"
    await wiring.close()
