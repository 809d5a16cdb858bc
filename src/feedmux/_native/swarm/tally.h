/* What the load makes of a data message: which stream, which seq, how old; and what is missing.
 *
 * A message is never parsed as JSON. Each thing is looked for where our own messages have it, and that
 * it is there is checked; only then, or else by a search of the whole text, is it believed.
 */
#ifndef SWARM_TALLY_H
#define SWARM_TALLY_H

#include "histogram.h"
#include "ws.h"

#define MOST_STREAMS 4096
#define SLOTS (2 * MOST_STREAMS)

/* Of one group of clients. All but `part` is counted from the first message to the last. */
struct tally {
    uint64_t all, lost, conflated, disorder, duplicates, gaps, announced, statuses;
    struct {
        uint64_t deliveries, bytes, reads, untimed;
        struct histogram latency;
    } part; /* while measuring */
};

/* ---- streams ----------------------------------------------------------------------------------------------- */

static struct stream {
    char name[96];
    uint32_t length;
    bool conflates; /* a newer value may replace an older one, so a jump of seq at a slow client is no loss */
} streams[MOST_STREAMS];
static uint16_t slots[SLOTS]; /* stream index + 1, open addressing */
static int stream_count, stream_room;
static size_t usual_name; /* the length of the last name, which most likely is the next one's */

/* By the end of the name, where the instrument stands; a name has at least 8 characters. */
static inline uint32_t slot_of(const char *name, size_t length)
{
    uint64_t word;
    memcpy(&word, name + length - 8, 8);
    return (uint32_t)(((word ^ length) * 0x9E3779B97F4A7C15ULL) >> 40) % SLOTS;
}

/* The stream's index, or -1 with the slot where it belongs. */
static inline int find_stream(const char *name, size_t length, uint32_t *slot)
{
    for (*slot = slot_of(name, length);; *slot = (*slot + 1) % SLOTS) {
        int i = slots[*slot] - 1;
        if (i < 0 || (streams[i].length == length && !memcmp(streams[i].name, name, length)))
            return i;
    }
}

static inline int add_stream(const char *name, size_t length, uint32_t slot)
{
    if (stream_count == stream_room || length > sizeof streams->name)
        die("more streams than topics, or a stream with a name too long: %.*s", (int)length, name);
    struct stream *s = &streams[stream_count];
    memcpy(s->name, name, length);
    s->length = (uint32_t)length;
    s->conflates = memmem(name, length, ".ticker", 7) != NULL;
    slots[slot] = (uint16_t)++stream_count;
    return stream_count - 1;
}

/* The stream whose name begins at `name` and ends before the next quote; -1 when it has no name. */
static inline int stream_at(const char *name, size_t room, size_t *length)
{
    uint32_t slot;
    if (usual_name && usual_name < room && name[usual_name] == '"') {
        int known = find_stream(name, usual_name, &slot);
        *length = usual_name;
        if (known >= 0)
            return known;
    }
    const char *end = memchr(name, '"', room);
    *length = end ? (size_t)(end - name) : 0;
    if (*length < 8)
        return -1;
    usual_name = *length;
    int known = find_stream(name, *length, &slot);
    return known >= 0 ? known : add_stream(name, *length, slot);
}

/* ---- numbers ----------------------------------------------------------------------------------------------- */

static inline bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* Eight digits at once; false when they are not all digits. */
static inline bool eight_digits(const char *at, uint64_t *value)
{
    uint64_t v;
    memcpy(&v, at, 8);
    if ((v & 0xF0F0F0F0F0F0F0F0ULL) != 0x3030303030303030ULL ||
        ((v + 0x0606060606060606ULL) & 0xF0F0F0F0F0F0F0F0ULL) != 0x3030303030303030ULL)
        return false;
    v = (v & 0x0F0F0F0F0F0F0F0FULL) * 2561 >> 8;
    v = (v & 0x00FF00FF00FF00FFULL) * 6553601 >> 16;
    *value = (v & 0x0000FFFF0000FFFFULL) * 42949672960001ULL >> 32;
    return true;
}

