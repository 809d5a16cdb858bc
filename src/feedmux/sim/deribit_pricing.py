"""What an option is worth: the formula of Black and Scholes, without interest."""

from __future__ import annotations

from math import erf, exp, log, pi, sqrt

import msgspec


class Worth(msgspec.Struct, frozen=True):
    """An option's price and how it reacts.

    Args:
        price: in US dollars, per coin.
        delta: to the index, per dollar.
        gamma: of delta, per dollar.
        vega: to one per cent of volatility.
        theta: to one day that passes.
        rho: to one per cent of interest.
    """

    price: float
    delta: float
    gamma: float
    vega: float
    theta: float
    rho: float


def worth(index: float, strike: float, *, years: float, volatility: float, call: bool) -> Worth:
    """Value a European option.

    Args:
        index: the price of the coin, above 0.
        strike: above 0.
        years: until it ends, above 0.
        volatility: per year, as a fraction, above 0.
        call: True for a call, False for a put.
    """
    deviation = volatility * sqrt(years)
    d1 = (log(index / strike) + deviation * deviation / 2) / deviation
    d2 = d1 - deviation
    density = exp(-d1 * d1 / 2) / sqrt(2 * pi)
    sign = 1 if call else -1
    delta = sign * _normal(sign * d1)
    rest = sign * strike * _normal(sign * d2)
    return Worth(
        price=max(index * delta - rest, 0.0),
        delta=delta,
        gamma=density / (index * deviation),
        vega=index * density * sqrt(years) / 100,
        theta=-index * density * volatility / (2 * sqrt(years)) / 365,
        rho=rest * years / 100,
    )


def _normal(x: float) -> float:
    return (1 + erf(x / sqrt(2))) / 2
