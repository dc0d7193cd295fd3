// Memory that is freed all at once: a pool per stream and per attempt holds what lives as long as they do.
//
// A pool takes chunks from a free list of its worker, so that a warm request calls no allocator. What is larger than a chunk gets memory of its
// own, freed with the pool. Resources other than memory hang a disposer on it; disposers run last in, first out. Bodies are not in pools.
#ifndef BASE_POOL_H
#define BASE_POOL_H

#include "base/bytes.h"
#include "base/memory_room.h"
#include "base/poison.h"

#include <stdalign.h>
#include <stddef.h>
#include <stdint.h>

// A request's stream with a usual head (15 fields, 700 bytes) takes about 3 KiB: one chunk.
#define POOL_CHUNK_SIZE 4096

struct pool_chunk;

struct pool_source {
    struct pool_chunk *free;
    uint32_t free_count;
    uint32_t free_max; // more than this go back to the allocator
    uint32_t used;
    struct memory_room *room; // chunks from the allocator are taken from it; set after init. NULL: nobody counts
};

struct pool {
    struct pool_source *source;
    char *next; // first free byte of the current chunk
    char *end;
    struct pool_chunk *chunks; // current first
    struct pool_chunk *large;  // what did not fit in a chunk
    struct pool_disposer *disposers;
};

// Hung on a pool by pool_on_dispose; public only so that it can be embedded.
struct pool_disposer {
    struct pool_disposer *next;
    void (*dispose)(void *argument);
    void *argument;
};

void pool_source_init(struct pool_source *source, uint32_t free_max);
void pool_source_dispose(struct pool_source *source); // all pools must be disposed
void pool_source_trim(struct pool_source *source, uint32_t keep);

void pool_init(struct pool *pool, struct pool_source *source);

// Runs the disposers, then gives all memory back. The pool itself may lie in its own memory.
void pool_dispose(struct pool *pool);

// What pool_alloc does where the current chunk has no room, nothing is asked for, or memory is poisoned.
void *pool_alloc_slowly(struct pool *pool, size_t size);

// Never NULL, aligned for any object, not cleared. For sizes that we choose; sizes chosen by a peer are bounded by a limit first.
static inline void *pool_alloc(struct pool *pool, size_t size) {
    const size_t alignment = alignof(max_align_t);
    if (POISON_ENABLED || size == 0 || size > (size_t)(pool->end - pool->next))
        return pool_alloc_slowly(pool, size);
    void *memory = pool->next;
    pool->next += (size + alignment - 1) & ~(alignment - 1); // what is left of a chunk is always whole steps
    return memory;
}

void *pool_alloc_zeroed(struct pool *pool, size_t size);

// A copy of `text` with a NUL behind it (not counted).
struct bytes pool_copy(struct pool *pool, struct bytes text);

// Its decimal digits, with a NUL behind them: for what is told with every request.
struct bytes pool_digits(struct pool *pool, uint64_t number);

// printf into the pool.
struct bytes pool_format(struct pool *pool, const char *format, ...) __attribute__((format(printf, 2, 3)));

// `dispose(argument)` runs when the pool is disposed, unless cancelled by pool_cancel_dispose before.
struct pool_disposer *pool_on_dispose(struct pool *pool, void (*dispose)(void *argument), void *argument);
void pool_cancel_dispose(struct pool *pool, struct pool_disposer *disposer);

// malloc and calloc that abort when there is no memory: for small things of a size that we choose. Freed with free().
void *alloc_or_abort(size_t size);
void *alloc_zeroed_or_abort(size_t count, size_t size);
char *copy_text_or_abort(struct bytes text);

// For sizes chosen by a peer or a document, already bounded: NULL when there is no memory.
void *try_alloc(size_t size);

// Tests only: the n-th next try_alloc fails (0 = none).
void try_alloc_fail_after(unsigned n);

#endif
