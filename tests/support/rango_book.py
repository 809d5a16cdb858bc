"""A producer of a book as Peatio's matching engine is, and a front end's copy of it."""

from __future__ import annotations

import json
import random
from typing import Any, Final

from support.rango_gateway import Scene

SIDES: Final = ("asks", "bids")
_MIDDLE: Final = 1000


class Engine:
    """Publishes changes of one book, each with the number after the last, and a snapshot now and then.

    Args:
        scene: where to.
        stream: the name of the stream without its ending; ``*`` is the market.
        seed: of what happens on the market.
    """

    def __init__(self, scene: Scene, stream: str = "public.*.ob", seed: int = 1) -> None:
        self._scene = scene
        self._stream = stream
        self._random = random.Random(seed)
        self.sequence = 0
        self.sides: dict[str, dict[str, str]] = {side: {} for side in SIDES}

    def change(self, count: int = 1) -> None:
        """Change so many levels: the payload is a flat pair, and an amount of 0 takes a level out."""
        for _ in range(count):
            self.skip()
            self._scene.say(f"{self._stream}-inc", {self._side: list(self._level), "sequence": self.sequence})

    def skip(self) -> None:
        """Change a level, and publish nothing of it."""
        self.sequence += 1
        self._side = self._random.choice(SIDES)
        away = self._random.randint(1, 40)
        price = f"{(_MIDDLE + (away if self._side == 'asks' else -away)) / 10:.1f}"
        amount = self._random.choice(["0.0", "22.1", "0.7", "13"])
        self._level = (price, amount)
        if amount == "0.0":
            self.sides[self._side].pop(price, None)
        else:
            self.sides[self._side][price] = amount

    def show(self) -> None:
        """Publish the whole book; its number is that of the last change."""
        self._scene.say(f"{self._stream}-snap", self.snapshot())

    def snapshot(self) -> dict[str, Any]:
        """The whole book as it is published."""
        levels = {side: [list(level) for level in self.sides[side].items()] for side in SIDES}
        return levels | {"sequence": self.sequence}


class OutOfSequence(Exception):
    """A change does not follow the last one: baseapp connects anew."""


class Copy:
    """A front end's book: it takes messages, and insists that each change follows the last one."""

    def __init__(self) -> None:
        self.sides: dict[str, dict[str, str]] | None = None
        self.sequence = 0

    def take(self, text: str) -> None:
        """Apply a message, if it is one of a book.

        Raises:
            OutOfSequence: it does not follow.
        """
        for name, body in json.loads(text).items():
            if name.endswith("-snap"):
                self.sides = {side: dict(body[side]) for side in SIDES}
                self.sequence = body["sequence"]
            elif name.endswith("-inc"):
                self._change(body)

    def _change(self, body: dict[str, Any]) -> None:
        if self.sides is None or body["sequence"] != self.sequence + 1:
            raise OutOfSequence(f"{body['sequence']} after {self.sequence}")
        self.sequence = body["sequence"]
        for side in set(SIDES) & set(body):
            told = body[side]
            for price, amount in [told] if isinstance(told[0], str) else told:
                if float(amount):
                    self.sides[side][price] = amount
                else:
                    self.sides[side].pop(price, None)

    def equals(self, engine: Engine) -> bool:
        """Whether it is the producer's book."""
        return (self.sides, self.sequence) == (engine.sides, engine.sequence)
