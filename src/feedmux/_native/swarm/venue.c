/* A venue: a small WebSocket server that speaks the public linear part of Bybit V5.
 *
 * It acknowledges subscriptions, answers pings, and sends trades (or ticker deltas) of the subscribed
 * topics at a fixed rate. The intended time of each message (CLOCK_MONOTONIC, ns) travels in the
 * trade's "i" field, through the gateway and its "id", to the load client: a late sender therefore
 * shows as latency instead of hiding it.
 *
 *   venue [--port 0] [--rate R] [--burst B] [--window W] [--seconds S] [--pad N | --client-bytes N]
 *         [--topics LIST] [--order round|random] [--seed N] [--sndbuf BYTES] [--credit-fd FD]
 *
 *   --rate R          messages a second in all, from the first subscription on; without it the
 *                     venue waits for a command
 *   --burst B         messages per tick (default: 1 up to 2,000/s, then ticks of 0.5 ms)
 *   --window W        closed loop instead of a rate: W messages at once, then one for each byte
 *                     that arrives on --credit-fd, --burst of them together
 *   --topics LIST     send only for these (comma-separated); default: for all that are subscribed
 *   --client-bytes N  pad the id so that the gateway's message to its client has about N bytes
 *
 * Prints {"port":N}; takes the commands `rate R [B]`, `window W [B]`, `stop`, `stats`, `quit` on standard
 * input, ends with it, and prints its statistics for `stats` and at the end.
 * Nothing is skipped when the gateway does not read: the messages wait and go out late.
 */
#include "template.h"

#define MOST_WAITING (4u << 20)

struct subscription {
    struct conn *conn;
    char topic[80];
    struct template template;
};

static char listener_mark, command_mark; /* addresses that name a descriptor to epoll */
static struct subscription *subs;
static size_t sub_count, sub_room, next_sub;
static struct schedule schedule;
static int credit_fd = -1;
static unsigned window, credits;
static bool in_order = true, started;
static const char *only_topics;
static uint64_t dice = 88172645463325252ULL, sent, order_number = 1000000000, first_ns, last_ns, latest_by;
static double rate, seconds;
static unsigned burst;

/* ---- messages ----------------------------------------------------------------------------------------- */

static void queue_message(struct subscription *s, uint64_t intended, uint64_t ms)
{
    struct template *t = &s->template;
    char *at = bytes_reserve(&s->conn->out, t->length);
    memcpy(at, t->frame, t->length);
    put_digits(at + t->ms, ms, 13);
    put_digits(at + t->order, ++order_number, 10);
    put_digits(at + t->ns, intended, NS_DIGITS);
    if (t->ms_again >= 0)
        put_digits(at + t->ms_again, ms, 13);
    put_digits(at + t->price, order_number % 10000, 4); /* so no two messages are alike */
    s->conn->out.end += t->length;
    s->conn->touched = true;
    sent++;
}

static struct subscription *pick(void)
{
    if (in_order) {
        next_sub = next_sub + 1 < sub_count ? next_sub + 1 : 0;
        return &subs[next_sub];
    }
    dice ^= dice << 13, dice ^= dice >> 7, dice ^= dice << 17;
    return &subs[(dice >> 16) % sub_count];
}

/* Queue `count` messages of one intended time, then one send per connection. */
static void send_messages(unsigned count, uint64_t intended)
{
    uint64_t now = now_ns(), ms = wall_ms();
    if (!first_ns)
        first_ns = now;
    last_ns = now;
    if (now > intended && now - intended > latest_by)
        latest_by = now - intended;
    for (unsigned i = 0; i < count; i++)
        queue_message(pick(), intended, ms);
    for (size_t i = 0; i < sub_count; i++) {
        struct conn *c = subs[i].conn;
        if (!c->touched)
            continue;
        c->touched = false;
        conn_flush(c);
        if (c->gone)
            return; /* its subscriptions are gone too: the array has changed */
    }
}

static bool too_much_waits(void)
{
    for (size_t i = 0; blocked_count && i < sub_count; i++)
        if (bytes_length(&subs[i].conn->out) > MOST_WAITING)
            return true;
    return false;
}

/* Send all that is due. While a connection is full the schedule rests: EPOLLOUT goes on with it. */
static void run_schedule(void)
{
    if (!schedule.on)
        return;
    if (seconds > 0 && first_ns && now_ns() - first_ns > (uint64_t)(seconds * 1e9)) {
        schedule_stop(&schedule);
        return;
    }
    while (schedule.next_ns <= now_ns()) {
        if (too_much_waits())
            return;
        if (sub_count)
            send_messages(schedule.burst, schedule.next_ns);
        schedule.next_ns += schedule.step_ns;
    }
    schedule_arm(&schedule);
}

/* ---- requests --------------------------------------------------------------------------------------------- */

static const char *value_of(const char *text, const char *key)
{
    const char *at = strstr(text, key);
    if (!at)
        return NULL;
    at += strlen(key);
    while (*at == ' ' || *at == ':')
        at++;
    return at;
}

