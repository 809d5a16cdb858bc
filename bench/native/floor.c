/* The floor: the least a server can do for N WebSocket clients on one core.
 *
 * Each tick it frames the message once and calls send() for each client, from one epoll loop. It decodes
 * nothing and merges nothing, so what a gateway costs beyond it is the gateway's own.
 * Its messages have the gateway's shape (client_message in ws.h), so load.c measures both alike.
 *
 *   floor [--port 0] [--symbols LIST | --topics N] [--pad N | --client-bytes N] [--sndbuf 65536]
 *         [--relay PORT [--batch]]
 *
 *   --symbols LIST    one message of each per tick, all in one send to everybody (default BTCUSDT)
 *   --topics N        topics S000USDT, S001USDT, ..., each with a row of the clients that asked for it; a tick
 *                     takes some at random (10; at a rate above 2,000/s as many as keep ticks 0.5 ms apart).
 *                     All that is due goes to a client in one writev()
 *   --relay PORT      take ticks from the venue on this port: one per trade it sends, carrying on the
 *                     trade's intended time; the like-for-like of a gateway behind the same venue
 *   --batch           with --relay: all trades that were read at once are one tick
 *   --sndbuf BYTES    SO_SNDBUF of each client (the kernel doubles it; 0 leaves the default).
 *                     TCP_NODELAY is always set.
 *
 * Prints {"port":N}; takes the commands `rate R` (ticks, or with --topics messages, a second, at intended
 * times), `saturate` (a tick as soon as the last one is out and no socket is full), `stop`, `stats`, `quit`
 * on standard input, ends with it, and prints its statistics for `stats` and at the end.
 * A client whose socket is full has its messages queued; above 4 MB it is closed and counted. "messages"
 * divided by "ticks" is the batch.
 */
#include "rows.h"

#define MOST_WAITING (4u << 20)
#define LONGEST_TURN 10000000ULL /* ns of sending what is due: then clients and commands have their turn */

static char listener_mark, command_mark, venue_mark; /* addresses that name a descriptor to epoll */
static struct conn **clients;
static size_t client_count, client_room;
static int venue_fd = -1;
static struct bytes from_venue;
static struct schedule schedule;
static bool saturate, batch;
static uint64_t ticks, messages, sends, closed_slow, full_ticks, latest_by;

/* ---- the tick ------------------------------------------------------------------------------------------- */

static char frames[MOST_PARTS * (LONGEST_MESSAGE + 16)];
static size_t framed_bytes;
static unsigned framed;

/* Frame the next message of a symbol behind those that are there. */
static size_t add_frame(int symbol, uint64_t intended, uint64_t ms)
{
    char text[LONGEST_MESSAGE];
    size_t length = next_message(symbol, intended, ms, text);
    length = write_frame(frames + framed_bytes, WS_TEXT, text, length, false);
    framed_bytes += length;
    framed++;
    messages++;
    return length;
}

static void flush_rows(void)
{
    sends += rows_flush(MOST_WAITING, &closed_slow);
    framed = framed_bytes = 0;
}

static void offer_to_rows(uint64_t intended, uint64_t ms)
{
    for (unsigned i = tick_size(&schedule); i-- > 0;) {
        int symbol = random_symbol();
        char *at = frames + framed_bytes;
        row_offer(&rows[symbol], at, add_frame(symbol, intended, ms));
        if (framed == MOST_PARTS)
            flush_rows();
    }
}

/* Everybody gets all that is framed. */
static void send_framed(void)
{
    for (size_t i = client_count; i-- > 0;) { /* from the end: a closed client is replaced by the last */
        struct conn *c = clients[i];
        conn_send(c, frames, framed_bytes);
        if (!c->gone && bytes_length(&c->out) > MOST_WAITING) {
            closed_slow++;
            conn_close(c);
        }
    }
    sends += client_count;
    framed = framed_bytes = 0;
}

static void send_to_all(uint64_t intended, uint64_t ms)
{
    for (int i = 0; i < symbol_count; i++)
        add_frame(i, intended, ms);
    send_framed();
}

static void tick(uint64_t intended)
{
    uint64_t now = now_ns();
    if (now > intended && now - intended > latest_by)
        latest_by = now - intended;
    if (at_random)
        offer_to_rows(intended, wall_ms());
    else
        send_to_all(intended, wall_ms());
    ticks++;
    full_ticks += blocked_count > 0;
}

