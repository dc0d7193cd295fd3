// A byte queue of segments in blocks: the output of a connection, the body of a stream on its way through.
//
// Small texts (heads, frames) are copied in, behind each other in one block; pieces of bodies are appended by reference. A buffer has
// no bound of its own writing: `length` is there to be compared with the limit that its owner documents, before it appends.
// Texts go into a block of the buffer's own, one behind the other, whatever pieces stand between them. An empty buffer holds neither a block nor
// memory of its own. Not thread-safe; must not be moved in memory once initialised.
#ifndef BASE_BUFFER_H
#define BASE_BUFFER_H

#include "base/block.h"
#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

// A segment is the smallest unit that is worth a reference: shorter pieces are copied by buffer_append_piece, since
// pinning a block of 16 KiB for them would cost more than the copy.
#define BUFFER_COPY_MAX 256

// A buffer that has gathered some pieces already copies longer ones too: each may have come in a read of its own, and a sender of many short pieces
// would pin 16 KiB with every one. Pieces of 2 KiB pin eight times their size at most.
#define BUFFER_COPY_GATHERED_MAX 2048

struct segment {
    struct block *block; // one reference is the segment's
    uint32_t offset;
    uint32_t length;
};

// The first few segments lie in the struct, so that the common message (head and one piece of body) needs no more; a ring of
// segments is taken from the block source when they do not suffice.
#define BUFFER_SEGMENTS_INLINE 4

struct buffer {
    struct block_source *source;
    size_t length;            // bytes in all segments
    struct segment *segments; // ring; `inlined` or memory of its own
    uint32_t capacity;        // of the ring; a power of two
    uint32_t head;
    uint32_t count;
    struct block *tail; // where the next text is copied to: only this buffer fills it; NULL when empty
    struct segment inlined[BUFFER_SEGMENTS_INLINE];
};

static inline void buffer_init(struct buffer *buffer, struct block_source *source) {
    buffer->source = source;
    buffer->length = 0;
    buffer->segments = buffer->inlined;
    buffer->capacity = BUFFER_SEGMENTS_INLINE;
    buffer->head = 0;
    buffer->count = 0;
    buffer->tail = NULL;
}

static inline bool buffer_is_empty(const struct buffer *buffer) {
    return buffer->length == 0;
}

// What a buffer may hold whose owner lets it hold `usual` bytes: while memory is short, one block of that. It may change at any time: who was refused room is told by
// what it left behind, not by comparing again.
static inline size_t buffer_bound(const struct buffer *buffer, size_t usual) {
    return buffer->source->is_short && usual > BLOCK_SIZE ? BLOCK_SIZE : usual;
}

// What buffer_clear does where there is something to drop.
void buffer_drop_all(struct buffer *buffer);

// Drops all bytes; the buffer stays usable and keeps no block.
static inline void buffer_clear(struct buffer *buffer) {
    if (buffer->length > 0 || buffer->tail != NULL)
        buffer_drop_all(buffer);
}

// Drops all that it holds; may be used again after buffer_init, or as it is.
static inline void buffer_dispose(struct buffer *buffer) {
    buffer_clear(buffer);
}

// Copies `text` behind what is there, filling the last block first.
void buffer_append(struct buffer *buffer, struct bytes text);

// Room for `size` contiguous bytes (at most BLOCK_CAPACITY) at the end, to be written by the caller, who then calls
// buffer_commit with what was really written (at most `size`, 0 to give it up). Nothing else may be done with the buffer in between.
char *buffer_reserve(struct buffer *buffer, size_t size);
void buffer_commit(struct buffer *buffer, size_t written);

// Appends `piece`, which lies in `block`, by reference (or by copy when at most BUFFER_COPY_MAX or, behind BUFFER_SEGMENTS_INLINE others,
// BUFFER_COPY_GATHERED_MAX bytes long).
void buffer_append_piece(struct buffer *buffer, struct block *block, struct bytes piece);

// Moves at most `max` bytes from the front of `from` to the end of `to` (another buffer); nothing is copied but pieces of at most BUFFER_COPY_MAX bytes.
// Returns how many were moved.
size_t buffer_move(struct buffer *to, struct buffer *from, size_t max);

// Appends all of `from`, which keeps it, to `to`: both then hold the same blocks (short pieces are copied).
void buffer_share(struct buffer *to, const struct buffer *from);

// Fills `iov` with the first segments; returns how many entries (at most `count`) and their length in bytes.
int buffer_iovec(const struct buffer *buffer, struct iovec *iov, int count, size_t *length);

// The first contiguous piece; empty when the buffer is.
struct bytes buffer_front(const struct buffer *buffer);

// The block in which that piece lies; the reference stays the buffer's. NULL when empty.
struct block *buffer_front_block(const struct buffer *buffer);

// Drops `count` bytes (at most `length`) from the front, with the blocks that are no longer needed.
void buffer_consume(struct buffer *buffer, size_t count);

#endif
