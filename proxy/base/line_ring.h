// Lines on their way from the one thread that writes them to the one that reads them: a ring of bytes with no lock. Neither side ever waits; a full ring says so.
//
// The writer reserves room, fills it in place, adds it, and publishes once for many lines; the reader sees whole lines only, and may take bytes in any portions.
#ifndef BASE_LINE_RING_H
#define BASE_LINE_RING_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct line_ring {
    char *bytes;
    size_t size;     // a power of two
    size_t line_max; // there is so much room behind `size`, so that a line is written in one piece wherever it begins
    // The writer's: what it has added; positions count from the start and never wrap.
    uint64_t added;
    _Atomic uint64_t published;
    // The reader's.
    _Atomic uint64_t taken;
};

// Memory is touched as lines go through.
void line_ring_init(struct line_ring *ring, size_t size, size_t line_max);
void line_ring_dispose(struct line_ring *ring);

// While nobody writes and nothing waits: gives back the memory that lines have touched. It is touched again as lines go through.
void line_ring_release(struct line_ring *ring);

// --- the writer's thread ---

// Room for one line of up to line_max bytes; NULL: there is none now.
char *line_ring_room(struct line_ring *ring);

// The line of `length` bytes was written to line_ring_room. Not seen by the reader yet.
void line_ring_add(struct line_ring *ring, size_t length);

// What was added can be read. Returns how many bytes wait now, those that the reader is at included. Sequentially consistent with line_ring_waiting.
size_t line_ring_publish(struct line_ring *ring);

// --- the reader's thread ---

// How many bytes wait.
size_t line_ring_waiting(const struct line_ring *ring);

// The first bytes that wait, at most `most` of them, in one or two pieces; returns the number of pieces.
int line_ring_front(const struct line_ring *ring, size_t most, struct iovec pieces[2]);

void line_ring_take(struct line_ring *ring, size_t length);

#endif
