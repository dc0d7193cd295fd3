// Blocks and rings from free lists, last in, first out, so that the next one taken is still in the cache. Nothing is cleared.
#include "base/block.h"

#include "base/poison.h"
#include "base/pool.h"

#include <assert.h>
#include <stdlib.h>

struct block_ring {
    struct block_ring *next;
    char rest[BLOCK_RING_BYTES - sizeof(struct block_ring *)];
};

static_assert(sizeof(struct block_ring) == BLOCK_RING_BYTES, "a ring is exactly as large as said");
static_assert(offsetof(struct block, bytes) % 8 == 0, "poisoning works in units of 8 bytes");

void block_source_init(struct block_source *source, uint32_t free_max) {
    *source = (struct block_source){.free_max = free_max};
}

void block_source_dispose(struct block_source *source) {
    CHECK(source->used == 0);
    CHECK(source->rings_used == 0);
    block_source_trim(source, 0);
    CHECK(source->free == NULL);
}

static void block_free(struct block_source *source, struct block *block) {
    if (source->room != NULL)
        memory_room_give_back(source->room, BLOCK_SIZE);
    free(block);
}

static void rings_free(struct block_source *source) {
    while (source->rings != NULL) {
        struct block_ring *ring = source->rings;
        source->rings = ring->next;
        source->rings_free--;
        memory_unpoison(ring->rest, sizeof(ring->rest));
        free(ring);
    }
    CHECK(source->rings_free == 0);
}

void block_source_trim(struct block_source *source, uint32_t keep) {
    while (source->free_count > keep) {
        struct block *block = source->free;
        source->free = block->next;
        source->free_count--;
        memory_unpoison(block->bytes, BLOCK_CAPACITY);
        block_free(source, block);
    }
    if (keep == 0)
        rings_free(source);
}

struct block *block_get(struct block_source *source) {
    struct block *block = source->free;
    if (block != NULL) {
        source->free = block->next;
        source->free_count--;
        memory_unpoison(block->bytes, BLOCK_CAPACITY);
        CHECK(block->references == 0);
    } else {
        block = alloc_or_abort(BLOCK_SIZE);
        block->source = source;
        if (source->room != NULL)
            memory_room_take(source->room, BLOCK_SIZE);
    }
    block->next = NULL;
    block->references = 1;
    block->filled = 0;
    source->used++;
    if (source->used > source->used_peak)
        source->used_peak = source->used;
    return block;
}

void block_release(struct block *block) {
    struct block_source *source = block->source;
    CHECK(block->references == 0);
    CHECK(source->used > 0);
    source->used--;
    if (source->free_count >= source->free_max) {
        block_free(source, block);
        return;
    }
    block->next = source->free;
    source->free = block;
    source->free_count++;
    memory_poison(block->bytes, BLOCK_CAPACITY);
}

void *block_ring_get(struct block_source *source) {
    struct block_ring *ring = source->rings;
    if (ring != NULL) {
        source->rings = ring->next;
        source->rings_free--;
        memory_unpoison(ring->rest, sizeof(ring->rest));
    } else {
        ring = alloc_or_abort(sizeof(*ring));
    }
    source->rings_used++;
    return ring;
}

void block_ring_put(struct block_source *source, void *memory) {
    struct block_ring *ring = memory;
    CHECK(source->rings_used > 0);
    source->rings_used--;
    if (source->rings_free >= BLOCK_RINGS_KEPT) {
        free(ring);
        return;
    }
    ring->next = source->rings;
    source->rings = ring;
    source->rings_free++;
    memory_poison(ring->rest, sizeof(ring->rest));
}
