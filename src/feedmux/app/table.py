"""Draw what a gateway sends: one row per stream, prices coloured by where they moved.

A table is fed with decoded messages and draws what it knows at that moment; it owns no
task and no terminal. What a venue did not say stays blank.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Final, NamedTuple

from rich import box
from rich.console import Console, ConsoleOptions, RenderableType
from rich.table import Table
from rich.text import Text

from feedmux.model.ports import Clock

Message = Mapping[str, Any]

WIDE: Final = 106
"""From this width on, sizes and message counts are shown too."""
RATE_SECONDS: Final = 3
"""The message rate is the mean of so many whole seconds."""
MAX_PROBLEMS: Final = 5
STATE_STYLES: Final = {
    "live": "green",
    "stale": "yellow",
    "reconnecting": "yellow",
    "refused": "red",
    "pending": "cyan",
    "offline": "yellow",
}
UP, DOWN, STILL = "green", "red", ""
_KINDS: Final = frozenset({"ticker", "kline", "trade"})


class Facts(NamedTuple):
    """What one message says about a row, as texts; what it does not say is empty.

    Args:
        last: the price to watch: last, close, or of the latest trade.
        change: per cent, over a day for tickers, since the open for candles.
        left: bid, low, or what was bought; with a word unless it is the bid.
        right: ask, high, or what was sold.
        left_size: what stands behind ``left``, shown where there is room.
        right_size: the same for ``right``.
    """

    last: str = ""
    change: str = ""
    left: str = ""
    right: str = ""
    left_size: str = ""
    right_size: str = ""


class _Line:
    """One stream's row."""

    def __init__(self, label: str) -> None:
        self.label = label
        self.facts = Facts()
        self.style = STILL
        self.state = ""
        self.count = 0
        self.at: float | None = None

    def take(self, facts: Facts, now: float) -> None:
        """Show newer values and colour them by the way they went."""
        if facts.last != self.facts.last:
            moved = _minus(facts.last, self.facts.last)
            self.style = STILL if not moved else UP if moved > 0 else DOWN
        self.facts, self.at, self.state = facts, now, "live"
        self.count += 1


