/* The clients of the load: what each is and holds, what it says to the server and takes from it. */
#ifndef SWARM_CLIENT_H
#define SWARM_CLIENT_H

#include "tally.h"

#define READ_SIZE (1u << 20)
#define MOST_TOPICS 4096
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

static struct client *clients;
static int client_count, opened, under_way, live, failed, closed, close_code, slow_closed;
static int poll_fd, port, sources, parallel, credit_fd, slow_buffer;
static const char *host, *path;
static struct sockaddr_in server;
static char *topics[MOST_TOPICS];
static int topic_count, each;
static uint64_t dice;

static uint64_t read_at, first_data_at, measure_from, credit_due, usual_bytes, others;
static double warmup_seconds;
static bool ready, measuring, slow_on, in_path;
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

/* A data message; the name of its stream begins behind so many bytes. */
static void data_message(struct client *c, const char *text, size_t length, size_t at)
{
    struct tally *t = &tallies[c->kind != USUAL];
    size_t name;
    int stream = stream_at(text + at, length - at, &name);
    if (stream < 0) {
        others++;
        return;
    }
    const char *rest = text + at + name;
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

/* Whether it is {"<stream>":<body>}, and no message about streams. */
static bool is_keyed(const char *text, size_t length)
{
    return keyed && length > 32 && !memcmp(text, "{\"", 2) && !begins(text, length, "{\"success\"", 10) &&
           !begins(text, length, "{\"error\"", 8) && !begins(text, length, "{\"system.", 9);
}

static void text_message(struct client *c, const char *text, size_t length)
{
    if (length > 32 && !memcmp(text, "{\"stream\":\"", 11)) {
        data_message(c, text, length, 11);
        return;
    }
    if (is_keyed(text, length)) {
        data_message(c, text, length, 2);
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

#endif
