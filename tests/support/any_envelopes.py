"""Hypothesis strategies of envelopes, and of their parts."""

from __future__ import annotations

from hypothesis import strategies as st

from feedmux.model.event import Envelope, EventKind
from feedmux.model.topic import Topic

UNSIGNED = st.integers(0, 2**64 - 1)
SIGNED = st.integers(-(2**63), 2**63 - 1)
UNICODE = st.characters(exclude_categories=["Cs"])
FIELDS = st.text(UNICODE, max_size=12)
TOPICS = st.builds(Topic, FIELDS, FIELDS, FIELDS, FIELDS, FIELDS, FIELDS)
ENVELOPES = st.builds(
    Envelope,
    topic=TOPICS,
    epoch=UNSIGNED,
    seq=UNSIGNED,
    kind=st.sampled_from(EventKind),
    venue_ns=SIGNED,
    receive_ns=SIGNED,
    key=st.text(UNICODE, max_size=20),
    payload=st.binary(max_size=60),
)
