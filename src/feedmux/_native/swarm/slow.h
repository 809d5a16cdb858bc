/* The slow clients of the load: who they are, when they read, when they come back. */
#ifndef SWARM_SLOW_H
#define SWARM_SLOW_H

#include "client.h"

#define LEAST_SLOW_READ 1024

static int slow_count, slow_returns;
static int *slow_ones; /* indices of clients */
static double slow_factor, slow_return;

static void mark_slow(double share, enum kind kind)
{
    int wanted = (int)(share * client_count + 0.5), step = wanted ? client_count / wanted : 0;
    for (int i = 0; i < wanted; i++) {
        int at = i * step;
        while (clients[at].kind != USUAL)
            at = (at + 1) % client_count;
        clients[at].kind = kind;
        slow_ones[slow_count++] = at;
    }
}

static void set_slow(bool on)
{
    slow_on = on;
    for (int i = 0; i < slow_count; i++)
        if (clients[slow_ones[i]].state == LIVE)
            hold_back(&clients[slow_ones[i]], on);
}

static void come_back(struct client *c)
{
    c->back_at = 0;
    c->held_back = false;
    memset(c->last, 0, (size_t)stream_room * sizeof *c->last);
    slow_returns++;
    open_client(c);
}

static bool held_too_long(const struct client *c, uint64_t now)
{
    return c->state == LIVE && c->held_back && c->kind == STOPS && (double)(now - c->held_at) > slow_return * 1e9;
}

/* Each 5 ms: who crawls may read its part of what a usual client read meanwhile. */
static void look_after_slow(void)
{
    static uint64_t seen;
    uint64_t now = now_ns();
    int usual = client_count - slow_count;
    double more = usual ? (double)(usual_bytes - seen) / usual * slow_factor : 0;
    seen = usual_bytes;
    for (int i = 0; i < slow_count; i++) {
        struct client *c = &clients[slow_ones[i]];
        if (c->state == DEAD && c->back_at && now >= c->back_at)
            come_back(c);
        if (held_too_long(c, now)) {
            lose(c);
            slow_closed--; /* it went by itself */
        }
        if (c->state != LIVE || !c->held_back || c->kind != CRAWLS)
            continue;
        c->allowance += more;
        if (c->allowance >= LEAST_SLOW_READ)
            c->allowance -= (double)read_client(c, c->allowance < READ_SIZE ? (size_t)c->allowance : READ_SIZE);
    }
}

#endif
