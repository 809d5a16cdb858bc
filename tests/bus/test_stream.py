"""What is special to the stream bus: its bounds, its batches, and peers that are not ours."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from itertools import pairwise
from typing import cast

import pytest
import uvloop

from feedmux.bus.stream import StreamReader, StreamWriter
from feedmux.model.event import Envelope, EventKind, State
from feedmux.model.link_errors import ConnectFailed
from feedmux.model.topic import PUBLIC, Topic
from feedmux.wire.record import Drop, Hello, Lost, Record, RecordDecoder, Want, encode
from support.buses import Collector, ScriptedSource, StreamWiring, closed, uncovered_holes
from support.envelopes import TICKER, TRADES, update
from support.waiting import until

HELLO = encode(Hello())
LONG = Topic(PUBLIC, "v" * 2000, "", "", "")


def topics(count: int) -> list[Topic]:
    return [Topic(PUBLIC, "v", "m", "ticker", str(number)) for number in range(count)]


class CountingSocket(socket.socket):
    """A socket that counts the writes it is given."""

    writes = 0

    def send(self, *args: object) -> int:
        self.writes += 1
        return super().send(*args)  # type: ignore[arg-type]


class RawPeer:
    """The other end of a road, spoken by hand."""

    def __init__(self, *accepts: type[Record]) -> None:
        mine, self.theirs = socket.socketpair()
        self.sock = mine
        self.sock.setblocking(False)
        self.decoder = RecordDecoder(*accepts)
        self.records: list[Record] = []

    async def send(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.sock, data)

    async def read(self, most_bytes: int = 1 << 20) -> bool:
        """Take what has come; False at the end."""
        loop = asyncio.get_running_loop()
        try:
            data = await asyncio.wait_for(loop.sock_recv(self.sock, most_bytes), 10)
        except ConnectionResetError:
            return False
        self.decoder.feed(data)
        self.records.extend(self.decoder.records())
        return bool(data)

    async def read_until(self, count: int) -> None:
        while len(self.records) < count:
            assert await self.read(), f"the end after {len(self.records)} records"

    async def read_to_end(self) -> None:
        while await self.read():
            pass

    def close(self) -> None:
        self.sock.close()
        if self.theirs.fileno() != -1:
            self.theirs.close()


@pytest.fixture
async def wiring() -> AsyncIterator[StreamWiring]:
    wiring = StreamWiring(bound_bytes=64 * 1024)
    yield wiring
    await wiring.close()


@pytest.fixture
async def peer(wiring: StreamWiring) -> AsyncIterator[RawPeer]:
    """A reader that speaks by hand, attached to the writer."""
    peer = RawPeer(Envelope, Lost)
    await wiring.writer.attach(peer.theirs, "raw")
    yield peer
    wiring.writer.close()
    await closed([peer.theirs])
    peer.close()


def figure(wiring: StreamWiring, holder: str, name: str) -> int:
    readers = cast(dict[str, dict[str, int]], wiring.writer.statistics()["readers"])
    return readers[holder][name]


async def test_many_envelopes_of_one_turn_leave_in_one_write() -> None:
    writer = StreamWriter()
    source = ScriptedSource(writer)
    writer.serve(source)
    left, right = socket.socketpair()
    counting = CountingSocket(fileno=left.detach())
    sink = Collector()
    reader = StreamReader(sink)
    await writer.attach(counting, "a")
    await reader.attach(right)
    reader.want(TRADES)
    await until(lambda: len(sink.events) == 2)
    before = counting.writes
    for _ in range(100):
        source.advance(TRADES)
    await until(lambda: len(sink.updates(TRADES)) == 100)
    assert counting.writes == before + 1
    reader.close()
    writer.close()
    await closed([counting, right])


async def test_what_waits_for_a_reader_is_bounded(wiring: StreamWiring, peer: RawPeer) -> None:
    await peer.send(HELLO + encode(Want(TRADES)))
    await until(lambda: wiring.source.calls)
    waited = []

    def drops() -> bool:
        for _ in range(20):
            wiring.source.advance(TRADES, b"x" * 1000)
        waited.append(figure(wiring, "raw", "waiting_bytes"))
        return figure(wiring, "raw", "dropped") >= 500

    await until(drops)
    assert 32 * 1024 < max(waited) < 64 * 1024 + 2000
    await peer.read_until(figure(wiring, "raw", "sent") + 1)
    losses = [record.count for record in peer.records if isinstance(record, Lost)]
    assert losses == [figure(wiring, "raw", "dropped")]


async def test_nothing_stands_between_a_loss_and_its_record() -> None:
    """Room that appears before the buffer has drained is not used: the hole would come first."""
    wiring, peer = StreamWiring(bound_bytes=1024 * 1024), RawPeer(Envelope, Lost)
    await wiring.writer.attach(peer.theirs, "raw")
    await peer.send(HELLO + encode(Want(TRADES)))
    await until(lambda: wiring.source.calls)
    while figure(wiring, "raw", "dropped") == 0:
        wiring.source.advance(TRADES, b"x" * 1000)
        await asyncio.sleep(0)
    while not any(isinstance(record, Lost) for record in peer.records[:-1]):
        wiring.source.advance(TRADES, b"x" * 1000)
        assert await peer.read(16 * 1024)
    for former, record in pairwise(peer.records):
        if isinstance(former, Envelope) and isinstance(record, Envelope):
            assert record.seq <= former.seq + 1
    await wiring.close()
    await closed([peer.theirs])
    peer.close()


async def test_the_largest_record_passes_through_a_small_bound(wiring: StreamWiring) -> None:
    sink = Collector()
    (await wiring.reader("a", sink)).want(TICKER)
    await until(lambda: sink.events)
    wiring.source.advance(TICKER, b"x" * 3_000_000)
    await until(lambda: sink.updates(TICKER) == [1])
    assert figure(wiring, "a", "dropped") == 0


async def test_wants_of_a_peer_that_does_not_read_are_answered_as_it_reads(
    wiring: StreamWiring, peer: RawPeer
) -> None:
    """The answers are 3 MB and the bound is 64 KiB: nothing is lost, and little waits."""
    wanted = topics(1000)
    wiring.source.values = dict.fromkeys(wanted, b"x" * 3000)
    sending = asyncio.create_task(peer.send(HELLO + b"".join(encode(Want(topic)) for topic in wanted)))
    await until(lambda: figure(wiring, "raw", "waiting_bytes") > 32 * 1024)
    assert len(wiring.source.calls) < 1000
    while len(peer.records) < 2000:
        assert figure(wiring, "raw", "waiting_bytes") < 40 * 1024
        assert await peer.read()
    await sending
    assert figure(wiring, "raw", "dropped") == 0
    snapshots = [r.topic for r in peer.records if isinstance(r, Envelope) and r.kind is EventKind.SNAPSHOT]
    assert snapshots == wanted


async def test_a_peer_that_dies_while_its_wants_are_unread_is_forgotten(
    wiring: StreamWiring, peer: RawPeer
) -> None:
    """Nobody reads its socket then; the answers that wait for it tell."""
    wanted = topics(100)
    wiring.source.values = dict.fromkeys(wanted, b"x" * 30_000)
    await peer.send(HELLO + b"".join(encode(Want(topic)) for topic in wanted))
    await until(lambda: figure(wiring, "raw", "waiting_bytes") > 32 * 1024)
    assert len(wiring.source.calls) < 100
    peer.sock.close()
    await until(lambda: wiring.source.calls[-1] == ("forget", None, "raw"))
    assert wiring.source.demand.wants() == []


async def test_a_reader_that_holds_more_than_the_bound_heals_after_a_loss(wiring: StreamWiring) -> None:
    """Were its wants answered all at once, the answers would be the next loss, for ever."""
    wanted = topics(300)
    wiring.source.values = dict.fromkeys(wanted, b"x" * 1000)
    sink = Collector()
    reader = await wiring.reader("a", sink)
    for topic in wanted:
        reader.want(topic)
    await until(lambda: len(sink.events) == 600)
    for _ in range(1000):
        wiring.source.advance(wanted[0], b"x" * 1000)
    await until(lambda: len(wiring.source.calls) == 600)
    await until(lambda: sink.events[-1].topic == wanted[-1] and sink.events[-1].kind is EventKind.SNAPSHOT)
    wiring.source.advance(wanted[0])
    await until(lambda: sink.updates(wanted[0])[-1] == 1001)
    assert [len(sink.of(topic, EventKind.GAP)) for topic in wanted] == [1] * 300
    assert not uncovered_holes(sink.of(wanted[0]))


@pytest.mark.parametrize(
    "data",
    [b"GET / HTTP/1.1\r\n\r\n", encode(Want(TICKER)), HELLO + encode(Lost(1)), HELLO + HELLO],
    ids=["another protocol", "no hello", "a record of the other direction", "two hellos"],
)
async def test_a_reader_that_sends_garbage_is_cut_and_forgotten(
    wiring: StreamWiring, peer: RawPeer, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    await peer.send(data)
    await peer.read_to_end()
    await until(lambda: wiring.source.calls == [("forget", None, "raw")])
    assert "bus.peer_malformed peer=raw error=malformed record" in caplog.text
    assert wiring.writer.statistics()["readers"] == {}


async def test_a_reader_whose_sending_side_ends_is_dead(wiring: StreamWiring, peer: RawPeer) -> None:
    await peer.send(HELLO + encode(Want(TICKER)))
    await until(lambda: wiring.source.calls)
    while figure(wiring, "raw", "waiting_bytes") == 0:  # what waits for it delays nothing
        wiring.source.advance(TICKER, b"x" * 10_000)
        await asyncio.sleep(0)
    peer.sock.shutdown(socket.SHUT_WR)
    await until(lambda: ("forget", None, "raw") in wiring.source.calls)
    assert wiring.writer.statistics()["topics"] == 0


async def test_a_writer_that_sends_garbage_is_cut_as_if_it_had_died(caplog: pytest.LogCaptureFixture) -> None:
    sink, peer = Collector(), RawPeer(Want, Drop)
    reader = StreamReader(sink, now_ns=lambda: 77)
    await reader.attach(peer.theirs)
    reader.want(TICKER)
    await peer.read_until(1)
    await peer.send(HELLO + encode(update(TICKER, 5)) + b"\xff" * 20)
    await until(lambda: sink.states(TICKER) == [State.RECONNECTING])
    assert sink.updates(TICKER) == [5], "what came before the garbage counts"
    assert (sink.events[-1].position, sink.events[-1].receive_ns) == (sink.events[0].position, 77)
    assert b"cannot be read" in sink.events[-1].payload
    assert "bus.peer_malformed" in caplog.text
    assert not reader.statistics()["connected"]
    await peer.read_to_end()
    await closed([peer.theirs])
    peer.close()


@pytest.fixture
async def writer_peer() -> AsyncIterator[RawPeer]:
    """A writer that speaks by hand."""
    peer = RawPeer(Want, Drop)
    yield peer
    await peer.read_to_end()
    await closed([peer.theirs])
    peer.close()


async def test_a_topic_of_which_nothing_came_has_no_hole_but_is_wanted_again(writer_peer: RawPeer) -> None:
    sink = Collector()
    reader = StreamReader(sink)
    await reader.attach(writer_peer.theirs)
    reader.want(TICKER, 5)
    await writer_peer.read_until(1)
    await writer_peer.send(HELLO + encode(Lost(3)))
    await writer_peer.read_until(2)
    assert writer_peer.records == [Want(TICKER, 5), Want(TICKER, 5)]
    assert sink.events == []
    assert reader.statistics()["lost"] == 3
    reader.close()


async def test_asks_wait_by_topic_while_the_writer_does_not_read(writer_peer: RawPeer) -> None:
    reader = StreamReader(Collector())
    await reader.attach(writer_peer.theirs)
    long = [Topic(PUBLIC, "v" * 800, "", "ticker", str(number)) for number in range(1000)]
    for topic in long:
        reader.want(topic)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    for topic in topics(500):
        reader.want(topic)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        reader.drop(topic)
    reader.want(TRADES)
    await writer_peer.read_until(1001)
    assert writer_peer.records == [*map(Want, long), Want(TRADES)]
    reader.close()


async def test_a_sink_that_closes_its_reader_hears_nothing_more(writer_peer: RawPeer) -> None:
    class Closing(Collector):
        def receive(self, envelope: Envelope, /) -> None:
            super().receive(envelope)
            reader.close()

    sink = Closing()
    reader = StreamReader(sink)
    await reader.attach(writer_peer.theirs)
    reader.want(TRADES)
    await writer_peer.send(HELLO + encode(update(TRADES, 1)) + encode(update(TRADES, 2)))
    await until(lambda: sink.updates(TRADES) == [1])
    await writer_peer.read_to_end()
    assert reader.statistics() == {
        "connected": False,
        "topics": 0,
        "received": 1,
        "ignored": 0,
        "lost": 0,
        "cuts": 1,
    }


async def test_what_was_dropped_while_the_writer_was_gone_is_not_asked_of_the_next(
    wiring: StreamWiring, writer_peer: RawPeer
) -> None:
    reader = await wiring.reader("a", Collector())
    reader.want(TICKER)
    await until(lambda: wiring.source.calls)
    wiring.writer.close()
    await until(lambda: not reader.statistics()["connected"])
    reader.drop(TICKER)
    reader.want(TRADES)
    await reader.attach(writer_peer.theirs)
    await writer_peer.read_until(1)
    reader.want(TICKER)
    await writer_peer.read_until(2)
    assert writer_peer.records == [Want(TRADES), Want(TICKER)]
    reader.close()


async def test_a_want_without_a_writer_is_pending_and_asked_on_attach(wiring: StreamWiring) -> None:
    sink = Collector()
    reader = StreamReader(sink)
    reader.want(TICKER)
    reader.want(TRADES)
    reader.drop(TRADES)
    assert sink.states(TICKER) == [State.PENDING]
    wiring.readers.append(reader)
    await wiring.connect(reader, "a")
    await until(lambda: sink.states(TICKER) == [State.PENDING, State.LIVE])
    assert sink.of(TICKER, EventKind.GAP) == [], "nothing was lost yet"
    assert wiring.source.calls == [("want", TICKER, "a")]


async def test_a_topic_that_cannot_be_written_is_refused(wiring: StreamWiring) -> None:
    sink = Collector()
    reader = await wiring.reader("a", sink)
    reader.want(LONG)
    reader.drop(LONG)
    assert sink.states(LONG) == [State.REFUSED]
    assert b"the bound is 1024" in sink.events[0].payload
    assert reader.statistics()["topics"] == 0


async def test_what_changes_in_one_turn_is_one_ask_per_topic(wiring: StreamWiring) -> None:
    reader = await wiring.reader("a", Collector())
    for asker in range(100):
        reader.want(TICKER, asker)
        reader.drop(TICKER)
        reader.drop(TRADES)
    reader.want(TICKER, 100)
    await until(lambda: wiring.source.calls)
    reader.drop(TICKER)
    await until(lambda: len(wiring.source.calls) == 2)
    assert wiring.source.calls == [("want", TICKER, "a"), ("drop", TICKER, "a")]
    assert wiring.source.askers == [100]


async def test_what_is_on_its_way_after_a_drop_does_not_reach_the_sink(wiring: StreamWiring) -> None:
    sink = Collector()
    reader = await wiring.reader("a", sink)
    reader.want(TICKER)
    await until(lambda: len(sink.events) == 2)
    wiring.source.advance(TICKER)
    reader.drop(TICKER)
    await until(lambda: reader.statistics()["ignored"] == 1)
    assert len(sink.events) == 2


async def test_an_envelope_that_does_not_fit_becomes_a_gap_of_one(
    wiring: StreamWiring, caplog: pytest.LogCaptureFixture
) -> None:
    sink = Collector()
    (await wiring.reader("a", sink)).want(TRADES)
    await until(lambda: len(sink.events) == 2)
    wiring.source.advance(TRADES, bytes(17 * 1024 * 1024))
    wiring.source.advance(TRADES)
    await until(lambda: sink.updates(TRADES) == [2])
    (gap,) = sink.of(TRADES, EventKind.GAP)
    assert gap.payload == b'{"from":1,"to":1,"reason":"link"}'
    assert wiring.writer.statistics()["unfit"] == 1
    assert "bus.envelope_does_not_fit" in caplog.text
    wiring.writer.publish(Envelope(TRADES, 1, 2, EventKind.STATUS, 0, 0, "", bytes(17 * 1024 * 1024)))
    assert wiring.writer.statistics()["unfit"] == 2


async def test_a_second_road_to_the_same_writer_tells_that_something_may_be_missing(
    wiring: StreamWiring,
) -> None:
    """The epoch goes on, so only the bus can know that there may be a hole."""
    sink = Collector()
    reader = await wiring.reader("a", sink)
    reader.want(TRADES)
    await until(lambda: len(sink.events) == 2)
    wiring.source.advance(TRADES)
    await until(lambda: sink.updates(TRADES) == [1])
    await wiring.connect(reader, "a")
    wiring.source.advance(TRADES)
    await until(lambda: sink.states(TRADES) == [State.LIVE, State.RECONNECTING, State.LIVE])
    wiring.source.advance(TRADES)
    await until(lambda: 3 in sink.updates(TRADES))
    assert not uncovered_holes(sink.events)
    assert wiring.source.demand.wants() == [(TRADES, "a")]


async def test_wants_that_came_before_the_source_are_told_to_it() -> None:
    writer, sink = StreamWriter(), Collector()
    reader = StreamReader(sink)
    left, right = socket.socketpair()
    await writer.attach(left, "a")
    await reader.attach(right)
    reader.want(TICKER)
    await until(lambda: writer.statistics()["topics"] == 1)
    source = ScriptedSource(writer)
    writer.serve(source)
    await until(lambda: sink.states(TICKER) == [State.LIVE])
    assert source.calls == [("want", TICKER, "a")]
    reader.close()
    writer.close()
    await closed([left, right])


async def test_what_was_published_before_the_writer_closed_still_arrives() -> None:
    wiring, sink = StreamWiring(), Collector()
    (await wiring.reader("a", sink)).want(TRADES)
    await until(lambda: len(sink.events) == 2)
    for _ in range(100):
        wiring.source.advance(TRADES)
    wiring.writer.close()
    await until(lambda: sink.states(TRADES)[-1] == State.RECONNECTING)
    assert sink.updates(TRADES) == list(range(1, 101))
    await wiring.close()


async def attach_to_what_has_closed() -> None:
    writer, reader = StreamWriter(), StreamReader(Collector())
    writer.close()
    reader.close()
    left, right = socket.socketpair()
    await writer.attach(left, "a")
    await reader.attach(right)
    await closed([left, right])
    assert writer.statistics()["readers"] == {}
    assert not reader.statistics()["connected"]


async def lose_and_heal() -> None:
    wiring, sink = StreamWiring(bound_bytes=64 * 1024), Collector()
    (await wiring.reader("a", sink)).want(TRADES)
    await until(lambda: len(sink.events) == 2)
    for _ in range(2000):
        wiring.source.advance(TRADES, b"x" * 100)
    await until(lambda: sink.events[-1].position == (1, 2000))
    assert sink.of(TRADES, EventKind.GAP)
    assert not uncovered_holes(sink.events)
    await wiring.close()


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("story", [attach_to_what_has_closed, lose_and_heal])
def test_both_event_loops_do(
    run: Callable[[Coroutine[object, object, None]], None],
    story: Callable[[], Coroutine[object, object, None]],
) -> None:
    run(story())


async def test_what_is_no_stream_socket_is_refused_and_closed() -> None:
    left, right = socket.socketpair(type=socket.SOCK_DGRAM)
    with pytest.raises(ConnectFailed, match="the bus socket of a"):
        await StreamWriter().attach(left, "a")
    with pytest.raises(ConnectFailed, match="the bus socket of the feed process"):
        await StreamReader(Collector()).attach(right)
    assert left.fileno() == right.fileno() == -1