static void run_schedule(void)
{
    uint64_t now = now_ns();
    while (schedule.on && schedule.next_ns <= now && now_ns() - now < LONGEST_TURN) {
        tick(schedule.next_ns);
        schedule.next_ns += schedule.step_ns;
    }
    flush_rows();
    if (schedule.on)
        schedule_arm(&schedule);
}

/* ---- clients ---------------------------------------------------------------------------------------------- */

static void on_text(struct conn *c, char *text, size_t length)
{
    char answer[8192];
    const char *args = memmem(text, length, "[", 1), *end = memmem(text, length, "]", 1);
    bool wants = memmem(text, length, "\"subscribe\"", 11) && args && end > args;
    if (!wants) {
        send_text(c, "{\"op\":\"pong\",\"timestamp\":0}", 27);
        return;
    }
    length = (size_t)snprintf(answer, sizeof answer,
                              "{\"op\":\"subscribe\",\"success\":true,\"args\":%.*s,"
                              "\"message\":\"Subscribed to %d streams\",\"rejected\":null}",
                              (int)(end - args + 1 < 6000 ? end - args + 1 : 6000), args, symbol_count);
    send_text(c, answer, length);
    if (at_random && !c->gone)
        rows_join(c, args, end);
    if (c->subscribed || c->gone)
        return;
    c->subscribed = true;
    if (client_count == client_room) {
        client_room = client_room ? client_room * 2 : 1024;
        clients = realloc(clients, client_room * sizeof *clients);
    }
    clients[client_count++] = c;
}

static void on_gone(struct conn *c)
{
    rows_leave(c);
    for (size_t i = 0; c->subscribed && i < client_count; i++)
        if (clients[i] == c) {
            clients[i] = clients[--client_count];
            return;
        }
}

/* ---- the relay ----------------------------------------------------------------------------------------------- */

static void venue_subscribe(void)
{
    static char request[32000], whole[32016];
    size_t n = (size_t)snprintf(request, sizeof request, "{\"op\":\"subscribe\",\"args\":[");
    for (int i = 0; i < symbol_count; i++) {
        n += (size_t)snprintf(request + n, sizeof request - n, "%s\"publicTrade.%s\"", i ? "," : "",
                              symbols[i].name);
        if (n + 32 > sizeof request)
            die("too many symbols for one request to the venue");
    }
    n += (size_t)snprintf(request + n, sizeof request - n, "],\"req_id\":\"1\"}");
    n = write_frame(whole, WS_TEXT, request, n, true);
    if (send(venue_fd, whole, n, MSG_NOSIGNAL) != (ssize_t)n)
        die("the venue took no subscription");
}

static void venue_connect(int port)
{
    char text[1024];
    struct sockaddr_in a = address_of("127.0.0.1", port);
    venue_fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(venue_fd, (struct sockaddr *)&a, sizeof a))
        die("no venue on port %d: %s", port, strerror(errno));
    tune(venue_fd, 0);
    size_t n = upgrade_request("127.0.0.1", port, "/v5/public/linear", text, sizeof text);
    if (send(venue_fd, text, n, MSG_NOSIGNAL) != (ssize_t)n)
        die("the venue took no request");
    while (!(n = head_length(bytes_front(&from_venue), bytes_length(&from_venue)))) {
        ssize_t got = recv(venue_fd, bytes_reserve(&from_venue, 4096), 4096, 0);
        if (got <= 0)
            die("the venue closed during the handshake");
        from_venue.end += (size_t)got;
    }
    if (!upgrade_accepted(bytes_front(&from_venue), n))
        die("the venue did not accept the upgrade");
    bytes_consume(&from_venue, n);
    venue_subscribe();
    set_nonblocking(venue_fd);
    watch(poll_fd, EPOLL_CTL_ADD, venue_fd, EPOLLIN, &venue_mark);
}

static uint64_t oldest; /* intended time in the tick that is being made */

static void end_tick(void)
{
    uint64_t now = now_ns();
    if (now > oldest && now - oldest > latest_by)
        latest_by = now - oldest;
    if (at_random)
        flush_rows();
    else
        send_framed();
    ticks++;
    full_ticks += blocked_count > 0;
}

/* What stands behind `words`: looked for where it stood the last time, then everywhere. */
static const char *behind(const char *text, size_t length, const char *words, size_t *usual)
{
    size_t n = strlen(words);
    if (*usual + n > length || memcmp(text + *usual, words, n)) {
        const char *at = memmem(text, length, words, n);
        if (!at)
            return NULL;
        *usual = (size_t)(at - text);
    }
    return text + *usual + n;
}