static inline uint64_t number_at(const char *at, const char *end)
{
    uint64_t value = 0, eight;
    for (; end - at >= 8 && eight_digits(at, &eight); at += 8)
        value = value * 100000000 + eight;
    for (; at < end && is_digit(*at); at++)
        value = value * 10 + (uint64_t)(*at - '0');
    return value;
}

/* The number behind `name` in a text, if the name is there. */
static inline bool number_of(const char *text, size_t length, const char *name, uint64_t *value)
{
    const char *at = memmem(text, length, name, strlen(name));
    if (at)
        *value = number_at(at + strlen(name), text + length);
    return at != NULL;
}

/* The number after "seq":, which stands last in our messages and is searched for in others. */
static inline bool read_seq(const char *text, size_t length, uint64_t *seq)
{
    const char *end = text + length - 1, *at = end;
    while (at > text + 8 && is_digit(at[-1]))
        at--;
    if (*end == '}' && at < end && !memcmp(at - 6, "\"seq\":", 6)) {
        *seq = number_at(at, end);
        return true;
    }
    return number_of(text, length, "\"seq\":", seq);
}

/* ---- what is missing ----------------------------------------------------------------------------------------- */

/* `last` is the highest seq of the stream that the client has seen; 0: none yet. */
static inline void check_seq(struct tally *t, uint32_t *last, uint64_t seq, bool may_conflate)
{
    if (seq == *last + 1ULL || !*last)
        *last = (uint32_t)seq;
    else if (seq > *last) {
        *(may_conflate ? &t->conflated : &t->lost) += seq - *last - 1;
        *last = (uint32_t)seq;
    } else if (seq == *last)
        t->duplicates++;
    else
        t->disorder++;
}

/* A gap message: what it names is missing, but it has been said. */
static inline void take_gap(struct tally *t, uint32_t *last, const char *text, size_t length)
{
    uint64_t from = 0, to = 0;
    t->gaps++;
    if (!number_of(text, length, "\"from\":", &from) || !number_of(text, length, "\"to\":", &to) || to < from)
        return;
    t->announced += to - from + 1;
    if (*last && from <= *last + 1ULL && to > *last)
        *last = (uint32_t)to;
}

/* ---- how old ---------------------------------------------------------------------------------------------------- */

static bool keyed; /* messages are {"<stream>":<body>} */

/* Where the venue put its intended time: the id of a trade, the turnover of a ticker. */
static inline const char *time_of(const char *rest, size_t length)
{
    static const char usual[] = "\",\"type\":\"update\",\"data\":[{\"id\":\"";
    const char *at;
    if (length > sizeof usual + NS_DIGITS && !memcmp(rest, usual, sizeof usual - 1))
        return rest + sizeof usual - 1;
    if (!keyed && length > 16 && memcmp(rest, "\",\"type\":\"update", 16))
        return NULL; /* a snapshot is as old as its last change */
    if ((at = memmem(rest, length, "\"id\":\"", 6)))
        return at + 6;
    return (at = memmem(rest, length, "\"turnover24h\":\"", 15)) ? at + 15 : NULL;
}

#define OLDEST (600 * SECOND) /* what is older, younger than now, or from before the first second, is no time */

static bool by_timestamp; /* instead of the intended time: the message's own, in ms since 1970 */

static inline bool age_of(const char *rest, size_t length, uint64_t read_at, uint64_t *age)
{
    uint64_t then = 0, now = read_at;
    if (by_timestamp) {
        now = clock_ns(CLOCK_REALTIME);
        if (number_of(rest, length, "\"timestamp\":", &then))
            then *= 1000000;
    } else {
        const char *at = time_of(rest, length);
        then = at ? number_at(at, rest + length) : 0;
    }
    *age = now - then;
    return then >= SECOND && then <= now && *age < OLDEST;
}

static inline void time_message(struct tally *t, const char *rest, size_t length, uint64_t read_at)
{
    uint64_t age;
    if (age_of(rest, length, read_at, &age))
        record(&t->part.latency, age);
    else
        t->part.untimed++;
}

#endif
