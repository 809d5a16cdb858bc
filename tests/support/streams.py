"""Judge all that one client was sent of one stream."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

Message = dict[str, Any]

VALUES = ("snapshot", "update")
TICKERS = ".ticker."
"""Nothing in a ticker may be a bare zero; a candle in which nothing was traded has that volume."""


class Run(NamedTuple):
    """Values of one epoch without a hole."""

    epoch: int | None
    values: list[Message]


def of(messages: Iterable[Message], stream: str) -> list[Message]:
    """The messages of one stream."""
    return [message for message in messages if message.get("stream") == stream]


def values(messages: Iterable[Message], stream: str) -> list[Message]:
    """The snapshots and updates of one stream."""
    return [message for message in of(messages, stream) if message["type"] in VALUES]


def states(messages: Iterable[Message], stream: str) -> list[str]:
    """The states that one stream was said to be in, in order."""
    return [m["data"]["state"] for m in of(messages, stream) if m["type"] == "status"]


def judge(messages: Sequence[Message], stream: str, *, holes: bool = False) -> list[Run]:
    """Read a stream from its first message as a careful client would.

    Args:
        messages: all that the client was sent.
        stream: which one.
        holes: whether values may be missing where a gap says so; a run ends there.

    Returns:
        the values by epoch, in order.

    Raises:
        AssertionError: a seq is missing, repeated or out of order; a value came while the stream
            was not live; an epoch went back; a value is null, or a bare zero in a ticker.
    """
    runs: list[Run] = [Run(None, [])]
    state = "live"
    for message in of(messages, stream):
        kind = message["type"]
        if kind == "status":
            state = message["data"]["state"]
        elif kind in VALUES:
            assert state == "live", f"a value while {state}: {message}"
            _take(runs, message)
            continue
        _open(runs, message["epoch"])
        if kind == "gap" and holes and runs[-1].values:
            runs.append(Run(message["epoch"], []))
    return [run for run in runs if run.values]


def _take(runs: list[Run], message: Message) -> None:
    if "epoch" in message:
        _open(runs, message["epoch"])
    run, seq = runs[-1].values, message["seq"]
    if run:
        assert seq == run[-1]["seq"] + 1, f"after seq {run[-1]['seq']}: {message}"
    elif len(runs) > 1 and runs[-2].epoch == runs[-1].epoch:
        last = runs[-2].values[-1]["seq"]
        assert seq > last, f"seq {last} came before the hole: {message}"
    for value in leaves(message["data"]):
        assert value is not None, f"a null: {message}"
        assert value != "0" or TICKERS not in message["stream"], f"a value that nobody knows: {message}"
    run.append(message)


def _open(runs: list[Run], epoch: int) -> None:
    last = runs[-1]
    if last.epoch is None:
        runs[-1] = Run(epoch, last.values)
    elif epoch != last.epoch:
        assert epoch > last.epoch, f"the epoch went back from {last.epoch} to {epoch}"
        runs.append(Run(epoch, []))


def leaves(data: Any) -> Iterator[Any]:
    """Every value in a message's data, however deep."""
    if isinstance(data, dict | list):
        for item in data.values() if isinstance(data, dict) else data:
            yield from leaves(item)
    else:
        yield data


def is_slice(part: Sequence[Any], whole: Sequence[Any]) -> bool:
    """Whether ``part`` stands in ``whole`` without a hole."""
    return any(
        list(whole[at : at + len(part)]) == list(part) for at, value in enumerate(whole) if value == part[0]
    )