static void take_trade(const char *text, size_t length, uint64_t ms)
{
    static size_t usual_name, usual_id;
    const char *name = behind(text, length, "\"topic\":\"publicTrade.", &usual_name);
    const char *id = name ? behind(text, length, "\"i\":\"", &usual_id) : NULL;
    const char *end = id ? memchr(name, '"', length - (size_t)(name - text)) : NULL;
    int symbol = end ? symbol_named(name, (size_t)(end - name)) : -1;
    if (symbol < 0)
        return;
    uint64_t intended = strtoull(id, NULL, 10);
    oldest = framed ? oldest : intended;
    char *at = frames + framed_bytes;
    size_t added = add_frame(symbol, intended, ms);
    if (at_random)
        row_offer(&rows[symbol], at, added);
    if (!batch || framed == MOST_PARTS)
        end_tick();
}

static void venue_read(void)
{
    ssize_t got = recv(venue_fd, bytes_reserve(&from_venue, 262144), 262144, 0);
    if (got == 0 || (got < 0 && errno != EAGAIN))
        die("the venue went away");
    if (got > 0)
        from_venue.end += (size_t)got;
    uint64_t ms = wall_ms();
    struct frame f;
    while ((f = read_frame(bytes_front(&from_venue), bytes_length(&from_venue))).whole) {
        take_trade(f.payload, f.length, ms);
        bytes_consume(&from_venue, f.whole);
    }
    if (framed)
        end_tick();
}

/* ---- commands and the loop -------------------------------------------------------------------------------------- */

static void print_statistics(void)
{
    printf("{\"ticks\":%llu,\"messages\":%llu,\"sends\":%llu,\"clients\":%zu,\"closed_slow\":%llu,"
           "\"full_ticks\":%llu,\"latest_by_ns\":%llu}\n",
           (unsigned long long)ticks, (unsigned long long)messages, (unsigned long long)sends, client_count,
           (unsigned long long)closed_slow, (unsigned long long)full_ticks, (unsigned long long)latest_by);
    fflush(stdout);
}

static void obey(char *line)
{
    double rate;
    saturate = !strcmp(line, "saturate");
    if (sscanf(line, "rate %lf", &rate) == 1)
        schedule_start(&schedule, rate, at_random ? 0 : 1);
    else if (saturate || !strcmp(line, "stop"))
        schedule_stop(&schedule);
    else if (!strcmp(line, "quit")) {
        print_statistics();
        exit(0);
    } else if (!strcmp(line, "stats"))
        print_statistics();
    else
        fprintf(stderr, "unknown command: %s\n", line);
}

static void turn(int listener)
{
    struct epoll_event events[256];
    bool eager = saturate && client_count && !blocked_count;
    int n = epoll_wait(poll_fd, events, 256, eager ? 0 : -1);
    for (int i = 0; i < n; i++) {
        void *what = events[i].data.ptr;
        if (what == &listener_mark)
            conn_accept(listener);
        else if (what == &schedule)
            timer_clear(schedule.timer);
        else if (what == &venue_mark)
            venue_read();
        else if (what == &command_mark)
            read_commands(obey, print_statistics);
        else
            conn_event(what, events[i].events);
    }
    run_schedule();
    if (saturate && client_count && !blocked_count)
        tick(now_ns());
    flush_rows();
    free_gone();
}

int main(int argc, char **argv)
{
    check_options(argc, argv, " --port --symbols --topics --pad --client-bytes --sndbuf --relay --batch ");
    raise_descriptor_limit();
    int port = (int)number(argc, argv, "--port", 0);
    take_symbols(argc, argv);
    send_buffer = (int)number(argc, argv, "--sndbuf", 65536);
    int venue = (int)number(argc, argv, "--relay", 0);
    if (!at_random && symbol_count > MOST_PARTS)
        die("--symbols: at most %d", MOST_PARTS);
    batch = flag(argc, argv, "--batch");
    poll_fd = epoll_create1(0);
    int listener = listen_on(&port);
    schedule.timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    watch(poll_fd, EPOLL_CTL_ADD, listener, EPOLLIN, &listener_mark);
    watch(poll_fd, EPOLL_CTL_ADD, schedule.timer, EPOLLIN, &schedule);
    watch(poll_fd, EPOLL_CTL_ADD, STDIN_FILENO, EPOLLIN, &command_mark);
    if (venue)
        venue_connect(venue);
    printf("{\"port\":%d}\n", port);
    fflush(stdout);
    for (;;)
        turn(listener);
}
