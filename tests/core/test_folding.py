from __future__ import annotations

import json

import pytest

from feedmux.core.folding import fold

BOOK = b'{"asks":[["15.0","22.1"],["20.0","10"]],"bids":[["10.95","21.26"],["9","1"]],"sequence":7}'


@pytest.mark.parametrize(
    ("increment", "asks", "bids"),
    [
        (b'{"asks":["15.5","3"]}', [["15.0", "22.1"], ["15.5", "3"], ["20.0", "10"]], None),
        (b'{"asks":[["15.5","3"]]}', [["15.0", "22.1"], ["15.5", "3"], ["20.0", "10"]], None),
        (b'{"asks":[["14","1"],["20","2"]]}', [["14", "1"], ["15.0", "22.1"], ["20", "2"]], None),
        (b'{"bids":["9.5","3"]}', None, [["10.95", "21.26"], ["9.5", "3"], ["9", "1"]]),
        (b'{"asks":["15.0","7"]}', [["15.0", "7"], ["20.0", "10"]], None),
        (b'{"asks":["15.00","7.50"]}', [["15.00", "7.50"], ["20.0", "10"]], None),
        (b'{"asks":["1.5e1","7"]}', [["1.5e1", "7"], ["20.0", "10"]], None),
        (b'{"asks":["15","0"]}', [["20.0", "10"]], None),
        (b'{"asks":["15.0","0.0"]}', [["20.0", "10"]], None),
        (b'{"asks":[15.000,0]}', [["20.0", "10"]], None),
        (b'{"asks":["16","0"]}', None, None),
        (b'{"asks":[],"bids":[]}', None, None),
        (b'{"asks":[ ["15","0"] , ["20","0"] ]}', [], None),
        (b'{"bids":["10.95","0"],"asks":["10","1"]}', [["10", "1"], *json.loads(BOOK)["asks"]], [["9", "1"]]),
        (b"{}", None, None),
    ],
)  # fmt: skip
def test_an_increment_changes_the_levels_that_it_names(
    increment: bytes, asks: list[list[str]] | None, bids: list[list[str]] | None
) -> None:
    before = json.loads(BOOK)
    folded = fold(BOOK, [increment])
    assert folded is not None
    after = json.loads(folded)
    assert after["asks"] == (before["asks"] if asks is None else asks)
    assert after["bids"] == (before["bids"] if bids is None else bids)


def test_texts_are_kept_as_they_came() -> None:
    book = b'{"asks":[[2.50000000000000000001,1e2]],"bids":[["1.10", 7 ]],"sequence":12345678901234567890123}'
    folded = fold(book, [b'{"asks":[3.10,"04.0"],"at":"\\u00e4 \xc3\xa4","t":1.50,"n":null}'])
    assert folded == (
        b'{"asks":[[2.50000000000000000001,1e2],[3.10,"04.0"]],"bids":[["1.10", 7 ]],'
        b'"sequence":12345678901234567890123,"at":"\\u00e4 \xc3\xa4","t":1.50,"n":null}'
    )


def test_prices_are_compared_as_exact_decimals() -> None:
    book = b'{"asks":[["0.1000000000000000055511151231257827","1"],["9","9"]],"bids":[]}'
    folded = fold(book, [b'{"asks":["0.1","2"]}', b'{"asks":["10","3"]}'])
    assert folded is not None
    assert [price for price, _ in json.loads(folded)["asks"]] == [
        "0.1", "0.1000000000000000055511151231257827", "9", "10",
    ]  # fmt: skip


def test_of_plain_members_the_newest_holds() -> None:
    folded = fold(BOOK, [b'{"asks":[],"sequence":8,"at":1}', b'{"bids":[],"sequence":9,"at":2,"by":"x"}'])
    assert folded is not None
    assert {name: text for name, text in json.loads(folded).items() if name not in {"asks", "bids"}} == {
        "sequence": 9, "at": 2, "by": "x",
    }  # fmt: skip


@pytest.mark.parametrize(
    "snapshot",
    [
        b"",
        b"[]",
        b"7",
        b"not JSON",
        b'{"asks":[]}',
        b'{"bids":[]}',
        b'{"asks":{},"bids":[]}',
        b'{"asks":null,"bids":[]}',
        b'{"asks":["15.0","22.1"],"bids":[]}',
        b'{"asks":[["15.0"]],"bids":[]}',
        b'{"asks":[["15.0","1","1"]],"bids":[]}',
        b'{"asks":[["15.0",[]]],"bids":[]}',
        b'{"asks":[["15.0",true]],"bids":[]}',
        b'{"asks":[["15.0","-1"]],"bids":[]}',
        b'{"asks":[["1_5","1"]],"bids":[]}',
        b'{"asks":[["NaN","1"]],"bids":[]}',
        b'{"asks":[["Infinity","1"]],"bids":[]}',
        b'{"asks":[["\xd9\xa1","1"]],"bids":[]}',
        b'{"asks":[["1","\xff"]],"bids":[]}',
        b'{"asks":[["1e9999999999999999999","1"]],"bids":[]}',
        b'{"asks":[],"bids":[],"trades":[1]}',
        b'{"asks":[],"bids":[],"meta":{"a":1}}',
        b'{"asks":[["10","1"]],"bids":[["10","1"]]}',
        b'{"asks":[["9","1"]],"bids":[["10.0","1"]]}',
        b'{"\xff":1,"asks":[],"bids":[]}',
        b'{"asks":' + b"[" * 10_000,
    ],
)
def test_what_is_no_book_cannot_be_folded(snapshot: bytes) -> None:
    assert fold(snapshot, []) is None


@pytest.mark.parametrize(
    "increment",
    [
        b"not JSON",
        b"[]",
        b'{"asks":["15.0"]}',
        b'{"asks":["15.0","1","16.0","1"]}',
        b'{"asks":["15.0",["16.0","1"]]}',
        b'{"asks":[["15.0","1"],"16.0"]}',
        b'{"asks":"15.0"}',
        b'{"asks":null}',
        b'{"asks":["15.0","-0.1"]}',
        b'{"asks":["1_5","1"]}',
        b'{"trades":[]}',
        b'{"asks":["9.5","1"]}',
    ],
)
def test_a_book_with_an_increment_that_is_none_cannot_be_folded(increment: bytes) -> None:
    assert fold(BOOK, [increment]) is None


@pytest.mark.parametrize(
    ("sequences", "is_whole"),
    [([8], True), ([8, 9, 10], True), ([9], False), ([8, 10], False), ([7], False), ([8, 8], False)],
)
def test_increments_that_do_not_follow_each_other_are_not_folded(
    sequences: list[int], is_whole: bool
) -> None:
    increments = [b'{"asks":["30","1"],"sequence":%d}' % sequence for sequence in sequences]
    assert (fold(BOOK, increments) is not None) is is_whole


def test_a_sequence_that_is_no_integer_is_a_member_like_others() -> None:
    folded = fold(BOOK, [b'{"asks":[],"sequence":"x9"}', b'{"asks":[],"sequence":5}'])
    assert folded is not None
    assert json.loads(folded)["sequence"] == 5
