/* The load: N WebSocket clients in one process, which count, check and time what they receive.
 *
 *   load --port P [--host 127.0.0.1] [--path /ws] [--clients 1] [--topics LIST] [--each K] [--seed N]
 *        [--sources N] [--parallel 200] [--deadline 60] [--warmup 1] [--seconds 5] [--idle]
 *        [--credit-fd FD]
 *
 *   --topics LIST   what each client subscribes to, comma-separated (default trade:BTCUSDT)
 *   --each K        K random ones of LIST for each client, chosen by --seed
 *   --sources N     connect from 127.0.0.2 .. 127.0.0.(N+1): more clients than one address has ports
 *   --parallel N    handshakes under way at once
 *   --deadline S    what is not subscribed by then has failed
 *   --idle          subscribe, then only stay: no measurement
 *   --credit-fd FD  write one byte there for each --clients deliveries (the venue's closed loop)
 *
 * Prints {"event":"ready",...} when every client has its acknowledgement (or failed), with the time that
 * took; from the first data message on `--warmup` seconds pass unmeasured, then {"event":"measuring"},
 * and after `--seconds` the result: one line of JSON. Then the clients stay and read, so that their going
 * does not disturb the server's books, until standard input ends (at once when it is a file).
 * "load_busy" is the load's own share of its core while measuring: near 1 it is the load that is measured.
 *
 * Loss is a jump of "seq" of one stream at one client, disorder a step back; both are counted from the
 * first message to the last, the rest only while measuring. Latency is the time of the read minus
 * the intended time in "id", so a late sender does not hide (no coordinated omission).
 */
#include "ws.h"

#define READ_SIZE (1u << 20)
#define MOST_STREAMS 4096
#define SLOTS (2 * MOST_STREAMS)
#define MOST_TOPICS 4096

enum state { CONNECTING, UPGRADING, SUBSCRIBING, LIVE, DEAD };

struct client {
    int fd;
    enum state state;
    struct bytes held; /* the beginning of a message whose end has not come */
    uint32_t *last;    /* last seq by stream; 0: none yet */
};

static char command_mark, timer_mark; /* addresses that name a descriptor to epoll */
static struct client *clients;
static int client_count, opened, live, failed, closed, close_code, poll_fd, port, sources, parallel, credit_fd;
static const char *host, *path;
static struct sockaddr_in server;
static char *topics[MOST_TOPICS];
static int topic_count, each;
static uint64_t dice;

static struct {
    char name[96];
    uint32_t length;
} streams[MOST_STREAMS];
static uint16_t slots[SLOTS]; /* stream index + 1, open addressing */
static int stream_count, stream_room;

static uint64_t read_at, opened_at, first_data_at, measure_from, measure_until, credit_due;
static double warmup_seconds, measured_seconds;
static bool ready, measuring, done, stays, idle;
static uint64_t cpu_from;
static uint64_t all, lost, disorder, gaps, statuses, others;     /* from the first message to the last */
static uint64_t deliveries, received, reads, untimed;            /* while measuring */

/* ---- histogram: 128 steps in each power of two, so a value is known to 0.8 % ----------------------------- */

#define STEPS 128
static uint64_t histogram[64 * STEPS], histogram_count, largest;

static int bucket_of(uint64_t v)
{
    if (v < STEPS)
        return (int)v;
    int power = 63 - __builtin_clzll(v);
    return (power - 6) * STEPS + (int)(v >> (power - 7)) - STEPS;
}

static uint64_t value_of_bucket(int b)
{
    if (b < STEPS)
        return (uint64_t)b;
    int power = b / STEPS + 6;
    uint64_t low = (uint64_t)(b % STEPS + STEPS) << (power - 7);
    return low + ((1ULL << (power - 7)) >> 1);
}

static void record(uint64_t v)
{
    histogram[bucket_of(v)]++;
    histogram_count++;
    if (v > largest)
        largest = v;
}

static uint64_t percentile(double share)
{
    uint64_t wanted = (uint64_t)(share * (double)histogram_count + 0.5), seen = 0;
    if (!wanted)
        wanted = 1;
    for (int b = 0; b < 64 * STEPS; b++)
        if ((seen += histogram[b]) >= wanted)
            return value_of_bucket(b) < largest ? value_of_bucket(b) : largest;
    return 0;
}

/* ---- messages ---------------------------------------------------------------------------------------------- */

