/* The load: N WebSocket clients in one process, which count, check and time what they receive.
 *
 *   load --port P [--host 127.0.0.1] [--path /ws] [--clients 1] [--topics LIST] [--each K] [--seed N]
 *        [--sources N] [--parallel 200] [--deadline 60] [--warmup 1] [--seconds 5] [--idle]
 *        [--credit-fd FD] [--stop-reading SHARE] [--slow SHARE] [--slow-factor 0.1]
 *        [--slow-rcvbuf 16384] [--slow-return 10] [--slow-waits] [--no-subscribe] [--address A]
 *        [--times intended|timestamp] [--histogram]
 *
 *   --topics LIST   what each client subscribes to, comma-separated (default trade:BTCUSDT)
 *   --each K        K random ones of LIST for each client, chosen by --seed
 *   --sources N     connect from 127.0.0.2 .. 127.0.0.(N+1): more clients than one address has ports
 *   --parallel N    handshakes under way at once
 *   --deadline S    what is not subscribed by then has failed
 *   --seconds S     how long is measured; 0: until `next` or the end
 *   --idle          subscribe, then only stay: no measurement
 *   --credit-fd FD  write one byte there for each --clients deliveries (the venue's closed loop)
 *   --stop-reading SHARE  so many of the clients (0.01: one of a hundred) read nothing once they are live
 *   --slow SHARE    so many read no more than --slow-factor of the bytes that an other client gets
 *   --slow-rcvbuf   SO_RCVBUF of both, small, so that the pressure comes to the server soon
 *   --slow-return S after so long a client that reads nothing goes and comes back: it would not notice
 *                   that it was closed, since the end stands behind what it does not read
 *   --slow-waits    they read like the others until the command `slow on`
 *   --no-subscribe  for a server that takes the topics from the path: they are put behind --path, separated by
 *                   commas, and no request is sent; the upgrade is the acknowledgement
 *   --address A     the IPv4 address of --host, which then is only named in the request
 *   --times timestamp  a message is as old as its "timestamp" says: right only where its clock is ours
 *   --histogram     the result has the latencies too, as pairs of bucket (histogram.h) and count
 *
 * Prints {"event":"ready",...} when every client has its acknowledgement (or failed), with the time that
 * took; from the first data message on `--warmup` seconds pass unmeasured, then {"event":"measuring"},
 * and after `--seconds` the result: one line of JSON. Then the clients stay and read, so that their going
 * does not disturb the server's books, until standard input ends (at once when it is a file).
 * "load_busy" is the load's own share of its core while measuring: near 1 it is the load that is measured.
 *
 * Commands: `next` prints the result of what was measured so far and begins anew; `slow on`, `slow off`;
 * `stats`; `quit`.
 *
 * Loss is a jump of "seq" of one stream at one client that no gap message announced; disorder a step
 * back, a duplicate the same seq again. They are counted from the first message to the last, the rest
 * only while measuring. Latency is the time of the read minus the intended time in the message, so a
 * late sender does not hide (no coordinated omission).
 *
 * The slow ones are counted apart, under "slow": at a stream of tickers a jump of theirs is "conflated".
 * A slow client that notices that it was closed ("closed") comes back after a moment, so that the
 * pressure stays; "returns" counts them all.
 */
#include "tally.h"

#define READ_SIZE (1u << 20)
#define MOST_TOPICS 4096
#define LEAST_SLOW_READ 1024
#define COMES_BACK_NS (SECOND / 10)

enum state { CONNECTING, UPGRADING, SUBSCRIBING, LIVE, DEAD };
enum kind { USUAL, STOPS, CRAWLS };

struct client {
    int fd;
    enum state state;
    enum kind kind;
    bool held_back;    /* it is slow just now: not read when there is something, but never or by its allowance */
    double allowance;  /* bytes that a crawling client may read by now */
    uint64_t held_at;  /* since when it is held back */
    uint64_t back_at;  /* when a slow client that was closed comes again; 0: it need not */
    struct bytes held; /* the beginning of a message whose end has not come */
    uint32_t *last;    /* highest seq by stream; 0: none yet */
};

