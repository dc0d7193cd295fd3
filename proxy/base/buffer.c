// The byte queue: a ring of segments, each a reference to a part of a block, and the block that copied texts are put into.
#include "base/buffer.h"

#include "base/pool.h"

#include <assert.h>
#include <stdlib.h>

// Capacity of the ring that comes from the block source; longer ones (many small pieces at a time) are the allocator's.
#define RING_SEGMENTS (BLOCK_RING_BYTES / sizeof(struct segment))

static_assert((BUFFER_SEGMENTS_INLINE & (BUFFER_SEGMENTS_INLINE - 1)) == 0, "positions in a ring are masked");
static_assert((RING_SEGMENTS & (RING_SEGMENTS - 1)) == 0, "positions in a ring are masked");

static struct segment *segment_at(const struct buffer *buffer, uint32_t position) {
    return &buffer->segments[(buffer->head + position) & (buffer->capacity - 1)];
}

static void ring_release(struct buffer *buffer) {
    if (buffer->segments == buffer->inlined)
        return;
    if (buffer->capacity == RING_SEGMENTS)
        block_ring_put(buffer->source, buffer->segments);
    else
        free(buffer->segments);
    buffer->segments = buffer->inlined;
    buffer->capacity = BUFFER_SEGMENTS_INLINE;
}

// Rare, and kept out of the way of those that append.
static __attribute__((noinline)) void ring_grow(struct buffer *buffer) {
    bool first = buffer->segments == buffer->inlined;
    uint32_t capacity = first ? RING_SEGMENTS : buffer->capacity * 2;
    CHECK(capacity > buffer->capacity);
    struct segment *grown = first ? block_ring_get(buffer->source) : alloc_or_abort(capacity * sizeof(*grown));
    for (uint32_t i = 0; i < buffer->count; i++)
        grown[i] = *segment_at(buffer, i);
    ring_release(buffer);
    buffer->segments = grown;
    buffer->capacity = capacity;
    buffer->head = 0;
}

// The last segment, when what begins at `offset` in `block` lies right behind it.
static struct segment *segment_continued_by(const struct buffer *buffer, const struct block *block, uint32_t offset) {
    if (buffer->count == 0)
        return NULL;
    struct segment *last = segment_at(buffer, buffer->count - 1);
    return last->block == block && last->offset + last->length == offset ? last : NULL;
}

static void segment_append(struct buffer *buffer, struct block *block, uint32_t offset, uint32_t length) {
    buffer->length += length;
    struct segment *last = segment_continued_by(buffer, block, offset);
    if (last != NULL) {
        last->length += length;
        return;
    }
    if (buffer->count == buffer->capacity)
        ring_grow(buffer);
    *segment_at(buffer, buffer->count) = (struct segment){block_ref(block), offset, length};
    buffer->count++;
}

static inline void tail_drop(struct buffer *buffer) {
    if (buffer->tail == NULL)
        return;
    block_unref(buffer->tail);
    buffer->tail = NULL;
}

// A tail with at least `size` bytes of room.
static struct block *tail_with_room(struct buffer *buffer, size_t size) {
    struct block *tail = buffer->tail;
    if (tail == NULL || block_room(tail) < size) {
        tail_drop(buffer);
        tail = buffer->tail = block_get(buffer->source);
    }
    return tail;
}

// What holds nothing keeps nothing.
static inline void release_when_empty(struct buffer *buffer) {
    if (buffer->length > 0)
        return;
    CHECK(buffer->count == 0);
    tail_drop(buffer);
    if (buffer->segments != buffer->inlined)
        ring_release(buffer);
    buffer->head = 0;
}

void buffer_drop_all(struct buffer *buffer) {
    for (uint32_t i = 0; i < buffer->count; i++) {
        struct segment *segment = segment_at(buffer, i);
        block_unref(segment->block);
        segment->block = NULL;
    }
    buffer->count = 0;
    buffer->length = 0;
    release_when_empty(buffer);
}