static int stream_index(const char *name, size_t length)
{
    uint64_t h = length, word;
    for (size_t at = 0; at + 8 <= length; at += 8) {
        memcpy(&word, name + at, 8);
        h = (h ^ word) * 0x9E3779B97F4A7C15ULL;
    }
    memcpy(&word, name + length - 8, 8); /* names have at least 8 characters; the caller sees to it */
    h = (h ^ word) * 0x9E3779B97F4A7C15ULL;
    for (uint32_t slot = (uint32_t)(h >> 40) % SLOTS;; slot = (slot + 1) % SLOTS) {
        int i = slots[slot] - 1;
        if (i < 0) {
            if (stream_count == stream_room || length > sizeof streams->name)
                die("more streams than topics, or a stream with a name too long: %.*s", (int)length, name);
            memcpy(streams[stream_count].name, name, length);
            streams[stream_count].length = (uint32_t)length;
            slots[slot] = (uint16_t)++stream_count;
            return stream_count - 1;
        }
        if (streams[i].length == length && !memcmp(streams[i].name, name, length))
            return i;
    }
}

static void check_seq(struct client *c, int stream, uint64_t seq)
{
    uint32_t *last = &c->last[stream];
    if (*last && seq > *last + 1ULL)
        lost += seq - *last - 1;
    else if (*last && seq <= *last)
        disorder++;
    *last = (uint32_t)seq;
}

/* The number after "seq":, which stands last in our messages and is searched for in others. */
static bool read_seq(const char *text, size_t length, uint64_t *seq)
{
    const char *at = text + length - 1;
    while (at > text + 8 && (*at == '}' || (*at >= '0' && *at <= '9')))
        at--;
    if (*at == ':' && !memcmp(at - 5, "\"seq\"", 5)) {
        at++;
    } else {
        at = memmem(text, length, "\"seq\":", 6);
        if (!at)
            return false;
        at += 6;
    }
    for (*seq = 0; *at >= '0' && *at <= '9'; at++)
        *seq = *seq * 10 + (uint64_t)(*at - '0');
    return true;
}

static void time_message(const char *rest, size_t length)
{
    static const char usual[] = "\",\"type\":\"update\",\"data\":[{\"id\":\"";
    const char *at = NULL, *end = rest + length;
    if (length > sizeof usual + NS_DIGITS && !memcmp(rest, usual, sizeof usual - 1))
        at = rest + sizeof usual - 1;
    else if ((at = memmem(rest, length, "\"id\":\"", 6)))
        at += 6;
    uint64_t intended = 0;
    for (; at && at < end && *at >= '0' && *at <= '9'; at++)
        intended = intended * 10 + (uint64_t)(*at - '0');
    if (!intended)
        untimed++;
    else
        record(read_at > intended ? read_at - intended : 0);
}

static void start_of_data(void)
{
    first_data_at = read_at;
    measure_from = read_at + (uint64_t)(warmup_seconds * 1e9);
}

static void data_message(struct client *c, const char *text, size_t length)
{
    const char *name = text + 11, *end = memchr(name, '"', length - 11);
    uint64_t seq;
    if (!end || end - name < 8) {
        others++;
        return;
    }
    size_t left = (size_t)(text + length - end);
    if (left > 12 && !memcmp(end, "\",\"type\":\"gap", 13)) {
        gaps++;
        return;
    }
    if (left > 12 && !memcmp(end, "\",\"type\":\"sta", 13)) {
        statuses++;
        return;
    }
    if (!first_data_at)
        start_of_data();
    all++;
    if (read_seq(text, length, &seq))
        check_seq(c, stream_index(name, (size_t)(end - name)), seq);
    if (measuring) {
        deliveries++;
        time_message(end, left);
    }
}

static void give_credit(void)
{
    while (credit_fd >= 0 && live && all >= credit_due) {
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
    if (c->state == LIVE) {
        closed++;
        live--;
    } else {
        failed++;
    }
    c->state = DEAD;
    close(c->fd);
    bytes_free(&c->held);
}

static bool put(struct client *c, const char *data, size_t length)
{
    if (send(c->fd, data, length, MSG_NOSIGNAL) == (ssize_t)length)
        return true;
    lose(c); /* what a client sends is small: a full socket means a server that does not read */
    return false;
}

static size_t request_of(int index, char *out, size_t room)
{
    static int order[MOST_TOPICS];
    int wanted = each && each < topic_count ? each : topic_count;
    uint64_t x = dice + (uint64_t)index * 0x9E3779B97F4A7C15ULL + 1;
    for (int i = 0; i < topic_count; i++)
        order[i] = i;
    size_t n = (size_t)snprintf(out, room, "{\"op\":\"subscribe\",\"args\":[");
    for (int i = 0; i < wanted; i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        int from = wanted < topic_count ? i + (int)((x >> 16) % (uint64_t)(topic_count - i)) : i, kept = order[i];
        order[i] = order[from];
        order[from] = kept;
        n += (size_t)snprintf(out + n, room - n, "%s\"%s\"", i ? "," : "", topics[order[i]]);
        if (n + 8 > room)
            die("a client subscribes to more than fits one request");
    }
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
    opened++;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    c->state = CONNECTING;
    if (c->fd < 0)
        die("no descriptor for client %d: %s", opened, strerror(errno));
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
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
    while (opened < client_count && opened - live - closed - failed < parallel)
        open_client(&clients[opened]);
}

static void connected(struct client *c)
{
    char text[1024];
    int problem = 0;
    socklen_t size = sizeof problem;
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &problem, &size);
    if (problem) {
        lose(c);
        return;
    }
    watch(poll_fd, EPOLL_CTL_MOD, c->fd, EPOLLIN, c);
    c->state = UPGRADING;
    put(c, text, upgrade_request(host, port, path, text, sizeof text));
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
        c->state = LIVE;
        live++;
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
        send_request(c);
    }
    struct frame f;
    while (c->state != DEAD && (f = read_frame(text + at, length - at)).whole) {
        take_frame(c, f);
        at += f.whole;
    }
    return at;
}

