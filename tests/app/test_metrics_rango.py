"""Tests of the metrics that Rango's dashboards know."""

from __future__ import annotations

from feedmux.app.metrics_rango import families
from feedmux.app.subscriptions import LONGEST, MOST_TOPICS, OTHER, Subscriptions, count
from feedmux.core.stats import add_up
from feedmux.model.topic import MESSAGE, OBJECT, PUBLIC, Topic


def topic(scope: str, name: str) -> Topic:
    kind = OBJECT if name.endswith("-inc") else MESSAGE
    return Topic(scope, "rabbitmq", "", kind, name)


def samples(clients: int, counted: Subscriptions) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in families(clients, counted)
        for sample in family.samples
    }


def test_each_type_is_counted_by_topic() -> None:
    counted = count(
        {
            topic(PUBLIC, "eurusd.trades"): 3,
            topic(PUBLIC, "eurusd.ob-inc"): 2,
            topic("uid=ID1", "order"): 1,
            topic("uid=ID2", "order"): 4,
            topic("role=admin", "eurusd.sys"): 5,
        },
        "rabbitmq",
    )
    assert samples(7, counted) == {
        ("rango_hub_clients_count",): 7,
        ("rango_hub_subscriptions_count", "public", "eurusd.trades"): 3,
        ("rango_hub_subscriptions_count", "public", "eurusd.ob-inc"): 2,
        ("rango_hub_subscriptions_count", "private", "order"): 5,
        ("rango_hub_subscriptions_count", "prefixed", "admin.eurusd.sys"): 5,
    }


def test_no_users_name_is_a_label() -> None:
    counted = count({topic(f"uid=SECRET{number}", "order"): 1 for number in range(9)}, "rabbitmq")
    assert "SECRET" not in str(samples(9, counted))


def test_topics_of_other_venues_and_those_nobody_reads_do_not_count() -> None:
    ours = topic(PUBLIC, "eurusd.trades")
    theirs = Topic(PUBLIC, "bybit", "linear", "trade", "BTCUSDT")
    assert count({ours: 0, theirs: 8}, "rabbitmq") == {"public": {}, "private": {}, "prefixed": {}}


def test_more_topics_than_there_is_room_for_are_counted_together() -> None:
    readers = {topic(PUBLIC, f"m{number}.trades"): number + 1 for number in range(3 * MOST_TOPICS)}
    public = count(readers, "rabbitmq")["public"]
    assert len(public) == MOST_TOPICS
    assert sum(public.values()) == sum(readers.values())
    assert f"m{3 * MOST_TOPICS - 1}.trades" in public
    assert OTHER in public


def test_a_name_that_is_no_label_counts_among_the_others() -> None:
    readers = {topic(PUBLIC, "a." + "x" * length): 1 for length in (LONGEST - 2, LONGEST - 1, LONGEST)}
    public = count(readers, "rabbitmq")["public"]
    assert public == {"a." + "x" * (LONGEST - 2): 1, OTHER: 2}


def test_several_processes_add_up_within_the_bound() -> None:
    one = count({topic(PUBLIC, f"a{number}.b"): 1 for number in range(MOST_TOPICS)}, "rabbitmq")
    two = count({topic(PUBLIC, f"c{number}.d"): 1 for number in range(MOST_TOPICS)}, "rabbitmq")
    total = add_up(one, two)
    public = {key: value for key, value in samples(0, total).items() if "public" in key}
    assert len(public) == MOST_TOPICS
    assert sum(public.values()) == 2 * MOST_TOPICS
