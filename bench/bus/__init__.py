"""One bus through Redis: messages from one process to another, in the gateway's way and in others'.

``python -m bench.bus WAY --redis PORT`` measures one pair of processes once and prints the sample. Each way
is a module here: ``feedmux`` (the ends that nodes use, without nodes around them), ``redis_py`` and ``plain``
(one ``PUBLISH`` for each message, whose answer is awaited before the next); ``port`` says what it has. Only
``feedmux`` imports the gateway, so the others run in an environment without it.
"""
