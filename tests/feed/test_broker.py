"""Where RabbitMQ is, and that its password is shown by nothing."""

from __future__ import annotations

import pickle
import ssl

import msgspec
import pytest
from rich.pretty import pretty_repr

from feedmux.feed.broker import BrokerConfig, ConsumerLost, ExchangeDiffers
from feedmux.model.errors import InvalidSetting

SECRET = "hunter2-and-more"


@pytest.mark.parametrize("shown", [repr, str, pretty_repr, "{}".format])
def test_nothing_shows_the_password(shown: object) -> None:
    assert callable(shown)
    text = shown(BrokerConfig(password=SECRET, user="ada"))
    assert SECRET not in text
    assert "password='***'" in text
    assert "user='ada'" in text


def test_its_address_names_nobody() -> None:
    config = BrokerConfig(host="mq", port=5671, user="ada", password=SECRET)
    assert config.address == "amqp://mq:5671"
    assert msgspec.structs.replace(config, tls=ssl.create_default_context()).address == "amqps://mq:5671"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"port": 0}, "port: 0 does not work; expected a port from 1 to 65535"),
        ({"port": 65_536}, "port: 65536 does not work"),
        ({"host": ""}, "host: '' does not work"),
        ({"exchange": ""}, "exchange: '' does not work"),
        ({"queue_messages": 0}, "queue_messages: 0 does not work; expected a whole number from 1"),
        ({"heartbeat_s": 0}, "heartbeat_s: 0 does not work; expected whole seconds from 1 to 65534"),
        ({"heartbeat_s": 1.5}, "heartbeat_s: 1.5 does not work"),
        ({"check_interval_s": 0}, "check_interval_s: 0 does not work; expected seconds above 0"),
        ({"close_timeout_s": float("inf")}, "close_timeout_s: inf does not work"),
        ({"backoff": 5}, "backoff: 'a value of type int' does not work; expected a Backoff"),
    ],
)
def test_a_setting_outside_its_range_is_refused(settings: dict[str, object], words: str) -> None:
    with pytest.raises(InvalidSetting) as caught:
        BrokerConfig(**settings)  # type: ignore[arg-type]
    assert str(caught.value).startswith(words)


def test_an_exchange_that_is_another_one_says_what_was_expected_and_what_to_do() -> None:
    config = BrokerConfig(durable=True, auto_delete=True)
    error = ExchangeDiffers(config.exchange, config.expected, "inequivalent arg 'durable'")
    assert str(error) == (
        "RabbitMQ has an exchange 'peatio.events.ranger' that is not topic, durable, deleted by itself: "
        "inequivalent arg 'durable'; correct the settings, or delete it there"
    )
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_a_lost_consumer_says_so() -> None:
    assert str(ConsumerLost("its queue went")) == "nothing is consumed any more: its queue went"