static void read_client(struct client *c)
{
    static char text[READ_SIZE + (1u << 20)];
    size_t before = bytes_length(&c->held);
    if (before > 1u << 20)
        die("a message of more than 1 MB");
    if (before)
        memcpy(text, bytes_front(&c->held), before);
    ssize_t got = recv(c->fd, text + before, READ_SIZE, 0);
    if (got <= 0) {
        if (got == 0 || errno != EAGAIN)
            lose(c);
        return;
    }
    read_at = now_ns();
    if (measuring) {
        received += (uint64_t)got;
        reads++;
    }
    size_t length = before + (size_t)got, used = take_messages(c, text, length);
    if (c->state == DEAD)
        return;
    bytes_free(&c->held);
    if (used < length)
        bytes_append(&c->held, text + used, length - used);
}

/* ---- the run -------------------------------------------------------------------------------------------------- */

static void print_ready(void)
{
    ready = true;
    printf("{\"event\":\"ready\",\"connected\":%d,\"failed\":%d,\"seconds\":%.6f}\n", live, failed,
           (double)(now_ns() - opened_at) / 1e9);
    fflush(stdout);
    credit_due = all + (uint64_t)live;
}

static void print_result(void)
{
    double seconds = measuring ? (double)(now_ns() - measure_from) / 1e9 : 0;
    double busy = measuring ? (double)(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu_from) / 1e9 / seconds : 0;
    printf("{\"event\":\"result\",\"deliveries\":%llu,\"seconds\":%.6f,\"deliveries_per_s\":%.1f,\"bytes\":%llu,"
           "\"lost\":%llu,\"disorder\":%llu,\"gap_messages\":%llu,\"status_messages\":%llu,"
           "\"p50_ns\":%llu,\"p90_ns\":%llu,\"p99_ns\":%llu,\"p999_ns\":%llu,\"max_ns\":%llu,"
           "\"frames_per_read\":%.3f,\"load_busy\":%.3f,\"untimed\":%llu,\"received_in_all\":%llu,"
           "\"connected\":%d,\"failed\":%d,\"closed\":%d,\"close_code\":%d,\"streams\":%d}\n",
           (unsigned long long)deliveries, seconds, seconds > 0 ? (double)deliveries / seconds : 0,
           (unsigned long long)received, (unsigned long long)lost, (unsigned long long)disorder,
           (unsigned long long)gaps, (unsigned long long)statuses, (unsigned long long)percentile(.5),
           (unsigned long long)percentile(.9), (unsigned long long)percentile(.99),
           (unsigned long long)percentile(.999), (unsigned long long)largest,
           reads ? (double)deliveries / (double)reads : 0, busy, (unsigned long long)untimed, (unsigned long long)all,
           live, failed, closed, close_code, stream_count);
    fflush(stdout);
}

/* Move on to the next phase when its time has come; false when the run is over. */
static bool next_phase(double deadline)
{
    uint64_t now = now_ns();
    if (!ready) {
        if ((double)(now - opened_at) / 1e9 > deadline)
            for (int i = 0; i < opened; i++)
                if (clients[i].state != LIVE)
                    lose(&clients[i]);
        if (live + closed + failed == client_count || (double)(now - opened_at) / 1e9 > deadline) {
            failed = client_count - live - closed;
            print_ready();
        }
        return true;
    }
    if (idle || !first_data_at)
        return live > 0;
    if (!measuring && now >= measure_from) {
        measuring = true;
        cpu_from = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
        measure_from = now;
        measure_until = now + (uint64_t)(measured_seconds * 1e9);
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
    else
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
        } else if (what == &command_mark) {
            read_commands(obey, ended);
        } else {
            struct client *c = what;
            if (c->state == CONNECTING)
                connected(c);
            else if (c->state != DEAD)
                read_client(c);
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
                  " --seconds --idle --credit-fd ");
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
    double deadline = number(argc, argv, "--deadline", 60);
    take_topics(strdup(option(argc, argv, "--topics", "trade:BTCUSDT")));
    server = address_of(host, port);
    make_clients();
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
