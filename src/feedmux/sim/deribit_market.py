"""The market of one instrument at a simulated Deribit: it moves, and orders meet it.

Theory of operation
-------------------
Coins have an :class:`Index`, a random walk that all their instruments follow. A
:class:`Market` lays *free* liquidity around the price that follows from its index. Each ``step``
somebody may take from the book, then the book is laid anew around the present price. Laying is
done as a venue would: liquidity that comes to a price where an account's order waits on the
other side takes that order first. So a waiting order is filled, also in parts, when the market
moves through it, and the book is never crossed.

Laws, after every step: the best bid is below the best ask; whoever was filled had a price that
the other side reached; ``low <= last <= high`` of the day.

A market draws only from its own dice. Orders change what it draws afterwards.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from decimal import ROUND_FLOOR, Decimal
from random import Random

from feedmux.sim.deribit_book import ASKS, BIDS, SIDES, Book, Fill, Taken, is_better, opposite
from feedmux.sim.deribit_order import BUY, SELL, Order, Trade
from feedmux.sim.deribit_pricing import Worth, worth
from feedmux.sim.deribit_product import Product
from feedmux.sim.market import Instrument, contract, direction

_CENT = Decimal("0.01")
_FOUR = Decimal("0.0001")
_SIX = Decimal("0.000001")
_TICKS = {"PlusTick": 0, "ZeroPlusTick": 1, "MinusTick": 2, "ZeroMinusTick": 3}
_MAX_TRADES = 1000
_CARRY = Decimal("0.05")
"""What a year is worth in the price of a future."""
_VOLATILITY = 0.55
_BAND = Decimal("0.015")
_OPTION_BAND = Decimal("0.5")


class Index:
    """What a coin is worth.

    Args:
        name: like ``btc_usd``.
        coin: the coin.
        seed: the same seed walks the same way.
    """

    def __init__(self, name: str, coin: str, seed: int) -> None:
        self.name = name
        made = contract("linear", f"{coin}USDT", seed)
        self._walk = Instrument(made, Random(f"{seed}:deribit:{name}"), 0)

    @property
    def price(self) -> Decimal:
        """US dollars of one coin."""
        return self._walk.last

    def step(self) -> None:
        """Let it move on, or stay."""
        self._walk.trade_once()

    def put(self, price: Decimal) -> None:
        """Let it be somewhere else at once."""
        self._walk.last = max(price.quantize(_CENT), _CENT)


class Market:
    """One instrument, its book and its trades.

    Args:
        product: what is traded.
        index: what it follows.
        seed: the same seed makes the same market, as long as nobody trades.
        depth: levels on each side of the book.
        name_trade: makes the id of the next trade.
    """

    def __init__(
        self, product: Product, index: Index, seed: int, *, depth: int, name_trade: Callable[[], str]
    ) -> None:
        self.product = product
        self.index = index
        self.book = Book()
        self.trades: deque[Trade] = deque(maxlen=_MAX_TRADES)
        self.dice = Random(f"{seed}:deribit:{product.name}")
        self.change_id = 0
        self.version = 0
        self.changed_ms = 0
        self._depth = depth
        self._name_trade = name_trade
        self._premium = 0
        self._seq = self.dice.randrange(10**6, 10**8)
        self._word = "ZeroPlusTick"
        self._volatility = _VOLATILITY + self.dice.randint(-30, 30) / 1000
        self.now_ms = 0

    def open(self, now_ms: int) -> None:
        """Begin: lay the book and make up a day that was."""
        self.now_ms = now_ms
        self._revalue()
        self.last = self._top_bid()
        ticks, lots = self.dice.randint, self.product.lot
        self.high = self.last + self.product.tick * ticks(0, 200)
        self.low = max(self.last - self.product.tick * ticks(0, 200), self.product.tick)
        self.before = self.low + (self.high - self.low) / 2
        self.traded = lots * ticks(100_000, 900_000)
        self.interest = lots * ticks(100_000, 900_000)
        self._lay_anew()
        self.book.drain()

    # -- prices ----------------------------------------------------------------------------

    def _revalue(self) -> None:
        """Follow the index."""
        price, made = self.index.price, self.product
        if made.strike is not None:
            value = self.greeks()
            self.fair = Decimal(repr(value.price)) / price
            self.mark = self.fair.quantize(_FOUR)
        else:
            years = Decimal(repr(made.years_left(self.now_ms)))
            self.fair = price * (1 + _CARRY * years) + self._premium * made.tick
            self.mark = self.fair.quantize(_CENT if price > 100 else _SIX)

    def greeks(self) -> Worth:
        """An option's worth, in dollars, and how it reacts."""
        made = self.product
        assert made.strike is not None, "only options have greeks"
        return worth(
            float(self.index.price),
            float(made.strike),
            years=made.years_left(self.now_ms),
            volatility=self._volatility,
            call=made.call,
        )

    @property
    def volatility(self) -> Decimal:
        """An option's volatility, per cent."""
        return Decimal(repr(self._volatility * 100)).quantize(_CENT)

    def move(self, price: Decimal) -> None:
        """Let the index be where a future costs ``price``; options have no such place."""
        years = Decimal(repr(self.product.years_left(self.now_ms)))
        self._premium = 0
        self.index.put(price / (1 + _CARRY * years))

    def band(self) -> tuple[Decimal, Decimal]:
        """The lowest price at which may be sold, the highest at which may be bought."""
        tick, width = self.product.tick, _OPTION_BAND if self.product.is_option else _BAND
        low, high = (self.fair * (1 + sign * width) for sign in (-1, 1))
        return max((low // tick) * tick, tick), (high // tick + 1) * tick

    def _top_bid(self) -> Decimal:
        tick = self.product.tick
        ticks = (self.fair / tick - Decimal("0.5")).to_integral_value(ROUND_FLOOR)
        return max(ticks * tick, tick)

    # -- time ------------------------------------------------------------------------------

    def step(self, now_ms: int) -> list[list[Trade]]:
        """Move on. Returns what was traded, by taker."""
        self.now_ms = now_ms
        dice = self.dice
        self._premium = max(-4, min(4, self._premium + dice.randint(-1, 1)))
        batches = self._somebody_takes() if dice.random() < 0.5 else []
        batches += self.follow(now_ms)
        self._resize()
        return batches

    def follow(self, now_ms: int) -> list[list[Trade]]:
        """Lay the book around the present price. Returns what was traded by that."""
        self.now_ms = now_ms
        self._revalue()
        return self._lay_anew()

    def _somebody_takes(self) -> list[list[Trade]]:
        way = BUY if self.dice.random() < 0.5 else SELL
        best = self.book.best(ASKS if way == BUY else BIDS)
        amount = self.product.lot * self.dice.randint(1, 40)
        return [self.execute(way, amount, limit=best)[0]] if best is not None else []

    def _resize(self) -> None:
        """Somebody changes his mind about a level."""
        side = self.dice.choice(SIDES)
        prices = self.book.free(side)
        if prices:
            self.book.lay(side, self.dice.choice(prices), self._amount())

    def _amount(self) -> Decimal:
        return self.product.lot * self.dice.randint(1, 2000)

    def _lay_anew(self) -> list[list[Trade]]:
        bid = self._top_bid()
        ask = bid + self.product.tick * self.dice.choice((1, 1, 1, 2))
        for side, top in ((BIDS, bid), (ASKS, ask)):
            for price in self.book.free(side):
                if not is_better(side, price, top):
                    break
                self.book.lay(side, price, Decimal(0))
        batches = [*self._lay_side(BIDS, bid), *self._lay_side(ASKS, ask)]
        return [batch for batch in batches if batch]

    def _lay_side(self, side: str, top: Decimal) -> list[list[Trade]]:
        """Fill a side up from its top, then to its depth, and let what is too deep go."""
        away = -self.product.tick if side == BIDS else self.product.tick
        prices = self.book.free(side)
        batches, price = [], top
        for count in range(self._depth):
            if prices and not is_better(side, price, prices[0]):
                break
            if count == 0 or self.dice.random() < 0.7:
                batches.append(self._lay(side, price))
            price += away
        if prices and prices[0] == top and not self.dice.randrange(4):
            self.book.lay(side, top, self._amount())
        return batches + self._deepen(side, top)

    def _deepen(self, side: str, top: Decimal) -> list[list[Trade]]:
        away = -self.product.tick if side == BIDS else self.product.tick
        prices, batches = self.book.free(side), list[list[Trade]]()
        worst = prices[-1] if prices else top
        for _ in range(self._depth - len(prices)):
            worst += away * self.dice.randint(1, 3)
            if worst < self.product.tick:
                break
            batches.append(self._lay(side, worst))
        for price in prices[self._depth :]:
            self.book.lay(side, price, Decimal(0))
        return batches

    def _lay(self, side: str, price: Decimal) -> list[Trade]:
        """Bring liquidity to a price: it takes what the other side has there, the rest waits."""
        if price < self.product.tick:
            return []
        amount = self._amount()
        best, trades = self.book.best(opposite(side)), list[Trade]()
        if best is not None and not is_better(side, best, price):
            trades, _ = self.execute(BUY if side == BIDS else SELL, amount, limit=price)
            amount -= sum((trade.amount for trade in trades), Decimal(0))
        self.book.lay(side, price, amount)
        return trades

    # -- trades ----------------------------------------------------------------------------

    def execute(
        self, way: str, amount: Decimal, *, limit: Decimal | None, taker: Order | None = None
    ) -> tuple[list[Trade], list[Order]]:
        """Take from the book.

        Args:
            way: ``buy`` or ``sell``.
            amount: at most so much.
            limit: the worst price; None takes at any.
            taker: whose order it is; it is filled. None is somebody's who has no account here.

        Returns:
            the trades, and the taker's own orders that had to go.
        """
        taken: Taken = self.book.take(
            ASKS if way == BUY else BIDS,
            amount,
            limit=limit,
            account=taker.account if taker else None,
            now_ms=self.now_ms,
        )
        for fill in taken.fills:
            if taker is not None:
                taker.fill(fill.amount, fill.price, self.now_ms)
        return [self._print(fill, way, taker) for fill in taken.fills], taken.withdrawn

    def _print(self, fill: Fill, way: str, taker: Order | None) -> Trade:
        self._seq += 1
        self._word = direction(fill.price, self.last, self._word)
        self.last = fill.price
        self.high, self.low = max(self.high, fill.price), min(self.low, fill.price)
        self.traded += fill.amount
        trade = Trade(
            product=self.product,
            seq=self._seq,
            ident=self._name_trade(),
            ms=self.now_ms,
            tick=_TICKS[self._word],
            price=fill.price,
            amount=fill.amount,
            direction=way,
            mark=self.mark,
            index=self.index.price,
            iv=self.volatility if self.product.is_option else None,
            taker=taker,
            maker=fill.maker,
        )
        self.trades.append(trade)
        return trade
