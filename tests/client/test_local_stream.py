"""What a program reads of a gateway's topics: messages while nothing is missing, and notices where it is."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from feedmux.client import local_stream
from feedmux.client.events import Interrupted, Restored
from feedmux.client.local_events import (
    BrokerGone,
    BrokerLog,
    SocketClosed,
    SocketData,
    SocketError,
    SocketLost,
    SocketOpened,
    SocketRestored,
)
from feedmux.client.local_stream import Item, TopicStream
from feedmux.model.errors import MalformedMessage, Refused
from support.waiting import until

TOPICS = ("ticker:A", "ticker:B")
TICK = {"stream": "mudrex.futures.ticker.A", "type": "update", "data": {}}


class Scene:
    """A stream, what came out of it, and what it asked for."""

    def __init__(self, *topics: str) -> None:
        self.out: list[Item] = []
        self.renewed: list[str] = []
        self.narrowed: list[tuple[int, tuple[str, ...]]] = []
        self.stream = TopicStream(
            topics or TOPICS,
            put=self.out.append,
            renew=self.renewed.append,
            narrow=lambda id, topics: self.narrowed.append((id, topics)),
        )

    def says(self, message: object) -> None:
        self.stream.take(SocketData(7, json.dumps(message).encode()))

    def answer(self, *args: str, rejected: dict[str, str] | None = None, **more: Any) -> None:
        listed = [{"arg": arg, "reason": reason} for arg, reason in (rejected or {}).items()]
        answer = {"op": "subscribe", "success": bool(args), "args": args, "message": "", **more}
        self.says(answer | {"rejected": listed or None})

    def restored(self) -> Restored:
        found = self.out[-1]
        assert isinstance(found, Restored)
        return found


@pytest.fixture(name="scene")
async def _scene() -> Scene:
    return Scene()


@pytest.fixture(name="live")
async def _live(scene: Scene) -> Scene:
    scene.answer(*TOPICS)
    return scene


async def test_messages_come_out_and_answers_do_not(scene: Scene) -> None:
    scene.stream.take(SocketOpened(7, True))
    assert not scene.stream.answered.done()
    scene.answer(*TOPICS)
    await scene.stream.answered
    scene.says(TICK)
    scene.says({"op": "pong"})
    assert scene.out == [TICK]


async def test_what_is_refused_is_told_first_and_wanted_no_longer(scene: Scene) -> None:
    scene.answer("ticker:A", rejected={"ticker:B": "no such symbol"})
    assert scene.restored() == Restored(0.0, ("ticker:A",), {"ticker:B": "no such symbol"})
    assert scene.narrowed == [(7, ("ticker:A",))]
    await scene.stream.answered


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"op": "error", "code": "LIMIT_EXCEEDED", "message": "Max 1 subscriptions allowed"},
         "ticker:A, ticker:B was refused: Max 1 subscriptions allowed"),
        ({"op": "subscribe", "success": False, "args": [], "message": "",
          "rejected": [{"arg": "ticker:A", "reason": "no"}, {"arg": "ticker:B", "reason": "no"}]},
         "ticker:A, ticker:B was refused: no"),
    ],
)  # fmt: skip
async def test_if_everything_is_refused_it_does_not_begin(
    scene: Scene, answer: dict[str, Any], said: str
) -> None:
    scene.says(answer)
    with pytest.raises(Refused) as caught:
        await scene.stream.answered
    assert str(caught.value) == said
    scene.says(TICK)
    assert scene.out == []


async def test_a_gateway_that_dies_is_told_once_and_so_is_the_next_one(live: Scene) -> None:
    live.stream.take(BrokerGone("it hung up"))
    live.stream.take(SocketClosed(7, "the broker is gone: it hung up"))
    live.stream.take(SocketError(0, "no gateway", "NO_GATEWAY"))
    live.stream.take(SocketRestored(7, 1.0))
    live.says(TICK)  # nobody vouches for what comes before the answer
    assert live.out == [Interrupted("the gateway is gone: it hung up")]
    live.answer(*TOPICS)
    assert 0 <= live.restored().after_s < 10
    assert live.restored().channels == TOPICS
    live.says(TICK)
    assert live.out[2:] == [TICK]
    assert live.renewed == []


async def test_a_gateway_that_goes_away_says_why(live: Scene) -> None:
    live.stream.take(SocketClosed(7, "the gateway is going away", 1001))
    live.stream.take(BrokerGone("it hung up"))
    assert live.out == [Interrupted("the gateway is going away")]


@pytest.mark.parametrize(
    ("missed", "reason"),
    [
        (SocketLost(7, 4096),
         "this program was too slow: 4096 bytes of its ring were overwritten before they were read"),
        (SocketError(7, "a message was left out"), "a message was left out"),
    ],
)  # fmt: skip
async def test_what_was_missed_is_told_and_begun_anew(
    live: Scene, missed: SocketLost | SocketError, reason: str
) -> None:
    live.stream.take(missed)
    live.says(TICK)
    live.stream.take(missed)
    assert live.out == [Interrupted(reason)]
    await until(lambda: live.renewed)
    assert live.renewed == [reason]
    live.stream.take(BrokerGone(reason))
    live.answer(*TOPICS)
    assert live.out[1:] == [live.restored()]


async def test_a_program_that_is_always_too_slow_does_not_begin_anew_all_the_time(
    live: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_stream, "PAUSE_S", 3600)
    for _ in range(2):
        live.stream.take(SocketLost(7, 1))
        await until(lambda: live.renewed)
        live.stream.take(BrokerGone("renewed"))
        live.answer(*TOPICS)
    live.stream.take(SocketLost(7, 1))
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(live.renewed) == 1, "the second one waits"
    live.stream.take(BrokerGone("it hung up"))  # another ring comes without it
    live.stream.close()


async def test_what_is_lost_before_the_answer_is_part_of_the_beginning(scene: Scene) -> None:
    scene.stream.take(SocketLost(7, 1))
    scene.stream.take(BrokerGone("it hung up"))
    scene.answer(*TOPICS)
    assert scene.out == []
    await scene.stream.answered


async def test_if_nothing_is_left_later_that_is_the_last_word(live: Scene) -> None:
    live.stream.take(BrokerGone("it hung up"))
    live.answer(rejected={"ticker:A": "no such symbol", "ticker:B": "delisted"})
    live.answer(*TOPICS)
    interrupted, error = live.out
    assert isinstance(interrupted, Interrupted)
    assert isinstance(error, Refused)
    assert error.reason == "no such symbol; delisted"


async def test_an_opening_that_fails_is_not_missed_data(live: Scene) -> None:
    live.stream.take(SocketError(7, "it was not opened again: no memory", "NO_MEMORY"))
    assert live.out == []


async def test_a_ring_that_is_not_opened_again_is_the_end(live: Scene) -> None:
    live.stream.take(SocketClosed(7, "nothing else", again=False))
    assert [type(item) for item in live.out] == [Interrupted, Refused]


async def test_what_is_no_message_is_not_handed_on(live: Scene) -> None:
    with pytest.raises(MalformedMessage):
        live.stream.take(SocketData(7, b"[1]"))
    live.stream.take(BrokerLog(2, "a line"))
    assert live.out == []