static char command_mark, timer_mark; /* addresses that name a descriptor to epoll */
static struct client *clients;
static int client_count, opened, under_way, live, failed, closed, close_code, poll_fd, port, sources, parallel,
    credit_fd;
static int slow_count, slow_closed, slow_returns;
static int *slow_ones; /* indices of clients */
static bool slow_on;
static double slow_factor, slow_return;
static int slow_buffer;
static const char *host, *path;
static struct sockaddr_in server;
static char *topics[MOST_TOPICS];
static int topic_count, each;
static uint64_t dice;

static uint64_t read_at, opened_at, first_data_at, measure_from, measure_until, credit_due, usual_bytes;
static double warmup_seconds, measured_seconds;
static bool ready, measuring, done, stays, idle, in_path, shows_histogram;
static uint64_t cpu_from, others;
static struct tally tallies[2]; /* of the usual clients and of the slow ones */

/* ---- messages ---------------------------------------------------------------------------------------------- */

static void start_of_data(void)
{
    first_data_at = read_at;
    measure_from = read_at + (uint64_t)(warmup_seconds * 1e9);
}

static bool begins(const char *text, size_t length, const char *with, size_t size)
{
    return length >= size && !memcmp(text, with, size);
}

static void data_message(struct client *c, const char *text, size_t length)
{
    struct tally *t = &tallies[c->kind != USUAL];
    size_t name;
    int stream = stream_at(text + 11, length - 11, &name);
    if (stream < 0) {
        others++;
        return;
    }
    const char *rest = text + 11 + name;
    size_t left = (size_t)(text + length - rest);
    if (begins(rest, left, "\",\"type\":\"gap\"", 14)) {
        take_gap(t, &c->last[stream], text, length);
        return;
    }
    if (begins(rest, left, "\",\"type\":\"status\"", 17)) {
        t->statuses++;
        return;
    }
    if (!first_data_at)
        start_of_data();
    t->all++;
    uint64_t seq;
    if (read_seq(text, length, &seq))
        check_seq(t, &c->last[stream], seq, c->kind != USUAL && streams[stream].conflates);
    if (measuring) {
        t->part.deliveries++;
        time_message(t, rest, left, read_at);
    }
}

static void give_credit(void)
{
    while (credit_fd >= 0 && live && tallies[0].all >= credit_due) {
        if (write(credit_fd, "c", 1) != 1)
            die("the credit pipe is gone");
        credit_due += (uint64_t)live;
    }
}

/* ---- a client's life -------------------------------------------------------------------------------------- */

static void lose(struct client *c)
{
    if (c->state == DEAD)
        return;
    bool was_live = c->state == LIVE;
    c->state = DEAD;
    close(c->fd);
    bytes_free(&c->held);
    live -= was_live;
    under_way -= !was_live;
    if (c->kind != USUAL && ready) {
        slow_closed += was_live;
        c->back_at = now_ns() + COMES_BACK_NS;
    } else if (was_live) {
        closed++;
    } else {
        failed++;
    }
}

/* Whether a slow client is read just now. What the server does to it must be noticed all the same. */
static void hold_back(struct client *c, bool held_back)
{
    if (c->held_back == held_back)
        return;
    c->held_back = held_back;
    c->held_at = now_ns();
    c->allowance = 0;
    watch(poll_fd, EPOLL_CTL_MOD, c->fd, held_back ? EPOLLRDHUP : EPOLLIN, c);
}

static void come_live(struct client *c)
{
    c->state = LIVE;
    live++;
    under_way--;
    if (ready && slow_on && c->kind != USUAL)
        hold_back(c, true);
}

static bool put(struct client *c, const char *data, size_t length)
{
    if (send(c->fd, data, length, MSG_NOSIGNAL) == (ssize_t)length)
        return true;
    lose(c); /* what a client sends is small: a full socket means a server that does not read */
    return false;
}