void buffer_append(struct buffer *buffer, struct bytes text) {
    while (text.len > 0) {
        struct block *tail = tail_with_room(buffer, 1);
        size_t taken = block_room(tail) < text.len ? block_room(tail) : text.len;
        memcpy(tail->bytes + tail->filled, text.at, taken);
        segment_append(buffer, tail, tail->filled, (uint32_t)taken);
        tail->filled += (uint32_t)taken;
        text.at += taken;
        text.len -= taken;
    }
}

char *buffer_reserve(struct buffer *buffer, size_t size) {
    CHECK(size <= BLOCK_CAPACITY);
    struct block *tail = tail_with_room(buffer, size);
    return tail->bytes + tail->filled;
}

void buffer_commit(struct buffer *buffer, size_t written) {
    struct block *tail = buffer->tail;
    CHECK(tail != NULL);
    CHECK(written <= block_room(tail));
    if (written > 0) {
        segment_append(buffer, tail, tail->filled, (uint32_t)written);
        tail->filled += (uint32_t)written;
    }
    release_when_empty(buffer);
}

void buffer_append_piece(struct buffer *buffer, struct block *block, struct bytes piece) {
    if (piece.len == 0)
        return;
    CHECK(piece.at >= block->bytes && piece.at < block->bytes + BLOCK_CAPACITY);
    CHECK(piece.len <= (size_t)(block->bytes + BLOCK_CAPACITY - piece.at));
    uint32_t offset = (uint32_t)(piece.at - block->bytes);
    // A short piece that only makes the last reference longer costs nothing; else it is copied.
    size_t copied_max = buffer->count < BUFFER_SEGMENTS_INLINE ? BUFFER_COPY_MAX : BUFFER_COPY_GATHERED_MAX;
    if (piece.len > copied_max || segment_continued_by(buffer, block, offset) != NULL)
        segment_append(buffer, block, offset, (uint32_t)piece.len);
    else
        buffer_append(buffer, piece);
}

size_t buffer_move(struct buffer *to, struct buffer *from, size_t max) {
    CHECK(to != from);
    size_t moved = 0;
    while (moved < max && from->count > 0) {
        const struct segment *first = segment_at(from, 0);
        size_t taken = max - moved < first->length ? max - moved : first->length;
        buffer_append_piece(to, first->block, bytes_from(first->block->bytes + first->offset, taken));
        buffer_consume(from, taken);
        moved += taken;
    }
    return moved;
}

void buffer_share(struct buffer *to, const struct buffer *from) {
    CHECK(to != from);
    for (uint32_t i = 0; i < from->count; i++) {
        const struct segment *segment = segment_at(from, i);
        buffer_append_piece(to, segment->block, bytes_from(segment->block->bytes + segment->offset, segment->length));
    }
}

int buffer_iovec(const struct buffer *buffer, struct iovec *iov, int count, size_t *length) {
    int used = 0;
    *length = 0;
    while (used < count && (uint32_t)used < buffer->count) {
        const struct segment *segment = segment_at(buffer, (uint32_t)used);
        iov[used].iov_base = segment->block->bytes + segment->offset;
        iov[used].iov_len = segment->length;
        *length += segment->length;
        used++;
    }
    return used;
}

struct bytes buffer_front(const struct buffer *buffer) {
    if (buffer->count == 0)
        return BYTES_NONE;
    const struct segment *first = segment_at(buffer, 0);
    return bytes_from(first->block->bytes + first->offset, first->length);
}

struct block *buffer_front_block(const struct buffer *buffer) {
    return buffer->count == 0 ? NULL : segment_at(buffer, 0)->block;
}

void buffer_consume(struct buffer *buffer, size_t count) {
    CHECK(count <= buffer->length);
    buffer->length -= count;
    while (count > 0) {
        CHECK(buffer->count > 0);
        struct segment *first = segment_at(buffer, 0);
        if (count < first->length) {
            first->offset += (uint32_t)count;
            first->length -= (uint32_t)count;
            return;
        }
        count -= first->length;
        block_unref(first->block);
        first->block = NULL;
        buffer->head = (buffer->head + 1) & (buffer->capacity - 1);
        buffer->count--;
    }
    release_when_empty(buffer);
}