class PriceTable:
    """A live picture of streams; a rich renderable.

    Args:
        title: what is being watched, e.g. the gateway's URL.
        clock: for ages and rates.
    """

    def __init__(self, title: str, clock: Clock) -> None:
        self._title = title
        self._clock = clock
        self._note = "connecting"
        self._is_good = False
        self._lines: dict[str, _Line] = {}
        self._waiting: dict[str, str] = {}
        self._problems: deque[str] = deque(maxlen=MAX_PROBLEMS)
        self._rejected: dict[str, str] = {}
        self._seconds: Counter[int] = Counter()

    def note(self, text: str, *, good: bool = False) -> None:
        """Show how the connection is. While it is not ``good``, no stream counts as live."""
        self._note, self._is_good = text, good
        for line in self._lines.values():
            if line.state and not good:
                line.state = "offline"

    def warn(self, text: str) -> None:
        """Show a line below the table; the latest few are kept."""
        self._problems.append(text)

    def update(self, message: Message) -> None:
        """Take one decoded message of a gateway; what is none of ours is ignored."""
        if isinstance(message.get("stream"), str):
            self._count()
            self._take(str(message["stream"]), message)
        elif message.get("op") == "subscribe":
            self._answer(message)
        elif message.get("op") == "error":
            self.warn(f"{message.get('code', 'ERROR')}: {message.get('message', '')}")

    def _take(self, stream: str, message: Message) -> None:
        line = self._lines.get(stream) or self._open(stream)
        kind, data = message.get("type"), message.get("data")
        if kind == "status" and isinstance(data, Mapping):
            line.state = str(data.get("state", ""))
            if data.get("reason"):
                self.warn(f"{line.label}: {data['reason']}")
        elif kind == "gap" and isinstance(data, Mapping):
            until = "?" if data.get("to") is None else data["to"]
            self._problems.append(
                f"{line.label}: {data.get('from')} to {until} missing ({data.get('reason')})"
            )
        elif (facts := facts_of(data)) is not None:
            line.take(facts, self._clock.monotonic())

    def _open(self, stream: str) -> _Line:
        line = self._lines[stream] = _Line(label_of_stream(stream))
        waiting = next((arg for arg, label in self._waiting.items() if line.label.endswith(label)), None)
        if waiting is not None:
            del self._waiting[waiting]
        return line

    def _answer(self, answer: Message) -> None:
        for rejected in answer.get("rejected") or ():
            self._rejected[str(rejected.get("arg"))] = str(rejected.get("reason"))
        known = {line.label for line in self._lines.values()}
        for arg in [*(answer.get("args") or ()), *(answer.get("pending") or ())]:
            label = label_of_arg(str(arg))
            self._rejected.pop(str(arg), None)
            if not any(one.endswith(label) for one in known):
                self._waiting[str(arg)] = label

    def _count(self) -> None:
        second = int(self._clock.monotonic())
        self._seconds[second] += 1
        for old in [s for s in self._seconds if s < second - RATE_SECONDS]:
            del self._seconds[old]

    def _rate(self) -> float:
        """Return messages per second over the last whole seconds."""
        now = int(self._clock.monotonic())
        return sum(self._seconds[s] for s in range(now - RATE_SECONDS, now)) / RATE_SECONDS

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        """Draw head, rows and foot in the width there is."""
        yield self._head()
        yield self._body(wide=options.max_width >= WIDE)
        yield _list([(Text(f"  ✗ {arg}", style="red"), reason) for arg, reason in self._rejected.items()])
        yield _list([(Text("  !", style="yellow"), problem) for problem in self._problems])

    def _head(self) -> Text:
        """Draw the connection; bad news are longer and get a line of their own."""
        style = "green" if self._is_good else "yellow"
        rate = (f"{self._rate():,.0f} msg/s", "bold")
        good, bad = (f"{self._note}   ", "") if self._is_good else ("", f"\n    {self._note}")
        parts = ("  ", ("● ", style), (good, style), rate, "   ", (self._title, "dim"), (bad, style))
        return Text.assemble(*parts, no_wrap=True, overflow="ellipsis")

    def _body(self, *, wide: bool) -> Table:
        table = Table(box=box.SIMPLE_HEAD, expand=True, pad_edge=False, padding=(0, 1 if wide else 0))
        table.add_column("stream", ratio=1, no_wrap=True, overflow="ellipsis", min_width=14)
        for name in ("last", "change", "bid", "ask", *(["messages"] if wide else []), "age"):
            table.add_column(name, justify="right", no_wrap=True)
        table.add_column(
            "state", no_wrap=True, overflow="ellipsis", min_width=7, max_width=None if wide else 12
        )
        now = self._clock.monotonic()
        for line in sorted(self._lines.values(), key=lambda line: line.label):
            table.add_row(*_cells(line, now, wide=wide))
        blanks = [""] * (6 if wide else 5)
        for label in self._waiting.values():
            table.add_row(label, *blanks, Text("waiting", style="cyan"), style="dim")
        return table


def _list(rows: Sequence[tuple[Text, str]]) -> Table:
    """Set reasons beside their marks; a long one goes on below itself."""
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(style="dim", overflow="fold")
    for mark, reason in rows:
        grid.add_row(mark, Text(reason))
    return grid


def facts_of(data: object) -> Facts | None:
    """Read what a data message says; None when it is neither ticker, candle nor trades."""
    if isinstance(data, Sequence) and data and isinstance(data[-1], Mapping):
        # what corrects a trade, or cancels it, has no price of its own
        trades = [one for one in data if isinstance(one, Mapping) and "price" in one]
        return _trade(trades[-1]) if trades else None
    if not isinstance(data, Mapping):
        return None
    return _candle(data) if "close" in data else _ticker(data)