/* The topics of a client, each between `quote`s, separated by commas. */
static size_t topics_of(int index, const char *quote, char *out, size_t room)
{
    static int order[MOST_TOPICS];
    int wanted = each && each < topic_count ? each : topic_count;
    uint64_t x = dice + (uint64_t)index * 0x9E3779B97F4A7C15ULL + 1;
    for (int i = 0; i < topic_count; i++)
        order[i] = i;
    size_t n = 0;
    for (int i = 0; i < wanted; i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        int from = wanted < topic_count ? i + (int)((x >> 16) % (uint64_t)(topic_count - i)) : i, kept = order[i];
        order[i] = order[from];
        order[from] = kept;
        n += (size_t)snprintf(out + n, room - n, "%s%s%s%s", i ? "," : "", quote, topics[order[i]], quote);
        if (n + 8 > room)
            die("a client subscribes to more than fits one request");
    }
    return n;
}

static size_t request_of(int index, char *out, size_t room)
{
    size_t n = (size_t)snprintf(out, room, "{\"op\":\"subscribe\",\"args\":[");
    n += topics_of(index, "\"", out + n, room - n);
    return n + (size_t)snprintf(out + n, room - n, "]}");
}

static void send_request(struct client *c)
{
    static char text[60000], framed[60016];
    size_t n = request_of((int)(c - clients), text, sizeof text);
    if (put(c, framed, write_frame(framed, WS_TEXT, text, n, true)))
        c->state = SUBSCRIBING;
}

static void open_client(struct client *c)
{
    int on = 1;
    under_way++;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    c->state = CONNECTING;
    if (c->fd < 0)
        die("no descriptor for client %d: %s", (int)(c - clients) + 1, strerror(errno));
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (c->kind != USUAL && slow_buffer)
        setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &slow_buffer, sizeof slow_buffer);
    if (sources) {
        struct sockaddr_in a = {.sin_family = AF_INET};
        a.sin_addr.s_addr = htonl(0x7F000002u + (uint32_t)((c - clients) % sources));
        setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
        if (bind(c->fd, (struct sockaddr *)&a, sizeof a))
            die("cannot bind a source address: %s", strerror(errno));
    }
    watch(poll_fd, EPOLL_CTL_ADD, c->fd, EPOLLOUT, c);
    if (connect(c->fd, (struct sockaddr *)&server, sizeof server) && errno != EINPROGRESS)
        lose(c);
}

static void open_more(void)
{
    while (opened < client_count && under_way < parallel)
        open_client(&clients[opened++]);
}

static void send_upgrade(struct client *c)
{
    static char wanted[7000], text[8192];
    size_t n = (size_t)snprintf(wanted, sizeof wanted, "%s", path);
    if (in_path)
        topics_of((int)(c - clients), "", wanted + n, sizeof wanted - n);
    put(c, text, upgrade_request(host, port, wanted, text, sizeof text));
}

static void connected(struct client *c)
{
    int problem = 0;
    socklen_t size = sizeof problem;
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &problem, &size);
    if (problem) {
        lose(c);
        return;
    }
    watch(poll_fd, EPOLL_CTL_MOD, c->fd, EPOLLIN, c);
    c->state = UPGRADING;
    send_upgrade(c);
}

static int says(const char *text, size_t length, const char *words)
{
    return memmem(text, length, words, strlen(words)) != NULL;
}

/* Answers are compact or spaced, as their server's JSON writer makes them. */
static int is_success(const char *text, size_t length)
{
    int success = says(text, length, "\"success\":true") || says(text, length, "\"success\": true");
    return success && !says(text, length, "\"rejected\":[") && !says(text, length, "\"rejected\": [");
}

static void text_message(struct client *c, const char *text, size_t length)
{
    if (length > 32 && !memcmp(text, "{\"stream\":\"", 11)) {
        data_message(c, text, length);
        return;
    }
    others++;
    if (c->state != SUBSCRIBING || !memmem(text, length, "\"op\":", 5))
        return;
    if (is_success(text, length)) {
        come_live(c);
        return;
    }
    fprintf(stderr, "a subscription was answered with: %.*s\n", (int)(length < 300 ? length : 300), text);
    lose(c);
}

