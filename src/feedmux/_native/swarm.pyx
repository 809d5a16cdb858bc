"""The native load client and the native venue, each the main function of a process of its own.

Both never return to their caller while they have something to do, and end the whole process when
they are done or cannot go on: run them in a child process (:mod:`feedmux.sim.generator`).
"""

from libc.stdlib cimport free, malloc

cdef extern from *:
    """
    int load_main(int argc, char **argv);
    int venue_main(int argc, char **argv);
    """
    int load_main(int argc, char **argv) nogil
    int venue_main(int argc, char **argv) nogil

ctypedef int (*program)(int, char **) noexcept nogil


cdef int call(program main, list words) except? -1:
    """Call a main function with these words behind its name; the GIL is released."""
    cdef int count = len(words), status
    cdef char **argv = <char **>malloc((count + 1) * sizeof(char *))
    if argv == NULL:
        raise MemoryError
    for i in range(count):
        argv[i] = words[i]
    argv[count] = NULL
    with nogil:
        status = main(count, argv)
    free(argv)
    return status


def run(arguments: list[str]) -> int:
    """Run the load client; ``swarm/load.c`` documents its options.

    Args:
        arguments: its command line, without the program's name.

    Returns:
        its exit status; often the process has ended before.
    """
    words = [b"load", *(argument.encode() for argument in arguments)]
    return call(<program>load_main, words)


def run_venue(arguments: list[str]) -> int:
    """Run the venue; ``swarm/venue.c`` documents its options.

    Args:
        arguments: its command line, without the program's name.

    Returns:
        its exit status; often the process has ended before.
    """
    words = [b"venue", *(argument.encode() for argument in arguments)]
    return call(<program>venue_main, words)