def label_of_stream(stream: str) -> str:
    """Return ``kline 1h BTCUSDT`` for ``<brand>.futures.kline.60.BTCUSDT``; other labels stay in front."""
    words = stream.split(".")
    if len(words) < 4:
        return stream
    _, market, kind, *more = words
    if kind in _KINDS:
        at = 1 if kind == "kline" and len(more) > 1 else 0
        more[at:] = [".".join(more[at:])]  # a symbol may have dots, as BRK.B
    if kind == "kline" and len(more) > 1:
        more[0] = interval(more[0])
    return " ".join([kind, *more] if market == "futures" else [market, kind, *more])


def label_of_arg(arg: str) -> str:
    """Return ``kline 1h BTCUSDT`` for ``kline:1h:BTCUSDT``, without the venue it may name."""
    plain = arg.partition("@")[0]
    if plain.startswith("tickers."):
        plain = "ticker:" + plain.removeprefix("tickers.")
    kind, *more = plain.split(":")
    if kind == "kline" and len(more) > 1:
        more[0] = interval(more[0])
    return " ".join([kind, *more])


def interval(code: str) -> str:
    """Return ``1h`` for a venue's ``60``, ``1d`` for ``D`` or ``1D``; what is readable stays."""
    if not code.isdecimal():
        return {"D": "1d", "W": "1w", "M": "1M", "1D": "1d"}.get(code, code)
    minutes = int(code)
    return f"{minutes // 60}h" if minutes >= 60 and minutes % 60 == 0 else f"{minutes}m"


def _ticker(data: Mapping[str, Any]) -> Facts:
    bid, ask = data.get("bid") or {}, data.get("ask") or {}
    return Facts(
        last=_text(data.get("price")),
        change=_text(data.get("change24hPercent")),
        left=_text(bid.get("price")),
        right=_text(ask.get("price")),
        left_size=_text(bid.get("size")),
        right_size=_text(ask.get("size")),
    )


def _candle(data: Mapping[str, Any]) -> Facts:
    close, start = _text(data.get("close")), _text(data.get("open"))
    moved, opened = _minus(close, start), _decimal(start)
    # adding nothing turns a negative zero into a plain one
    change = f"{round(moved / opened * 100, 2) + 0:.2f}" if moved is not None and opened else ""
    return Facts(close, change, _with_word("low", data.get("low")), _with_word("high", data.get("high")))


def _trade(data: Mapping[str, Any]) -> Facts:
    quantity, bought = data.get("quantity"), data.get("side") == "buy"
    side = _with_word("buy" if bought else "sell", quantity)
    return Facts(_text(data.get("price")), "", side if bought else "", "" if bought else side)


def _cells(line: _Line, now: float, *, wide: bool) -> list[Text]:
    facts = line.facts
    change = _decimal(facts.change)
    cells = [
        Text(line.label),
        Text(facts.last, style=f"bold {line.style}"),
        Text(
            "" if change is None else f"{change:+.2f}%",
            style=STILL if not change else UP if change > 0 else DOWN,
        ),
        Text(
            _sized(facts.left, facts.left_size, wide=wide), style=UP if facts.left.startswith("buy") else ""
        ),
        Text(
            _sized(facts.right, facts.right_size, wide=wide),
            style=DOWN if facts.right.startswith("sell") else "",
        ),
    ]
    if wide:
        cells.append(Text(f"{line.count:,}", style="dim"))
    age = "" if line.at is None else _age(now - line.at)
    return [*cells, Text(age, style="dim"), Text(line.state, style=STATE_STYLES.get(line.state, ""))]


def _sized(price: str, size: str, *, wide: bool) -> str:
    return f"{price} × {size}" if wide and price and size else price


def _age(seconds: float) -> str:
    if seconds < 10:
        return f"{max(seconds, 0):.1f}s"
    return f"{seconds:.0f}s" if seconds < 100 else f"{seconds / 60:.0f}m"


def _with_word(word: str, value: object) -> str:
    return f"{word} {value}" if value is not None else ""


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _decimal(text: str) -> Decimal | None:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _minus(one: str, other: str) -> Decimal | None:
    a, b = _decimal(one), _decimal(other)
    return None if a is None or b is None else a - b
