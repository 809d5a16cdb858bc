/* The server side that the venue and the floor share: accept, upgrade, read frames, write or queue.
 *
 * The program that includes this defines `on_text` (one text message of a client) and `on_gone`
 * (the connection is about to be freed).
 */
#ifndef SWARM_SERVER_H
#define SWARM_SERVER_H

#include "ws.h"

struct conn {
    int fd;
    bool upgraded, subscribed, blocked, gone, touched;
    struct bytes in, out;
    void *own; /* what the program keeps for it, and frees in on_gone */
    struct conn *next_gone;
};

static int poll_fd;
static int send_buffer;
static long blocked_count; /* connections whose socket is full */
static struct conn *gone_list;

static void on_text(struct conn *c, char *text, size_t length);
static void on_gone(struct conn *c);

/* Close now, free at the end of the turn: events of this turn may still point here. */
static inline void conn_close(struct conn *c)
{
    if (c->gone)
        return;
    c->gone = true;
    on_gone(c);
    if (c->blocked)
        blocked_count--;
    close(c->fd);
    c->next_gone = gone_list;
    gone_list = c;
}

static inline void free_gone(void)
{
    while (gone_list) {
        struct conn *c = gone_list;
        gone_list = c->next_gone;
        bytes_free(&c->in);
        bytes_free(&c->out);
        free(c);
    }
}

static inline void set_blocked(struct conn *c, bool blocked)
{
    if (c->blocked == blocked)
        return;
    c->blocked = blocked;
    blocked_count += blocked ? 1 : -1;
    watch(poll_fd, EPOLL_CTL_MOD, c->fd, blocked ? EPOLLIN | EPOLLOUT : EPOLLIN, c);
}

/* Send what waits; the rest waits for EPOLLOUT. */
static inline void conn_flush(struct conn *c)
{
    while (bytes_length(&c->out)) {
        ssize_t sent = send(c->fd, bytes_front(&c->out), bytes_length(&c->out), MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno != EAGAIN) {
                conn_close(c);
                return;
            }
            set_blocked(c, true);
            return;
        }
        bytes_consume(&c->out, (size_t)sent);
    }
    bytes_free(&c->out);
    set_blocked(c, false);
}

/* Send at once when nothing waits, else queue behind it. */
static inline void conn_send(struct conn *c, const char *data, size_t length)
{
    if (!bytes_length(&c->out)) {
        ssize_t sent = send(c->fd, data, length, MSG_NOSIGNAL);
        if (sent == (ssize_t)length)
            return;
        if (sent < 0 && errno != EAGAIN) {
            conn_close(c);
            return;
        }
        if (sent > 0) {
            data += sent;
            length -= (size_t)sent;
        }
        set_blocked(c, true);
    }
    bytes_append(&c->out, data, length);
}

static inline void conn_accept(int listener)
{
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        tune(fd, send_buffer);
        struct conn *c = calloc(1, sizeof *c);
        c->fd = fd;
        watch(poll_fd, EPOLL_CTL_ADD, fd, EPOLLIN, c);
    }
}

static inline bool conn_upgrade(struct conn *c)
{
    char answer[512];
    size_t head = head_length(bytes_front(&c->in), bytes_length(&c->in));
    if (!head)
        return false;
    size_t length = upgrade_answer(bytes_front(&c->in), head, answer, sizeof answer);
    if (!length) {
        conn_close(c);
        return false;
    }
    bytes_consume(&c->in, head);
    c->upgraded = true;
    conn_send(c, answer, length);
    return !c->gone;
}

static inline void conn_frame(struct conn *c, struct frame f)
{
    char out[256];
    if (f.opcode == WS_TEXT || f.opcode == WS_BINARY) {
        on_text(c, f.payload, f.length);
    } else if (f.opcode == WS_PING && f.length < 126) {
        conn_send(c, out, write_frame(out, WS_PONG, f.payload, f.length, false));
    } else if (f.opcode == WS_CLOSE && f.length < 126) {
        conn_send(c, out, write_frame(out, WS_CLOSE, f.payload, f.length, false));
        conn_close(c);
    }
}

static inline void conn_read(struct conn *c)
{
    char *into = bytes_reserve(&c->in, 4096);
    ssize_t got = recv(c->fd, into, 4096, 0);
    if (got <= 0) {
        if (got == 0 || errno != EAGAIN)
            conn_close(c);
        return;
    }
    c->in.end += (size_t)got;
    if (!c->upgraded && !conn_upgrade(c))
        return;
    struct frame f;
    while (!c->gone && (f = read_frame(bytes_front(&c->in), bytes_length(&c->in))).whole) {
        conn_frame(c, f);
        bytes_consume(&c->in, f.whole);
    }
    if (!bytes_length(&c->in))
        bytes_free(&c->in);
}

static inline void conn_event(struct conn *c, uint32_t events)
{
    if (!c->gone && events & EPOLLOUT)
        conn_flush(c);
    if (!c->gone && events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        conn_read(c);
}

static inline void send_text(struct conn *c, const char *text, size_t length)
{
    char out[8192];
    if (length > sizeof out - 16)
        die("an answer of %zu bytes", length);
    conn_send(c, out, write_frame(out, WS_TEXT, text, length, false));
}

#endif
