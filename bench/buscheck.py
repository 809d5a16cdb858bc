"""What the measuring code of P11 counts, tried on messages that are made up and on each way through Redis."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from bench.bus.port import MESSAGE_BYTES, TOPICS, Work, message, number_of
from bench.bus.tally import Tally, figures
from bench.loadcheck import LONGER, TRADE, expect, frame, gap
from bench.report import say
from bench.rivals.buses import Bus, buses
from bench.system.ears import FOLLOWER, OWNER, Account, Heard, compare
from bench.system.native import BenchError
from bench.system.p11 import cross
from bench.system.redis import Redis, redis

_WORK = Work(serial=3, rate=1_000, burst=5, seconds=0.1)
_START_NS = 1_000_000_000
_MS = 1_000_000


# ---- the bus ---------------------------------------------------------------------------------------------


def _all() -> list[tuple[int, int]]:
    """Every message of the work and when it is seen: 2 ms after it was due."""
    numbers = range(_WORK.messages)
    return [(_WORK.first + one, _WORK.due_ns(_START_NS, one // 5) + 2 * _MS) for one in numbers]


def _counted(seen: Sequence[tuple[int, int]], **wanted: int) -> dict[str, Any]:
    got = figures(_WORK, _START_NS, [number for number, _ in seen], [at_ns for _, at_ns in seen])
    found = {name: got[name] for name in wanted}
    expect(found == wanted, f"{found} instead of {wanted}")
    return got


def bus_message_has_its_size_and_its_number() -> None:
    """All topics take turns; a number is read as it was written."""
    made = [message(number) for number in range(_WORK.first, _WORK.first + TOPICS)]
    expect({len(text) for _, text in made} == {MESSAGE_BYTES}, {len(text) for _, text in made})
    expect(len({topic for topic, _ in made}) == TOPICS, "a topic is missing")
    expect([number_of(text) for _, text in made] == list(range(_WORK.first, _WORK.first + TOPICS)), made[0])
    expect(number_of(message(_WORK.end)[1]) == _WORK.end, "the end cannot be read")


def bus_knows_that_a_work_is_over() -> None:
    """The end of the work before is not its own."""
    tally = Tally(_WORK)
    tally.see(_WORK._replace(serial=2).end)
    expect(not tally.is_over, "it took another work's end for its own")
    tally.see(_WORK.end)
    expect(tally.is_over, "it did not see the end")


def bus_counts_what_is_missing() -> None:
    """Nothing; three messages in two places; messages of another work, which are not its own."""
    seen = _all()
    other = [(_WORK._replace(serial=2).first, 0), (_WORK.end, 0)]
    _counted([other[0], *seen, other[1]], sent=100, received=100, lost=0, duplicates=0, disorder=0)
    del seen[40], seen[20:22]
    _counted(seen, sent=100, received=97, lost=3, duplicates=0, disorder=0)


def bus_sees_messages_out_of_order_and_twice() -> None:
    """Two that change places; one that comes again at once, one that comes again later."""
    seen = _all()
    seen[20], seen[21] = seen[21], seen[20]
    _counted(seen, lost=0, duplicates=0, disorder=1)
    seen = _all()
    seen.insert(21, seen[20])
    _counted(seen, lost=0, duplicates=1, disorder=0)
    _counted([*_all(), _all()[7]], lost=0, duplicates=1, disorder=1)


def bus_knows_how_late_a_message_is() -> None:
    """All by 2 ms but for two, by a second; so the work took longer, and fewer came in a second."""
    seen = _all()
    got = _counted(seen)
    expect(got["p50_ns"] == got["max_ns"] == 2 * _MS, got)
    seen[98:] = [(number, at_ns + 998 * _MS) for number, at_ns in seen[98:]]
    got = _counted(seen)
    expect(got["p50_ns"] == got["p90_ns"] == 2 * _MS and got["p99_ns"] == 1_000 * _MS, got)
    expect(90 < got["received_per_s"] < 95, got)


# ---- the two listeners -----------------------------------------------------------------------------------


def _said(stream: str, seq: int) -> bytes:
    """A frame of the gateway; its message was due as many milliseconds after the start as its number."""
    data = f'[{{"id":"{_START_NS + seq * _MS:017d}-xx"}}]'
    return frame(f'{{"stream":"{stream}","type":"update","data":{data},"seq":{seq}}}')


def _heard(seqs: Sequence[int], late_ns: int) -> list[Heard]:
    """Both streams, in these numbers."""
    return [
        Heard(_START_NS + seq * _MS + late_ns, _said(stream, seq))
        for seq in seqs
        for stream in (TRADE, LONGER)
    ]


def _compared(owner: Sequence[Heard], follower: Sequence[Heard], **wanted: int) -> dict[str, Any]:
    got = compare(Account(owner), Account(follower), _START_NS, _START_NS + 1_000 * _MS)
    found = {name: got[FOLLOWER][name] for name in wanted}
    expect(found == wanted, f"{found} instead of {wanted}")
    expect(not any(got[OWNER][name] for name in ("lost", "disorder", "duplicates", "gap_messages")), got)
    return got


def ears_know_what_the_second_node_adds() -> None:
    """1 ms and 4 ms after the intended time: 3 ms, whatever pieces the bytes come in."""
    whole = list(range(1, 101))
    got = _compared(_heard(whole, _MS), _heard(whole, 4 * _MS), lost=0, messages=200)
    expect(got["messages"] == 200 and got["added"]["p50_ns"] == got["added"]["p99_ns"] == 3 * _MS, got)
    expect(got[OWNER]["p50_ns"] == _MS and got[FOLLOWER]["p99_ns"] == 4 * _MS, got)
    for piece in (1, 7, 130):
        cut = [
            Heard(one.at_ns, one.data[at : at + piece])
            for one in _heard(whole, 4 * _MS)
            for at in range(0, len(one.data), piece)
        ]
        got = _compared(_heard(whole, _MS), cut, lost=0, disorder=0, messages=200)
        expect(got["added"]["p99_ns"] == 3 * _MS, got)


def ears_see_what_is_missing_at_one_of_them() -> None:
    """Two values of each stream in the middle; the last one, which no later one tells of."""
    whole = list(range(1, 101))
    _compared(_heard(whole, 0), _heard([*whole[:50], *whole[52:]], 0), lost=4, gap_messages=0)
    _compared(_heard(whole, 0), _heard(whole[:-1], 0), lost=2)


def ears_see_gaps_disorder_and_values_that_come_twice() -> None:
    """Each of them, at one place."""
    whole = list(range(1, 101))
    told = _heard(whole, 0)
    told.insert(50, Heard(_START_NS, frame(gap(TRADE, 3, 4))))
    _compared(_heard(whole, 0), told, lost=0, gap_messages=1)
    _compared(_heard(whole, 0), _heard([*whole, 100], 0), lost=0, duplicates=2, disorder=0)
    _compared(_heard(whole, 0), _heard([*whole, 50], 0), lost=0, duplicates=0, disorder=2)


def ears_leave_out_what_was_not_due_in_the_time() -> None:
    """What was due in the warm-up and after the end is heard, but does not count."""
    both = _heard(range(1, 101), _MS)
    got = compare(Account(both), Account(both), _START_NS + 10 * _MS, _START_NS + 20 * _MS)
    expect(got["messages"] == 20 and not got[FOLLOWER]["lost"], got)


# ---- each way --------------------------------------------------------------------------------------------


def checks() -> list[tuple[str, Callable[[], None]]]:
    """A sentence and a function for each way through Redis that is installed."""
    return [
        (f"{bus.name} brings every message through Redis in order", _every_message(bus)) for bus in buses()
    ]


def _every_message(bus: Bus) -> Callable[[], None]:
    def check() -> None:
        with _redis() as server:
            got = cross(server, bus, 2_000, seconds=1.0)
        wanted = {
            "sent": 2_000,
            "received": 2_000,
            "lost": 0,
            "duplicates": 0,
            "disorder": 0,
            "gap_messages": 0,
        }
        expect({name: got[name] for name in wanted} == wanted, got)
        expect(0 < got["p50_ns"] <= got["p99_ns"] <= got["max_ns"], got)
        expect(all(got["cpu_us"][name] > 0 for name in ("writer", "redis", "reader")), got["cpu_us"])

    return check


@contextmanager
def _redis() -> Iterator[Redis]:
    try:
        with redis() as server:
            yield server
    except BenchError as error:
        raise AssertionError(str(error)) from error


CHECKS: Sequence[Callable[[], None]] = (
    bus_message_has_its_size_and_its_number,
    bus_knows_that_a_work_is_over,
    bus_counts_what_is_missing,
    bus_sees_messages_out_of_order_and_twice,
    bus_knows_how_late_a_message_is,
    ears_know_what_the_second_node_adds,
    ears_see_what_is_missing_at_one_of_them,
    ears_see_gaps_disorder_and_values_that_come_twice,
    ears_leave_out_what_was_not_due_in_the_time,
)


if __name__ == "__main__":
    for name, check in [*((check.__name__.replace("_", " "), check) for check in CHECKS), *checks()]:
        check()
        say(f"{name}: holds")
