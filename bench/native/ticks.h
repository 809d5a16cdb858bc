/* The messages of a tick: one of each symbol, or a batch over random topics (the gateway's shape; ws.h). */
#ifndef BENCH_TICKS_H
#define BENCH_TICKS_H

#include "ws.h"

#define MOST_SYMBOLS 1024
#define LONGEST_MESSAGE 2048
#define SATURATED_BATCH 10 /* messages per tick over random topics; a schedule has its own */

static struct {
    const char *name;
    size_t length;
    int pad;
    uint64_t seq;
} symbols[MOST_SYMBOLS];
static int symbol_count;
static bool at_random;
static uint64_t symbol_dice = 88172645463325252ULL;

static inline void add_symbol(const char *name, int pad, int wanted_bytes)
{
    if (symbol_count == MOST_SYMBOLS)
        die("at most %d symbols", MOST_SYMBOLS);
    symbols[symbol_count].name = name;
    symbols[symbol_count].length = strlen(name);
    symbols[symbol_count++].pad = wanted_bytes ? padding_for(name, wanted_bytes) : pad;
}

/* Take --symbols, --topics, --pad and --client-bytes from the command line. */
static inline void take_symbols(int argc, char **argv)
{
    int topics = (int)number(argc, argv, "--topics", 0), pad = (int)number(argc, argv, "--pad", 0);
    int wanted_bytes = (int)number(argc, argv, "--client-bytes", 0);
    char *list = strdup(option(argc, argv, "--symbols", "BTCUSDT")), text[32];
    if (pad > 1000)
        die("--pad: at most 1000");
    at_random = topics > 0;
    for (int i = 0; i < topics; i++) {
        snprintf(text, sizeof text, "S%03dUSDT", i);
        add_symbol(strdup(text), pad, wanted_bytes);
    }
    for (char *one = strtok(list, ","); one && !topics; one = strtok(NULL, ","))
        add_symbol(one, pad, wanted_bytes);
}

static inline int random_symbol(void)
{
    symbol_dice ^= symbol_dice << 13, symbol_dice ^= symbol_dice >> 7, symbol_dice ^= symbol_dice << 17;
    return (int)((symbol_dice >> 16) % (uint64_t)symbol_count);
}

static inline int symbol_named(const char *name, size_t length)
{
    for (int i = 0; i < symbol_count; i++)
        if (symbols[i].length == length && !memcmp(symbols[i].name, name, length))
            return i;
    return -1;
}

/* The symbol of the i-th message of a tick. */
static inline int symbol_of(unsigned i) { return at_random ? random_symbol() : (int)i; }

/* How many messages a tick has. */
static inline unsigned tick_size(const struct schedule *s)
{
    return !at_random ? (unsigned)symbol_count : s->on ? s->burst : SATURATED_BATCH;
}

/* The next message of a symbol. */
static inline size_t next_message(int symbol, uint64_t intended, uint64_t ms, char out[LONGEST_MESSAGE])
{
    return client_message(out, LONGEST_MESSAGE, symbols[symbol].name, intended, symbols[symbol].pad, ms,
                          ++symbols[symbol].seq);
}

#endif
