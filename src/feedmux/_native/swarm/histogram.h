/* Times in buckets: 128 steps in each power of two, so a value is known to 0.8 %. */
#ifndef SWARM_HISTOGRAM_H
#define SWARM_HISTOGRAM_H

#include <stdint.h>

#define STEPS 128

struct histogram {
    uint64_t buckets[64 * STEPS], count, largest;
};

static inline int bucket_of(uint64_t v)
{
    if (v < STEPS)
        return (int)v;
    int power = 63 - __builtin_clzll(v);
    return (power - 6) * STEPS + (int)(v >> (power - 7)) - STEPS;
}

static inline uint64_t value_of_bucket(int b)
{
    if (b < STEPS)
        return (uint64_t)b;
    int power = b / STEPS + 6;
    uint64_t low = (uint64_t)(b % STEPS + STEPS) << (power - 7);
    return low + ((1ULL << (power - 7)) >> 1);
}

static inline void record(struct histogram *h, uint64_t v)
{
    h->buckets[bucket_of(v)]++;
    h->count++;
    if (v > h->largest)
        h->largest = v;
}

static inline uint64_t percentile(const struct histogram *h, double share)
{
    uint64_t wanted = (uint64_t)(share * (double)h->count + 0.5), seen = 0;
    if (!wanted)
        wanted = 1;
    for (int b = 0; b < 64 * STEPS; b++)
        if ((seen += h->buckets[b]) >= wanted)
            return value_of_bucket(b) < h->largest ? value_of_bucket(b) : h->largest;
    return 0;
}

#endif