static void take_frame(struct client *c, struct frame f)
{
    char out[160];
    if (f.opcode == WS_TEXT || f.opcode == WS_BINARY) {
        text_message(c, f.payload, f.length);
    } else if (f.opcode == WS_PING && f.length < 126) {
        put(c, out, write_frame(out, WS_PONG, f.payload, f.length, true));
    } else if (f.opcode == WS_CLOSE) {
        if (f.length >= 2)
            close_code = (uint8_t)f.payload[0] << 8 | (uint8_t)f.payload[1];
        lose(c);
    }
}

/* Take the messages that are complete; returns how much of `text` they were. */
static size_t take_messages(struct client *c, char *text, size_t length)
{
    size_t at = 0;
    if (c->state == UPGRADING) {
        at = head_length(text, length);
        if (!at)
            return 0;
        if (!upgrade_accepted(text, at)) {
            fprintf(stderr, "an upgrade was answered with: %.*s\n", (int)(at < 200 ? at : 200), text);
            lose(c);
            return 0;
        }
        if (in_path) {
            come_live(c);
        } else {
            send_request(c);
        }
    }
    struct frame f;
    while (c->state != DEAD && (f = read_frame(text + at, length - at)).whole) {
        take_frame(c, f);
        at += f.whole;
    }
    return at;
}

/* Read once, at most `most` bytes; returns how many there were. */
static size_t read_client(struct client *c, size_t most)
{
    static char text[READ_SIZE + (1u << 20)];
    size_t before = bytes_length(&c->held);
    if (before > 1u << 20)
        die("a message of more than 1 MB");
    if (before)
        memcpy(text, bytes_front(&c->held), before);
    ssize_t got = recv(c->fd, text + before, most, 0);
    if (got <= 0) {
        if (got == 0 || errno != EAGAIN)
            lose(c);
        return 0;
    }
    read_at = now_ns();
    struct tally *t = &tallies[c->kind != USUAL];
    t->part.bytes += (uint64_t)got;
    t->part.reads++;
    if (c->kind == USUAL)
        usual_bytes += (uint64_t)got;
    size_t length = before + (size_t)got, used = take_messages(c, text, length);
    if (c->state == DEAD)
        return (size_t)got;
    if (used == length) {
        bytes_free(&c->held);
    } else if (used || !before) {
        bytes_free(&c->held);
        bytes_append(&c->held, text + used, length - used);
    } else {
        bytes_append(&c->held, text + before, (size_t)got);
    }
    return (size_t)got;
}

/* ---- slow clients --------------------------------------------------------------------------------------------- */

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

/* ---- the run -------------------------------------------------------------------------------------------------- */

static void print_ready(void)
{
    ready = true;
    printf("{\"event\":\"ready\",\"connected\":%d,\"failed\":%d,\"seconds\":%.6f}\n", live, failed,
           (double)(now_ns() - opened_at) / 1e9);
    fflush(stdout);
    credit_due = tallies[0].all + (uint64_t)live;
    set_slow(slow_on);
}

#define U(value) ((unsigned long long)(value))

static void print_histogram(const struct histogram *h)
{
    const char *comma = "";
    printf(",\"histogram\":[");
    for (int b = 0; b < 64 * STEPS; b++)
        if (h->buckets[b]) {
            printf("%s[%d,%llu]", comma, b, U(h->buckets[b]));
            comma = ",";
        }
    printf("]");
}

