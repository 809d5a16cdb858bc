from __future__ import annotations

import math

import pytest

from feedmux.core.silence import SilenceWatch, Verdict
from feedmux.model.errors import InvalidSetting
from feedmux.model.topic import PUBLIC, Topic


def topic(kind: str, instrument: str = "BTCUSDT") -> Topic:
    return Topic(PUBLIC, "bybit", "linear", kind, instrument)


BTC, ETH, TRADES = topic("ticker"), topic("ticker", "ETHUSDT"), topic("trade")


def watch(*topics: Topic) -> SilenceWatch:
    silence = SilenceWatch({"ticker": 5.0, "kline": 30.0})
    for each in topics:
        silence.expect(each, 100.0)
    return silence


def test_a_topic_is_late_when_its_limit_is_reached() -> None:
    silence = watch(BTC)
    assert silence.check(104.999) == Verdict((), mute=False)
    assert silence.check(105.0) == Verdict((BTC,), mute=True)


def test_a_late_topic_is_reported_once_until_it_is_heard() -> None:
    silence = watch(BTC, ETH)
    silence.heard(ETH, 104.0)
    assert silence.check(106.0).stale == (BTC,)
    assert silence.check(107.0).stale == ()
    assert silence.heard(BTC, 108.0) is True
    assert silence.heard(BTC, 108.1) is False
    assert silence.check(113.2).stale == (BTC, ETH)


def test_one_quiet_topic_does_not_make_the_connection_mute() -> None:
    silence = watch(BTC, ETH)
    silence.heard(ETH, 104.0)
    assert silence.check(106.0) == Verdict((BTC,), mute=False)
    assert silence.check(109.0) == Verdict((ETH,), mute=True)


def test_it_stays_mute_until_something_is_heard() -> None:
    silence = watch(BTC, ETH)
    assert silence.check(105.0).mute
    assert silence.check(106.0) == Verdict((), mute=True)
    silence.heard(ETH, 106.5)
    assert not silence.check(107.0).mute


def test_kinds_without_a_limit_are_never_judged() -> None:
    silence = watch(TRADES)
    assert silence.check(1e9) == Verdict((), mute=False)
    assert silence.heard(TRADES, 1e9) is False
    assert silence.statistics() == {"judged": 0, "late": 0}


def test_each_kind_has_its_own_limit() -> None:
    candles = topic("kline")
    silence = watch(BTC, candles)
    assert silence.check(110.0) == Verdict((BTC,), mute=False)
    assert silence.check(130.0) == Verdict((candles,), mute=True)


def test_nothing_judged_is_not_mute() -> None:
    assert watch().check(1e9) == Verdict((), mute=False)


def test_what_was_never_expected_is_not_judged_when_it_is_heard() -> None:
    silence = watch()
    assert silence.heard(BTC, 1.0) is False
    assert silence.check(1e9) == Verdict((), mute=False)


def test_a_forgotten_topic_is_judged_no_longer() -> None:
    silence = watch(BTC, ETH)
    silence.check(105.0)
    silence.forget(BTC)
    assert silence.heard(BTC, 106.0) is False
    silence.forget(ETH)
    silence.forget(ETH)
    assert silence.check(200.0) == Verdict((), mute=False)


def test_restart_starts_every_expectation_anew() -> None:
    silence = watch(BTC, ETH)
    silence.check(105.0)
    silence.restart(200.0)
    assert silence.heard(BTC, 201.0) is False
    assert silence.check(204.9) == Verdict((), mute=False)
    assert silence.check(205.0) == Verdict((ETH,), mute=False)


def test_expecting_again_starts_one_expectation_anew() -> None:
    silence = watch(BTC, ETH)
    silence.check(105.0)
    silence.expect(BTC, 105.0)
    assert silence.check(109.0) == Verdict((), mute=False)
    assert silence.check(110.0) == Verdict((BTC,), mute=True)


@pytest.mark.parametrize("limit", [0.0, -1.0, math.nan, math.inf])
def test_limits_that_cannot_work_are_refused(limit: float) -> None:
    with pytest.raises(InvalidSetting, match="silence limit of 'ticker'"):
        SilenceWatch({"ticker": limit})


def test_it_shows_what_it_judges() -> None:
    silence = watch(BTC, ETH)
    silence.heard(BTC, 104.0)
    silence.check(105.0)
    assert repr(silence) == "<SilenceWatch judged=2 late=1>"
