"""Whether links endure: long runs with and without faults, many reconnects, a high rate.

``python -m bench.stability`` from the root of the repository; :mod:`bench.stability.__main__` says how.
"""