static void text_of(const char *text, const char *key, char *out, size_t room)
{
    const char *at = value_of(text, key);
    size_t n = 0;
    if (at && *at == '"')
        for (at++; *at && *at != '"' && n + 1 < room; at++)
            out[n++] = *at;
    out[n] = 0;
}

/* Whether the comma-separated `list` names `topic`; no list names everything. */
static bool listed(const char *list, const char *topic)
{
    size_t n = strlen(topic);
    for (const char *at = list; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
        if (!strncmp(at, topic, n) && (at[n] == ',' || !at[n]))
            return true;
    return !list;
}

static bool known_topic(const char *topic)
{
    return !strncmp(topic, "publicTrade.", 12) || !strncmp(topic, "tickers.", 8);
}

static void send_snapshot(struct conn *c, const char *topic)
{
    char text[1024];
    const char *symbol = topic + 8;
    size_t length = (size_t)snprintf(
        text, sizeof text,
        "{\"topic\":\"%s\",\"type\":\"snapshot\",\"data\":{\"symbol\":\"%s\",\"tickDirection\":\"PlusTick\","
        "\"price24hPcnt\":\"0.017103\",\"lastPrice\":\"80682.00\",\"prevPrice24h\":\"79325.30\","
        "\"highPrice24h\":\"81000.00\",\"lowPrice24h\":\"79000.00\",\"prevPrice1h\":\"80500.00\","
        "\"markPrice\":\"80680.10\",\"indexPrice\":\"80690.00\",\"openInterest\":\"52000.000\","
        "\"openInterestValue\":\"4195365200.00\",\"turnover24h\":\"5200000000.0000\",\"volume24h\":\"65000.0000\","
        "\"nextFundingTime\":\"1700000000000\",\"fundingRate\":\"0.0001\",\"bid1Price\":\"80681.90\","
        "\"bid1Size\":\"2.100\",\"ask1Price\":\"80682.00\",\"ask1Size\":\"1.500\"},\"cs\":%llu,\"ts\":%llu}",
        topic, symbol, (unsigned long long)++order_number, (unsigned long long)wall_ms());
    send_text(c, text, length);
}

static bool subscribe(struct conn *c, const char *topic)
{
    for (size_t i = 0; i < sub_count; i++)
        if (subs[i].conn == c && !strcmp(subs[i].topic, topic))
            return true;
    if (!known_topic(topic))
        return false;
    if (topic[0] == 't')
        send_snapshot(c, topic);
    if (!listed(only_topics, topic))
        return true;
    if (sub_count == sub_room) {
        sub_room = sub_room ? sub_room * 2 : 64;
        subs = realloc(subs, sub_room * sizeof *subs);
    }
    struct subscription *s = &subs[sub_count++];
    *s = (struct subscription){.conn = c};
    snprintf(s->topic, sizeof s->topic, "%s", topic);
    s->template = make_template(s->topic);
    return true;
}

static void unsubscribe(struct conn *c, const char *topic)
{
    for (size_t i = sub_count; i-- > 0;) {
        if (subs[i].conn != c || (topic && strcmp(subs[i].topic, topic)))
            continue;
        free(subs[i].template.frame);
        subs[i] = subs[--sub_count];
    }
}

/* Walk the strings of "args"; the first topic that is refused is stored in `bad`. */
static void walk_args(struct conn *c, const char *text, bool wants, char *bad, size_t room)
{
    const char *at = value_of(text, "\"args\"");
    char topic[80];
    while (at && *at && *at != ']') {
        if (*at++ != '"')
            continue;
        size_t n = 0;
        for (; *at && *at != '"'; at++)
            if (n + 1 < sizeof topic)
                topic[n++] = *at;
        topic[n] = 0;
        at += *at == '"';
        if (!wants)
            unsubscribe(c, topic);
        else if (!subscribe(c, topic) && !*bad)
            snprintf(bad, room, "error:handler not found,topic:%s", topic);
    }
}

static void begin(void)
{
    if (started || !sub_count)
        return;
    started = true;
    if (rate > 0)
        schedule_start(&schedule, rate, burst);
    else if (window)
        send_messages(window, now_ns());
}

static void on_text(struct conn *c, char *text, size_t length)
{
    char request[32768], op[16], id[128], bad[128] = "", answer[512];
    if (length >= sizeof request)
        die("a request of %zu bytes", length);
    memcpy(request, text, length);
    request[length] = 0;
    text_of(request, "\"op\"", op, sizeof op);
    text_of(request, "\"req_id\"", id, sizeof id);
    bool ping = !strcmp(op, "ping");
    if (!strcmp(op, "subscribe") || !strcmp(op, "unsubscribe"))
        walk_args(c, request, op[0] == 's', bad, sizeof bad);
    else if (!ping)
        snprintf(bad, sizeof bad, "error:invalid op");
    length = (size_t)snprintf(answer, sizeof answer,
                              "{\"success\":%s,\"ret_msg\":\"%s\",\"conn_id\":\"c\",\"req_id\":\"%s\",\"op\":\"%s\"}",
                              *bad ? "false" : "true", ping ? "pong" : bad, id, op);
    send_text(c, answer, length);
    begin();
}

static void on_gone(struct conn *c)
{
    unsubscribe(c, NULL);
}

/* ---- commands and the loop -------------------------------------------------------------------------------- */

static void print_statistics(void)
{
    uint64_t now = now_ns();
    uint64_t overdue = schedule.on && schedule.next_ns < now ? (now - schedule.next_ns) / schedule.step_ns : 0;
    printf("{\"sent\":%llu,\"seconds\":%.6f,\"behind\":%llu,\"latest_by_ns\":%llu,\"subscriptions\":%zu}\n",
           (unsigned long long)sent, (double)(last_ns - first_ns) / 1e9,
           (unsigned long long)overdue * schedule.burst, (unsigned long long)latest_by, sub_count);
    fflush(stdout);
}

/* What a new rate or window begins with: its own statistics. */
static void restart(void)
{
    started = true;
    first_ns = last_ns = latest_by = sent = 0;
}

static void obey(char *line)
{
    unsigned b = 0;
    if (sscanf(line, "rate %lf %u", &rate, &b) >= 1) {
        restart();
        schedule_start(&schedule, rate, b);
    } else if (sscanf(line, "window %u %u", &window, &burst) >= 1) {
        restart();
        schedule_stop(&schedule);
        credits = 0;
        if (sub_count)
            send_messages(window, now_ns());
    } else if (!strcmp(line, "stop")) {
        schedule_stop(&schedule);
        window = 0;
    } else if (!strcmp(line, "stats")) {
        print_statistics();
    } else if (!strcmp(line, "quit")) {
        print_statistics();
        exit(0);
    } else {
        fprintf(stderr, "unknown command: %s\n", line);
    }
}

static void take_credit(void)
{
    char spent[4096];
    ssize_t got = read(credit_fd, spent, sizeof spent);
    if (got == 0)
        watch(poll_fd, EPOLL_CTL_DEL, credit_fd, 0, NULL);
    if (got <= 0 || !window || !sub_count)
        return;
    unsigned together = burst ? burst : 1;
    credits += (unsigned)got;
    if (credits < together)
        return;
    send_messages(credits - credits % together, now_ns());
    credits %= together;
}

static void turn(int listener)
{
    struct epoll_event events[256];
    int n = epoll_wait(poll_fd, events, 256, -1);
    for (int i = 0; i < n; i++) {
        void *what = events[i].data.ptr;
        if (what == &listener_mark)
            conn_accept(listener);
        else if (what == &schedule)
            timer_clear(schedule.timer);
        else if (what == &credit_fd)
            take_credit();
        else if (what == &command_mark)
            read_commands(obey, print_statistics);
        else
            conn_event(what, events[i].events);
    }
    run_schedule();
    free_gone();
}

int venue_main(int argc, char **argv)
{
    check_options(argc, argv,
                  " --port --rate --burst --window --seconds --pad --client-bytes --topics --order --seed --sndbuf"
                  " --credit-fd ");
    raise_descriptor_limit();
    int port = (int)number(argc, argv, "--port", 0);
    rate = number(argc, argv, "--rate", 0);
    burst = (unsigned)number(argc, argv, "--burst", 0);
    window = (unsigned)number(argc, argv, "--window", 0);
    seconds = number(argc, argv, "--seconds", 0);
    pad = (int)number(argc, argv, "--pad", 0);
    wanted_bytes = (int)number(argc, argv, "--client-bytes", 0);
    only_topics = option(argc, argv, "--topics", NULL);
    in_order = strcmp(option(argc, argv, "--order", "round"), "random") != 0;
    dice ^= (uint64_t)number(argc, argv, "--seed", 1) * 0x9E3779B97F4A7C15ULL;
    send_buffer = (int)number(argc, argv, "--sndbuf", 0);
    credit_fd = (int)number(argc, argv, "--credit-fd", -1);
    if (pad > 1000)
        die("--pad: at most 1000");
    poll_fd = epoll_create1(0);
    int listener = listen_on(&port);
    schedule.timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    watch(poll_fd, EPOLL_CTL_ADD, listener, EPOLLIN, &listener_mark);
    watch(poll_fd, EPOLL_CTL_ADD, schedule.timer, EPOLLIN, &schedule);
    watch(poll_fd, EPOLL_CTL_ADD, STDIN_FILENO, EPOLLIN, &command_mark);
    if (credit_fd >= 0) {
        set_nonblocking(credit_fd);
        watch(poll_fd, EPOLL_CTL_ADD, credit_fd, EPOLLIN, &credit_fd);
    }
    printf("{\"port\":%d}\n", port);
    fflush(stdout);
    for (;;)
        turn(listener);
}
