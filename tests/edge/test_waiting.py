from __future__ import annotations

from feedmux.edge.waiting import Waiting
from support.edge import ticker, trades

BTC, ETH = ticker("BTCUSDT"), trades("ETHUSDT")


def request() -> Waiting:
    waiting = Waiting(5.0, None)
    waiting.args = [("a", BTC, ""), (7, None, "no string"), ("b", ETH, ""), ("c", BTC, "")]
    waiting.open = {BTC, ETH}
    return waiting


def test_every_arg_of_a_refused_topic_is_rejected_and_is_not_waited_for() -> None:
    waiting = request()
    waiting.refuse(BTC, "no")
    assert waiting.args == [("a", None, "no"), (7, None, "no string"), ("b", ETH, ""), ("c", None, "no")]
    assert waiting.topics == [ETH]
    assert waiting.open == {ETH}


def test_it_is_ready_when_it_is_whole_and_nothing_is_open() -> None:
    waiting = request()
    assert not waiting.ready
    waiting.building = False
    assert not waiting.ready
    waiting.open.clear()
    assert waiting.ready
