"""Whatever changes, the commands of a mirror make the key what it should be; here a dictionary obeys them."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from feedmux.bus.redis_mirror import RENEW, RedisMirror, Words

names = st.sampled_from("abcd")
changes = st.dictionaries(names, st.none() | st.integers(1, 3), max_size=4)


class Key:
    """One hash of Redis."""

    def __init__(self) -> None:
        self.content: dict[str, str] = {}
        self.has_ttl = False

    def obey(self, commands: Sequence[Words]) -> list[int]:
        """Do as told; the answers to :data:`RENEW`."""
        renewed = []
        for name, *words in commands:
            if name == RENEW:
                renewed.append(int(bool(self.content)))
                self.has_ttl = bool(self.content)
            elif name == "HSET":
                self.content |= dict(zip(words[1::2], words[2::2], strict=True))
            elif name == "HDEL":
                for gone in words[1:]:
                    del self.content[gone]
            else:
                assert name in ("DEL", "EVAL")
                self.content = dict(zip(words[6::2], words[7::2], strict=True)) if name == "EVAL" else {}
                self.has_ttl = bool(self.content)
            self.has_ttl = self.has_ttl and bool(self.content)
        return renewed


@given(st.lists(st.tuples(changes, st.booleans()), max_size=20))
def test_the_key_is_what_was_wanted_and_never_without_a_time_to_live(
    turns: list[tuple[dict[str, int | None], bool]],
) -> None:
    mirror, key = RedisMirror("key", put="HSET", remove="HDEL", ttl_s=10), Key()
    wanted: dict[str, str] = {}
    for turned, is_lost in turns:
        if is_lost:
            key.content, key.has_ttl = {}, False
        for name, number in turned.items():
            wanted.pop(name, None)
            if number is not None:
                wanted[name] = str(number)
        if is_lost:
            key.obey(mirror.anew({name: (name, number) for name, number in wanted.items()}))
        else:
            words = {name: (name, str(number)) if number else None for name, number in turned.items()}
            assert 0 not in key.obey(mirror.turned(words))
        assert key.content == wanted
        assert key.has_ttl == bool(wanted)
        assert len(mirror) == len(wanted)
