// Positions count on, their remainder is the place: what lies between `taken` and `published` is the reader's, the rest the writer's. See line_ring.h.
#include "base/line_ring.h"

#include "base/check.h"
#include "base/pool.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void line_ring_init(struct line_ring *ring, size_t size, size_t line_max) {
    CHECK(size > 0 && (size & (size - 1)) == 0 && line_max <= size);
    ring->bytes = alloc_or_abort(size + line_max);
    ring->size = size;
    ring->line_max = line_max;
    ring->added = 0;
    atomic_init(&ring->published, 0);
    atomic_init(&ring->taken, 0);
}

void line_ring_dispose(struct line_ring *ring) {
    free(ring->bytes);
    ring->bytes = NULL;
}

void line_ring_release(struct line_ring *ring) {
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    const uintptr_t begin = ((uintptr_t)ring->bytes + page - 1) & ~(page - 1); // whole pages of it alone
    const uintptr_t end = ((uintptr_t)ring->bytes + ring->size + ring->line_max) & ~(page - 1);
    CHECK(ring->added == atomic_load(&ring->taken));
    if (begin < end)
        (void)madvise(ring->bytes + (begin - (uintptr_t)ring->bytes), end - begin, MADV_DONTNEED); // else it stays
}

char *line_ring_room(struct line_ring *ring) {
    uint64_t taken = atomic_load_explicit(&ring->taken, memory_order_acquire);
    if (ring->added - taken > ring->size - ring->line_max)
        return NULL;
    return ring->bytes + (ring->added & (ring->size - 1));
}

void line_ring_add(struct line_ring *ring, size_t length) {
    CHECK(length <= ring->line_max);
    size_t begin = ring->added & (ring->size - 1);
    if (begin + length > ring->size)
        memcpy(ring->bytes, ring->bytes + ring->size, begin + length - ring->size);
    ring->added += length;
}

size_t line_ring_publish(struct line_ring *ring) {
    atomic_store(&ring->published, ring->added);
    return ring->added - atomic_load_explicit(&ring->taken, memory_order_relaxed);
}

size_t line_ring_waiting(const struct line_ring *ring) {
    return atomic_load(&ring->published) - atomic_load_explicit(&ring->taken, memory_order_relaxed);
}

int line_ring_front(const struct line_ring *ring, size_t most, struct iovec pieces[2]) {
    size_t length = line_ring_waiting(ring);
    size_t begin = atomic_load_explicit(&ring->taken, memory_order_relaxed) & (ring->size - 1);
    if (length > most)
        length = most;
    if (length == 0)
        return 0;
    size_t first = length < ring->size - begin ? length : ring->size - begin;
    pieces[0] = (struct iovec){.iov_base = ring->bytes + begin, .iov_len = first};
    pieces[1] = (struct iovec){.iov_base = ring->bytes, .iov_len = length - first};
    return length > first ? 2 : 1;
}

void line_ring_take(struct line_ring *ring, size_t length) {
    uint64_t taken = atomic_load_explicit(&ring->taken, memory_order_relaxed);
    CHECK(length <= atomic_load_explicit(&ring->published, memory_order_relaxed) - taken);
    atomic_store_explicit(&ring->taken, taken + length, memory_order_release);
}
