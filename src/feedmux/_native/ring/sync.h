/* What two processes say to each other through one memory.
 *
 * SYNC: `published` is stored by the writer with release, after the record; the reader loads it with
 * acquire, so that it sees the record whole (ring_publish, ring_published).
 *
 * SYNC: `reserved` is stored by the writer before it touches the bytes, with a release fence between; the
 * reader looks at it after it has copied, with an acquire fence between (ring_reserve, ring_reserved_after).
 * If one byte of a copy is newer than the record, the reader therefore sees the reservation that
 * allowed it. This is the writer's half of a seqlock (H.-J. Boehm, "Can Seqlocks Get Along With
 * Programming Language Memory Models?", MSPC 2012).
 *
 * SYNC: the sleep flag is stored by the reader, `published` by the writer, and each then looks at the
 * other's: a full fence stands between the store and the look on both sides (ring_full_fence), or
 * both might look before either store is seen.
 */
#ifndef FEEDMUX_RING_SYNC_H
#define FEEDMUX_RING_SYNC_H

#include <stdatomic.h>
#include <stdint.h>

typedef _Atomic uint64_t ring_u64;
typedef _Atomic uint32_t ring_u32;

_Static_assert(sizeof(ring_u64) == 8 && sizeof(ring_u32) == 4, "atomics have no lock inside");
#if ATOMIC_LLONG_LOCK_FREE != 2 || ATOMIC_INT_LOCK_FREE != 2
#error "a ring needs atomics without locks: a lock would not work between processes"
#endif
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the layout of a ring is little-endian"
#endif

static inline void ring_publish(void *at, uint64_t position)
{
    atomic_store_explicit((ring_u64 *)at, position, memory_order_release);
}

static inline uint64_t ring_published(const void *at)
{
    return atomic_load_explicit((const ring_u64 *)at, memory_order_acquire);
}

static inline void ring_reserve(void *at, uint64_t position)
{
    atomic_store_explicit((ring_u64 *)at, position, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
}

static inline uint64_t ring_reserved_after(const void *at)
{
    atomic_thread_fence(memory_order_acquire);
    return atomic_load_explicit((const ring_u64 *)at, memory_order_relaxed);
}

static inline void ring_full_fence(void)
{
    atomic_thread_fence(memory_order_seq_cst);
}

/* Ask for all lines of what will be read at once; one after the other, each would be waited for. */
static inline void ring_fetch(const char *at, uint64_t length)
{
    const char *end = at + (length < 512 ? length : 512);
    for (; at < end; at += 64)
        __builtin_prefetch(at, 0, 3);
}

/* Ask for the lines that will be written next, while there is time: a reader has them. */
static inline void ring_claim(const char *at, uint64_t length)
{
    const char *end = at + (length < 512 ? length : 512);
    for (; at < end; at += 64)
        __builtin_prefetch(at, 1, 3);
}

static inline void ring_set_flag(void *at, uint32_t value)
{
    atomic_store_explicit((ring_u32 *)at, value, memory_order_relaxed);
}

static inline uint32_t ring_flag(const void *at)
{
    return atomic_load_explicit((const ring_u32 *)at, memory_order_relaxed);
}

#endif