static void print_tally(const struct tally *t)
{
    const struct histogram *h = &t->part.latency;
    printf("\"deliveries\":%llu,\"bytes\":%llu,\"received_in_all\":%llu,\"lost\":%llu,\"conflated\":%llu,"
           "\"disorder\":%llu,\"duplicates\":%llu,\"gap_messages\":%llu,\"announced\":%llu,\"status_messages\":%llu,"
           "\"untimed\":%llu,\"p50_ns\":%llu,\"p90_ns\":%llu,\"p99_ns\":%llu,\"p999_ns\":%llu,\"max_ns\":%llu,"
           "\"frames_per_read\":%.3f",
           U(t->part.deliveries), U(t->part.bytes), U(t->all), U(t->lost), U(t->conflated), U(t->disorder),
           U(t->duplicates), U(t->gaps), U(t->announced), U(t->statuses), U(t->part.untimed), U(percentile(h, .5)),
           U(percentile(h, .9)), U(percentile(h, .99)), U(percentile(h, .999)), U(h->largest),
           t->part.reads ? (double)t->part.deliveries / (double)t->part.reads : 0);
    if (shows_histogram)
        print_histogram(h);
}

static void print_result(void)
{
    double seconds = measuring ? (double)(now_ns() - measure_from) / 1e9 : 0;
    double busy = measuring ? (double)(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu_from) / 1e9 / seconds : 0;
    printf("{\"event\":\"result\",\"seconds\":%.6f,\"deliveries_per_s\":%.1f,\"load_busy\":%.3f,"
           "\"connected\":%d,\"failed\":%d,\"closed\":%d,\"close_code\":%d,\"streams\":%d,",
           seconds, seconds > 0 ? (double)tallies[0].part.deliveries / seconds : 0, busy, live, failed, closed,
           close_code, stream_count);
    print_tally(&tallies[0]);
    if (slow_count) {
        printf(",\"slow\":{\"clients\":%d,\"closed\":%d,\"returns\":%d,", slow_count, slow_closed, slow_returns);
        print_tally(&tallies[1]);
        printf("}");
    }
    printf("}\n");
    fflush(stdout);
}

static void measure(void)
{
    measuring = true;
    for (int i = 0; i < 2; i++)
        memset(&tallies[i].part, 0, sizeof tallies[i].part);
    cpu_from = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    measure_from = now_ns();
    measure_until = measured_seconds > 0 ? measure_from + (uint64_t)(measured_seconds * 1e9) : UINT64_MAX;
}

/* Every client has its answer, or has had its time. */
static void begin(bool late)
{
    for (int i = 0; late && i < opened; i++)
        if (clients[i].state != LIVE)
            lose(&clients[i]);
    failed = client_count - live - closed;
    print_ready();
}

/* Move on to the next phase when its time has come; false when the run is over. */
static bool next_phase(double deadline)
{
    uint64_t now = now_ns();
    if (!ready) {
        bool late = (double)(now - opened_at) / 1e9 > deadline;
        if (late || live + closed + failed == client_count)
            begin(late);
        return true;
    }
    if (idle || !first_data_at)
        return live > 0;
    if (!measuring && now >= measure_from) {
        measure();
        printf("{\"event\":\"measuring\"}\n");
        fflush(stdout);
    }
    return live > 0 && !(measuring && now >= measure_until);
}

static void obey(char *line)
{
    if (!strcmp(line, "stats"))
        print_result();
    else if (!strcmp(line, "quit"))
        exit(0);
    else if (!strcmp(line, "slow on") || !strcmp(line, "slow off"))
        set_slow(line[6] == 'n');
    else if (!strcmp(line, "next")) {
        print_result();
        measure();
    } else
        fprintf(stderr, "unknown command: %s\n", line);
}

static void ended(void) {}

static void turn(int timer)
{
    struct epoll_event events[1024];
    int n = epoll_wait(poll_fd, events, 1024, -1);
    for (int i = 0; i < n; i++) {
        void *what = events[i].data.ptr;
        if (what == &timer_mark) {
            timer_clear(timer);
            look_after_slow();
        } else if (what == &command_mark) {
            read_commands(obey, ended);
        } else {
            struct client *c = what;
            if (c->state == CONNECTING)
                connected(c);
            else if (c->held_back)
                lose(c); /* it asked for nothing but this */
            else if (c->state != DEAD)
                read_client(c, READ_SIZE);
        }
    }
}

