/* Counts that several processes see; see tally.pyx. */
#ifndef FEEDMUX_TALLY_COUNT_H
#define FEEDMUX_TALLY_COUNT_H

#include <stdatomic.h>
#include <stdint.h>

#if ATOMIC_INT_LOCK_FREE != 2
#error "counts that are shared need atomics without locks"
#endif

static inline void count_add(void *at, int32_t by)
{
    atomic_fetch_add((_Atomic uint32_t *)at, (uint32_t)by);
}

static inline void count_set(void *at, uint32_t to)
{
    atomic_store((_Atomic uint32_t *)at, to);
}

static inline uint32_t count_of(const void *at)
{
    return atomic_load((const _Atomic uint32_t *)at);
}

#endif
