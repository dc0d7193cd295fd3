// Fixed-size, reference-counted blocks of bytes, from a free list that belongs to one worker.
//
// A connection reads into a block; the pieces of bodies in it are passed on by reference (buffer.h) and written from
// where they lie: bodies are never copied. A block may hold pieces of several messages; it goes back to its free list with its last reference.
// Not thread-safe: a block never leaves the thread of its source.
#ifndef BASE_BLOCK_H
#define BASE_BLOCK_H

#include "base/check.h"
#include "base/memory_room.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// With its header a block is 16 KiB: the largest TLS record and a default HTTP/2 frame fit but for a few bytes. (struct block's
// fields are 24 bytes.)
#define BLOCK_SIZE 16384

struct block_source {
    struct block *free; // list of unused blocks, most recent first: still warm in the cache
    uint32_t free_count;
    uint32_t free_max; // more than this go back to the allocator
    uint32_t used;     // blocks handed out
    uint32_t used_peak;
    struct block_ring *rings; // list of unused rings
    uint32_t rings_free;
    uint32_t rings_used;
    struct memory_room *room; // blocks from the allocator are taken from it; set after init. NULL: nobody counts
    bool is_short;            // memory is: who fills buffers keeps to buffer_bound
};

struct block {
    struct block_source *source;
    struct block *next; // free list only
    uint32_t references;
    uint32_t filled; // bytes in use from the start; whoever appends owns what is behind
    char bytes[];
};

#define BLOCK_CAPACITY (BLOCK_SIZE - sizeof(struct block))

// Thread: the worker that owns the source. `free_max` bounds the memory kept for later.
void block_source_init(struct block_source *source, uint32_t free_max);

// All blocks must have come back.
void block_source_dispose(struct block_source *source);

// Gives unused blocks back to the allocator until at most `keep` are left.
void block_source_trim(struct block_source *source, uint32_t keep);

// A block with one reference and nothing filled. Aborts when the system has no memory: the number of
// blocks is bounded by the limits on connections and streams.
struct block *block_get(struct block_source *source);

void block_release(struct block *block); // the last reference is gone; called by block_unref only

// Memory for the ring of a buffer that holds many segments (buffer.h): pieces of one small size, kept for later like blocks.
// BLOCK_RING_BYTES is 32 segments: 64 KiB of output in frames of 4 KiB; BLOCK_RINGS_KEPT of them are 32 KiB.
#define BLOCK_RING_BYTES 512
#define BLOCK_RINGS_KEPT 64
void *block_ring_get(struct block_source *source);
void block_ring_put(struct block_source *source, void *memory);

static inline struct block *block_ref(struct block *block) {
    CHECK(block->references > 0);
    block->references++;
    return block;
}

static inline void block_unref(struct block *block) {
    CHECK(block->references > 0);
    if (--block->references == 0)
        block_release(block);
}

static inline size_t block_room(const struct block *block) {
    return BLOCK_CAPACITY - block->filled;
}

#endif