static void take_topics(char *list)
{
    for (char *one = strtok(list, ","); one; one = strtok(NULL, ",")) {
        if (topic_count == MOST_TOPICS)
            die("--topics: at most %d", MOST_TOPICS);
        topics[topic_count++] = one;
    }
}

/* One table of last seqs for all clients; pages that are never written cost nothing. */
static void make_clients(void)
{
    stream_room = topic_count < MOST_STREAMS ? topic_count : MOST_STREAMS;
    clients = calloc((size_t)client_count, sizeof *clients);
    uint32_t *last = calloc((size_t)client_count * (size_t)stream_room, sizeof *last);
    if (!clients || !last)
        die("out of memory");
    for (int i = 0; i < client_count; i++)
        clients[i].last = last + (size_t)i * (size_t)stream_room;
    slow_ones = calloc((size_t)client_count, sizeof *slow_ones);
}

static int make_timer(void)
{
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    struct itimerspec every = {.it_value.tv_nsec = 5000000, .it_interval.tv_nsec = 5000000};
    timerfd_settime(timer, 0, &every, NULL);
    watch(poll_fd, EPOLL_CTL_ADD, timer, EPOLLIN, &timer_mark);
    return timer;
}

int load_main(int argc, char **argv)
{
    check_options(argc, argv,
                  " --port --host --path --clients --topics --each --seed --sources --parallel --deadline --warmup"
                  " --seconds --idle --credit-fd --stop-reading --slow --slow-factor --slow-rcvbuf --slow-waits"
                  " --no-subscribe --slow-return --address --times --histogram ");
    raise_descriptor_limit();
    host = option(argc, argv, "--host", "127.0.0.1");
    path = option(argc, argv, "--path", "/ws");
    port = (int)number(argc, argv, "--port", 0);
    client_count = (int)number(argc, argv, "--clients", 1);
    each = (int)number(argc, argv, "--each", 0);
    dice = (uint64_t)number(argc, argv, "--seed", 1) * 0xD1342543DE82EF95ULL;
    sources = (int)number(argc, argv, "--sources", 0);
    parallel = (int)number(argc, argv, "--parallel", 200);
    credit_fd = (int)number(argc, argv, "--credit-fd", -1);
    warmup_seconds = number(argc, argv, "--warmup", 1);
    measured_seconds = number(argc, argv, "--seconds", 5);
    idle = flag(argc, argv, "--idle");
    slow_factor = number(argc, argv, "--slow-factor", 0.1);
    slow_buffer = (int)number(argc, argv, "--slow-rcvbuf", 16384);
    slow_return = number(argc, argv, "--slow-return", 10);
    slow_on = !flag(argc, argv, "--slow-waits");
    in_path = flag(argc, argv, "--no-subscribe");
    double deadline = number(argc, argv, "--deadline", 60);
    take_topics(strdup(option(argc, argv, "--topics", "trade:BTCUSDT")));
    server = address_of(option(argc, argv, "--address", host), port);
    shows_histogram = flag(argc, argv, "--histogram");
    by_timestamp = !strcmp(option(argc, argv, "--times", "intended"), "timestamp");
    make_clients();
    double stop = number(argc, argv, "--stop-reading", 0), crawl = number(argc, argv, "--slow", 0);
    if (stop < 0 || crawl < 0 || stop + crawl > 1)
        die("--stop-reading and --slow are shares of the clients, together at most 1");
    mark_slow(stop, STOPS);
    mark_slow(crawl, CRAWLS);
    poll_fd = epoll_create1(0);
    int timer = make_timer();
    stays = watch(poll_fd, EPOLL_CTL_ADD, STDIN_FILENO, EPOLLIN, &command_mark);
    opened_at = now_ns();
    while (!done || stays) {
        if (opened < client_count)
            open_more();
        turn(timer);
        if (ready)
            give_credit();
        if (!done && !next_phase(deadline)) {
            print_result();
            measuring = false;
            done = true;
        }
    }
    return 0;
}
