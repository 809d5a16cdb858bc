"""Carry envelopes to other nodes through Redis.

Theory of operation
===================

One node writes (:class:`RedisWriter`; a lease says which), others read (:class:`RedisReader`). Each end has
one connection (:mod:`feedmux.bus.redis`). Every topic has a channel, on which its envelopes are published
once, however many nodes read; what readers want they say on a channel to which the writer listens, and the
writer says on another one that it is there. Nothing is stored in Redis: a Redis that forgets everything has
nothing to forget of this bus.

Pub/Sub drops nothing between connections that stand. So all that can be missing is known from one end or
the other::

    event                          the writer                      the reader, for each topic it holds
    reader's connection ends       (does not know)                 reconnecting; gap: link, wants it again
    writer's connection ends       marks each topic that missed    gap: link, wants it again
                                   something; asks for all wants
    no room to send                the same mark                   the same
    reader ends without a word     silent: Source.forget           --
    writer ends, or is silent      --                              reconnecting
    a writer with a later life     --                              reconnecting; gap: link, wants it again
    asks did not arrive            --                              says all that it wants
    an unknown reader speaks       asks for all wants              says all that it wants

What a reader wants is said whole at every beginning, so that what it dropped meanwhile is dropped at the
writer too; from then on only what changes.

Invariants:

- A topic's channel is subscribed to before its want is sent, over the same connection.
- A reader hands on of each topic nothing before the writer's first status, at each beginning, and nothing of
  an older epoch.
- What cannot be read, or stands on a channel where it does not belong, changes nothing.
- A writer with an earlier life is not listened to; nor is a reader whose name has a later one: it ends.

Deliberately absent: the lease, several writers on one bus (give each its own prefix), and rights of topics
(whoever may listen to the prefix reads everything, and whoever may publish there is believed).
"""

from __future__ import annotations

from feedmux.bus.redis_channels import RedisBusConfig
from feedmux.bus.redis_reader import RedisReader
from feedmux.bus.redis_writer import RedisWriter

__all__ = ["RedisBusConfig", "RedisReader", "RedisWriter"]
