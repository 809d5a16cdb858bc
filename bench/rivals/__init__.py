"""Other servers on the gateway's workload: the same messages, the same load, one core.

    with subjects(["bun"])[0](topics=100, client_bytes=250) as server:
        Load(server.port, clients=1_000, arguments=[*server.load_arguments, "--topics", ..., "--each", 20])
        server.tell("rate 10000")

A subject is called to make a server: a context manager with ``name``, ``version``, ``port``, ``path``,
``pid`` (whose CPU time counts), ``tell()``, ``statistics()`` and ``load_arguments``, like
:class:`bench.system.native.Floor`; so :func:`bench.system.run.measure` takes it as server and as source.
:func:`bench.rivals.run.rival_run` does all of it at once.
"""

from bench.rivals.catalogue import NAMES, Subject, missing, subjects
from bench.rivals.workload import BATCHED, MANY, ONE, Workload

__all__ = ["BATCHED", "MANY", "NAMES", "ONE", "Subject", "Workload", "missing", "subjects"]
