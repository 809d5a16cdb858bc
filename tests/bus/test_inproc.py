"""What is special to the bus inside one process."""

from __future__ import annotations

from feedmux.bus.inproc import InprocBus
from feedmux.model.event import Envelope
from support.buses import Collector, InprocWiring, ScriptedSource
from support.envelopes import TICKER, TRADES


def test_the_answer_is_there_when_want_returns() -> None:
    wiring, sink = InprocWiring(), Collector()
    wiring.bus.reader("a", sink).want(TICKER)
    assert len(sink.events) == 2


def test_an_event_is_delivered_as_it_is() -> None:
    wiring, sink = InprocWiring(), Collector()
    wiring.bus.reader("a", sink).want(TICKER)
    wiring.source.advance(TICKER)
    sent = sink.events[-1]
    wiring.bus.publish(sent)
    assert sink.events[-1] is sent


def test_wants_that_came_before_the_source_are_told_to_it() -> None:
    bus, sink = InprocBus(), Collector()
    bus.reader("a", sink).want(TICKER)
    assert sink.events == []
    source = ScriptedSource(bus)
    bus.serve(source)
    assert source.calls == [("want", TICKER, "a")]
    assert len(sink.events) == 2


def test_readers_that_come_and_go_during_a_delivery_do_not_disturb_it() -> None:
    wiring = InprocWiring()
    last = Collector()

    class Restless(Collector):
        def receive(self, envelope: Envelope, /) -> None:
            super().receive(envelope)
            if self.updates(TICKER) == [1]:
                first.close()
                wiring.bus.reader("new", Collector()).want(TRADES)

    restless = Restless()
    first = wiring.bus.reader("restless", restless)
    first.want(TICKER)
    wiring.bus.reader("last", last).want(TICKER)
    wiring.source.advance(TICKER)
    wiring.source.advance(TICKER)
    assert restless.updates(TICKER) == [1]
    assert last.updates(TICKER) == [1, 2]


def test_the_ends_say_what_they_hold() -> None:
    wiring = InprocWiring()
    reader = wiring.bus.reader("a", Collector())
    reader.want(TICKER)
    reader.want(TRADES)
    reader.drop(TICKER)
    assert reader.statistics() == {"holder": "a", "wants": 2, "drops": 1}
    assert wiring.bus.statistics() == {"readers": 1, "topics": 1}
    reader.close()
    assert wiring.bus.statistics() == {"readers": 0, "topics": 0}
