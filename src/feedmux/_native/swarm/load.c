/* The load: N WebSocket clients in one process, which count, check and time what they receive.
 *
 *   load --port P [--host 127.0.0.1] [--path /ws] [--clients 1] [--topics LIST] [--each K] [--seed N]
 *        [--sources N] [--parallel 200] [--deadline 60] [--warmup 1] [--seconds 5] [--idle]
 *        [--credit-fd FD] [--stop-reading SHARE] [--slow SHARE] [--slow-factor 0.1]
 *        [--slow-rcvbuf 16384] [--slow-return 10] [--slow-waits] [--no-subscribe] [--keyed] [--address A]
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
 *   --keyed         data messages are {"<stream>":<body>}, with a "seq" and an "id" in the body
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
#include "slow.h"

static char command_mark, timer_mark; /* addresses that name a descriptor to epoll */
static uint64_t opened_at, measure_until, cpu_from;
static double measured_seconds;
static bool done, stays, idle, shows_histogram;

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
                  " --no-subscribe --keyed --slow-return --address --times --histogram ");
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
    keyed = flag(argc, argv, "--keyed");
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
