/* Topics with rows of subscribed clients: what is offered to a client in one flush goes out in one writev().
 *
 * Frames are shared: a client keeps pointers to them, so they must stay where they are until the flush.
 */
#ifndef BENCH_ROWS_H
#define BENCH_ROWS_H

#include "server.h"
#include "ticks.h"

#include <sys/uio.h>

#define MOST_PARTS 1000 /* writev() takes 1,024 (IOV_MAX) */

/* What a client of the rows has in conn.own. */
struct outlet {
    struct iovec parts[MOST_PARTS];
    int count;
};

static struct row {
    struct conn **conns;
    size_t count, room;
} rows[MOST_SYMBOLS];
static struct conn **dirty;
static size_t dirty_count, dirty_room;

static inline void row_join(struct row *row, struct conn *c)
{
    for (size_t i = 0; i < row->count; i++)
        if (row->conns[i] == c)
            return;
    if (row->count == row->room) {
        row->room = row->room ? row->room * 2 : 64;
        row->conns = realloc(row->conns, row->room * sizeof *row->conns);
    }
    row->conns[row->count++] = c;
}

static inline void rows_leave(struct conn *c)
{
    for (struct row *row = rows; row < rows + symbol_count; row++)
        for (size_t i = row->count; i-- > 0;)
            if (row->conns[i] == c)
                row->conns[i] = row->conns[--row->count];
    free(c->own);
    c->own = NULL;
}

/* Join the rows of the topics that stand in `args`, a JSON list of texts like "trade:SYMBOL". */
static inline void rows_join(struct conn *c, const char *args, const char *end)
{
    char wanted[96];
    if (!c->own)
        c->own = calloc(1, sizeof(struct outlet));
    for (int i = 0; i < symbol_count; i++) {
        int n = snprintf(wanted, sizeof wanted, "\"trade:%.80s\"", symbols[i].name);
        if (memmem(args, (size_t)(end - args), wanted, (size_t)n))
            row_join(&rows[i], c);
    }
}

/* Offer a frame to a row; no client has MOST_PARTS before the flush: the caller sees to it. */
static inline void row_offer(struct row *row, char *frame, size_t length)
{
    for (size_t i = 0; i < row->count; i++) {
        struct outlet *o = row->conns[i]->own;
        if (!o->count) {
            if (dirty_count == dirty_room) {
                dirty_room = dirty_room ? dirty_room * 2 : 1024;
                dirty = realloc(dirty, dirty_room * sizeof *dirty);
            }
            dirty[dirty_count++] = row->conns[i];
        }
        o->parts[o->count++] = (struct iovec){frame, length};
    }
}

/* Queue what writev() left of the parts, the first `sent` bytes being out. */
static inline void keep_rest(struct conn *c, const struct outlet *o, size_t sent)
{
    for (int i = 0; i < o->count; i++) {
        size_t skipped = sent < o->parts[i].iov_len ? sent : o->parts[i].iov_len;
        bytes_append(&c->out, (char *)o->parts[i].iov_base + skipped, o->parts[i].iov_len - skipped);
        sent -= skipped;
    }
}

static inline void outlet_flush(struct conn *c)
{
    struct outlet *o = c->own;
    ssize_t sent = 0;
    if (!bytes_length(&c->out)) {
        sent = writev(c->fd, o->parts, o->count);
        if (sent < 0 && errno != EAGAIN) {
            conn_close(c);
            return;
        }
    }
    keep_rest(c, o, sent > 0 ? (size_t)sent : 0);
    if (bytes_length(&c->out))
        set_blocked(c, true);
    o->count = 0;
}

/* Send to everyone what was offered; returns to how many. */
static inline size_t rows_flush(size_t most_waiting, uint64_t *closed_slow)
{
    size_t count = dirty_count;
    for (size_t i = 0; i < count; i++) {
        struct conn *c = dirty[i];
        outlet_flush(c);
        if (!c->gone && bytes_length(&c->out) > most_waiting) {
            ++*closed_slow;
            conn_close(c);
        }
    }
    dirty_count = 0;
    return count;
}

#endif
