from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from feedmux.model.options import RATES
from feedmux.wire.options import InvalidOption, read
from support.examples import EXAMPLES

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=70)
VALUES = SCALARS | st.lists(SCALARS, max_size=70) | st.dictionaries(st.text(max_size=3), SCALARS, max_size=2)
NAMES = st.sampled_from(["conflate", "fields", "max_rate", "snapshot"])
OPTIONS = st.dictionaries(NAMES | st.text(max_size=80), VALUES, max_size=5) | VALUES


@given(raw=OPTIONS)
@settings(max_examples=EXAMPLES, deadline=None)
def test_anything_is_served_within_bounds_or_refused_with_a_short_sentence(raw: object) -> None:
    try:
        wish = read(raw)
    except InvalidOption as invalid:
        assert 0 < len(str(invalid)) < 200
        return
    assert isinstance(raw, dict)
    assert wish.options.rate in (0, *RATES)
    assert wish.options.rate <= raw.get("max_rate", 0)
    assert wish.options.fields == frozenset(raw.get("fields", ()))
    assert json.loads(json.dumps(wish.served)).keys() == raw.keys()
    assert bool(wish.notes) == (wish.options.rate != raw.get("max_rate", 0))
