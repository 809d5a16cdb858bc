/* Sockets, clocks, growing buffers, schedules and command lines: what the native tools share.
 *
 * Everything is single-threaded, non-blocking and driven by one epoll instance.
 */
#ifndef SWARM_NET_H
#define SWARM_NET_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000ULL

static inline void die(const char *format, ...)
{
    va_list rest;
    va_start(rest, format);
    vfprintf(stderr, format, rest);
    va_end(rest);
    fputc('\n', stderr);
    exit(2);
}

/* ---- clocks ---------------------------------------------------------------------------------- */

static inline uint64_t clock_ns(clockid_t which)
{
    struct timespec t;
    clock_gettime(which, &t);
    return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

static inline uint64_t now_ns(void) { return clock_ns(CLOCK_MONOTONIC); }
static inline uint64_t wall_ms(void) { return clock_ns(CLOCK_REALTIME) / 1000000; }

/* ---- command line: --name value, or --name alone ---------------------------------------------- */

static inline const char *option(int argc, char **argv, const char *name, const char *fallback)
{
    for (int i = 1; i < argc; i++)
        if (!strcmp(argv[i], name))
            return i + 1 < argc ? argv[i + 1] : fallback;
    return fallback;
}

static inline double number(int argc, char **argv, const char *name, double fallback)
{
    const char *text = option(argc, argv, name, NULL);
    if (!text)
        return fallback;
    char *end;
    double value = strtod(text, &end);
    if (*end || end == text)
        die("%s: '%s' is not a number", name, text);
    return value;
}

static inline bool flag(int argc, char **argv, const char *name)
{
    for (int i = 1; i < argc; i++)
        if (!strcmp(argv[i], name))
            return true;
    return false;
}

/* Stop at the first option that is not in `names` (separated by spaces). */
static inline void check_options(int argc, char **argv, const char *names)
{
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--", 2))
            continue;
        char word[64];
        snprintf(word, sizeof word, " %.60s ", argv[i]);
        if (!strstr(names, word))
            die("unknown option %s; known:%s", argv[i], names);
    }
}

/* ---- growing buffer: one malloc, consumed from the front --------------------------------------- */

struct bytes {
    char *at;
    size_t start, end, room;
};

static inline size_t bytes_length(const struct bytes *b) { return b->end - b->start; }
static inline char *bytes_front(struct bytes *b) { return b->at + b->start; }

static inline void bytes_free(struct bytes *b)
{
    free(b->at);
    *b = (struct bytes){0};
}

/* Make room for `more` bytes behind what is there; returns where they go. */
static inline char *bytes_reserve(struct bytes *b, size_t more)
{
    if (b->end + more > b->room && b->start) {
        memmove(b->at, b->at + b->start, bytes_length(b));
        b->end -= b->start;
        b->start = 0;
    }
    if (b->end + more > b->room) {
        b->room = (b->end + more) * 2;
        b->at = realloc(b->at, b->room);
        if (!b->at)
            die("out of memory");
    }
    return b->at + b->end;
}

static inline void bytes_append(struct bytes *b, const void *from, size_t length)
{
    memcpy(bytes_reserve(b, length), from, length);
    b->end += length;
}

static inline void bytes_consume(struct bytes *b, size_t length)
{
    b->start += length;
    if (b->start == b->end)
        b->start = b->end = 0;
}

/* ---- sockets ----------------------------------------------------------------------------------- */

static inline void raise_descriptor_limit(void)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    signal(SIGPIPE, SIG_IGN);
}

static inline void set_nonblocking(int fd) { fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK); }

/* What a market-data server wants: no Nagle delay, and a send buffer small enough that stale
 * messages do not pile up in the kernel (`sndbuf` bytes; the kernel doubles it; 0 leaves it). */
static inline void tune(int fd, int sndbuf)
{
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (sndbuf)
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &sndbuf, sizeof sndbuf);
}

static inline struct sockaddr_in address_of(const char *host, int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    if (inet_pton(AF_INET, host, &a.sin_addr) != 1)
        die("'%s' is not an IPv4 address", host);
    return a;
}

/* Listen on 127.0.0.1; port 0 lets the system choose. Returns the descriptor, stores the port. */
static inline int listen_on(int *port)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct sockaddr_in a = address_of("127.0.0.1", *port);
    if (bind(fd, (struct sockaddr *)&a, sizeof a) || listen(fd, 4096))
        die("cannot listen on 127.0.0.1:%d: %s", *port, strerror(errno));
    socklen_t length = sizeof a;
    getsockname(fd, (struct sockaddr *)&a, &length);
    *port = ntohs(a.sin_port);
    set_nonblocking(fd);
    return fd;
}

static inline bool watch(int poll, int how, int fd, uint32_t events, void *what)
{
    struct epoll_event e = {.events = events, .data.ptr = what};
    return epoll_ctl(poll, how, fd, &e) == 0;
}

/* ---- a schedule of intended times; a late tick keeps its time (no coordinated omission) --------- */

struct schedule {
    int timer;
    bool on;
    unsigned burst; /* messages per tick */
    uint64_t next_ns, step_ns;
};

static inline void schedule_arm(struct schedule *s)
{
    struct itimerspec t = {0};
    if (s->on) {
        t.it_value.tv_sec = (time_t)(s->next_ns / SECOND);
        t.it_value.tv_nsec = (long)(s->next_ns % SECOND);
    }
    timerfd_settime(s->timer, TFD_TIMER_ABSTIME, &t, NULL);
}

/* Start `rate` messages a second; burst 0 chooses one that keeps ticks at least 0.5 ms apart. */
static inline void schedule_start(struct schedule *s, double rate, unsigned burst)
{
    s->burst = burst ? burst : rate > 2000 ? (unsigned)(rate / 2000 + 0.5) : 1;
    s->on = rate > 0;
    s->step_ns = s->on ? (uint64_t)((double)s->burst * 1e9 / rate) : 0;
    s->next_ns = now_ns() + s->step_ns;
    schedule_arm(s);
}

static inline void schedule_stop(struct schedule *s)
{
    s->on = false;
    schedule_arm(s);
}

static inline void timer_clear(int timer)
{
    uint64_t fired;
    if (read(timer, &fired, sizeof fired) < 0 && errno != EAGAIN)
        die("timer: %s", strerror(errno));
}

/* ---- commands on standard input, one per line ---------------------------------------------------- */

/* Read what is there; call `obey` per line. At end of input the program ends, so that no tool
 * outlives the process that started it. */
static inline void read_commands(void (*obey)(char *line), void (*ended)(void))
{
    static char text[4096];
    static size_t held;
    ssize_t got = read(STDIN_FILENO, text + held, sizeof text - 1 - held);
    if (got <= 0) {
        ended();
        exit(0);
    }
    held += (size_t)got;
    text[held] = 0;
    char *line = text, *end;
    while ((end = strchr(line, '\n'))) {
        *end = 0;
        obey(line);
        line = end + 1;
    }
    held = strlen(line);
    memmove(text, line, held + 1);
}

#endif
