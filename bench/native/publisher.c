/* The publisher: feeds a server that cannot make messages itself, by HTTP POST to /pub/<topic>.
 *
 * One connection, kept alive and pipelined. It has the floor's messages, options and commands, so a bench
 * drives it in the floor's place; the server that it feeds is what is measured.
 *
 *   publisher --server PORT [--symbols LIST | --topics N] [--pad N | --client-bytes N]
 *
 * Prints {"port":N}, the server's; takes the commands `rate R`, `saturate`, `stop`, `stats`, `quit` on standard
 * input, ends with it. `saturate` has two ticks under way: when all messages of one are answered, the
 * next one goes. At a rate nothing is skipped: while 4 MB wait to be sent the schedule rests, and what is
 * late keeps its intended time. "refused" counts the answers that were not 2xx.
 */
#include "ticks.h"

#define MOST_WAITING (4u << 20)
#define WINDOW 2 /* ticks under way */

static char command_mark, server_mark; /* addresses that name a descriptor to epoll */
static int poll_fd, server_fd, port;
static struct bytes in, out;
static struct schedule schedule;
static bool saturate, blocked;
static uint64_t ticks, messages, answered, refused, latest_by;

/* ---- the connection --------------------------------------------------------------------------------- */

static void flush_out(void)
{
    while (bytes_length(&out)) {
        ssize_t sent = send(server_fd, bytes_front(&out), bytes_length(&out), MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN)
            die("the server closed the publisher's connection");
        if (sent < 0)
            break;
        bytes_consume(&out, (size_t)sent);
    }
    bool full = bytes_length(&out) > 0;
    if (full != blocked)
        watch(poll_fd, EPOLL_CTL_MOD, server_fd, full ? EPOLLIN | EPOLLOUT : EPOLLIN, &server_mark);
    blocked = full;
}

static void post(int symbol, uint64_t intended, uint64_t ms)
{
    char text[LONGEST_MESSAGE];
    size_t length = next_message(symbol, intended, ms, text);
    char *at = bytes_reserve(&out, length + 256);
    int head = snprintf(at, 256, "POST /pub/trade:%s HTTP/1.1\r\nHost: bench\r\nContent-Length: %zu\r\n\r\n",
                        symbols[symbol].name, length);
    memcpy(at + head, text, length);
    out.end += (size_t)head + length;
    messages++;
}

static void tick(uint64_t intended)
{
    uint64_t now = now_ns(), ms = wall_ms();
    if (now > intended && now - intended > latest_by)
        latest_by = now - intended;
    for (unsigned i = 0, n = tick_size(&schedule); i < n; i++)
        post(symbol_of(i), intended, ms);
    ticks++;
}

/* Take one answer off the front of what came; false while it is not whole. */
static bool take_answer(void)
{
    char text[32];
    size_t head = head_length(bytes_front(&in), bytes_length(&in)), body = 0;
    if (!head)
        return false;
    if (header(bytes_front(&in), head, "Content-Length", text, sizeof text))
        body = strtoul(text, NULL, 10);
    if (bytes_length(&in) < head + body)
        return false;
    refused += bytes_front(&in)[9] != '2';
    answered++;
    bytes_consume(&in, head + body);
    return true;
}

static void read_answers(void)
{
    ssize_t got = recv(server_fd, bytes_reserve(&in, 65536), 65536, 0);
    if (got == 0 || (got < 0 && errno != EAGAIN))
        die("the server closed the publisher's connection");
    if (got > 0)
        in.end += (size_t)got;
    while (take_answer())
        continue;
}

static void connect_to_server(void)
{
    struct sockaddr_in a = address_of("127.0.0.1", port);
    server_fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(server_fd, (struct sockaddr *)&a, sizeof a))
        die("no server on port %d: %s", port, strerror(errno));
    tune(server_fd, 0);
    set_nonblocking(server_fd);
    watch(poll_fd, EPOLL_CTL_ADD, server_fd, EPOLLIN, &server_mark);
}

/* ---- commands and the loop ------------------------------------------------------------------------------- */

static void print_statistics(void)
{
    printf("{\"ticks\":%llu,\"messages\":%llu,\"answered\":%llu,\"refused\":%llu,\"latest_by_ns\":%llu,"
           "\"publisher_cpu_s\":%.3f}\n",
           (unsigned long long)ticks, (unsigned long long)messages, (unsigned long long)answered,
           (unsigned long long)refused, (unsigned long long)latest_by,
           (double)clock_ns(CLOCK_PROCESS_CPUTIME_ID) / 1e9);
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
    else if (!strcmp(line, "quit"))
        exit(0);
    else if (!strcmp(line, "stats"))
        print_statistics();
    else
        fprintf(stderr, "unknown command: %s\n", line);
}

static void send_due(void)
{
    uint64_t now = now_ns();
    while (schedule.on && schedule.next_ns <= now && bytes_length(&out) < MOST_WAITING) {
        tick(schedule.next_ns);
        schedule.next_ns += schedule.step_ns;
    }
    if (schedule.on && bytes_length(&out) < MOST_WAITING)
        schedule_arm(&schedule);
    while (saturate && messages - answered <= (WINDOW - 1) * tick_size(&schedule))
        tick(now_ns());
    flush_out();
}

static void turn(void)
{
    struct epoll_event events[4];
    int n = epoll_wait(poll_fd, events, 4, -1);
    for (int i = 0; i < n; i++) {
        void *what = events[i].data.ptr;
        if (what == &schedule)
            timer_clear(schedule.timer);
        else if (what == &command_mark)
            read_commands(obey, print_statistics);
        else if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
            read_answers();
    }
    send_due();
}

int main(int argc, char **argv)
{
    check_options(argc, argv, " --server --symbols --topics --pad --client-bytes ");
    raise_descriptor_limit();
    port = (int)number(argc, argv, "--server", 0);
    take_symbols(argc, argv);
    poll_fd = epoll_create1(0);
    schedule.timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    watch(poll_fd, EPOLL_CTL_ADD, schedule.timer, EPOLLIN, &schedule);
    watch(poll_fd, EPOLL_CTL_ADD, STDIN_FILENO, EPOLLIN, &command_mark);
    connect_to_server();
    printf("{\"port\":%d}\n", port);
    fflush(stdout);
    for (;;)
        turn();
}
