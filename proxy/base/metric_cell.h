// A counter or gauge with one writer, read by other threads without locks: relaxed atomics, a plain add on the writer's side.
#ifndef BASE_METRIC_CELL_H
#define BASE_METRIC_CELL_H

#include "base/check.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct metric_cell {
    _Atomic uint64_t value;
};

// Writer only.
static inline void metric_add(struct metric_cell *cell, uint64_t amount) {
    uint64_t value = atomic_load_explicit(&cell->value, memory_order_relaxed);
    atomic_store_explicit(&cell->value, value + amount, memory_order_relaxed);
}

// Writer only.
static inline void metric_subtract(struct metric_cell *cell, uint64_t amount) {
    uint64_t value = atomic_load_explicit(&cell->value, memory_order_relaxed);
    atomic_store_explicit(&cell->value, value - amount, memory_order_relaxed);
}

// Writer only.
static inline void metric_set(struct metric_cell *cell, uint64_t value) {
    atomic_store_explicit(&cell->value, value, memory_order_relaxed);
}

// Any thread.
static inline uint64_t metric_read(const struct metric_cell *cell) {
    return atomic_load_explicit(&cell->value, memory_order_relaxed);
}

// Adds `from`, whose writer may go on meanwhile, to `total`, which the caller writes: structs of `size` bytes that are nothing but cells.
static inline void metric_merge(void *total, const void *from, size_t size) {
    struct metric_cell *to = total;
    const struct metric_cell *cells = from;
    CHECK(size % sizeof(struct metric_cell) == 0);
    for (size_t i = 0; i < size / sizeof(struct metric_cell); i++)
        metric_add(&to[i], metric_read(&cells[i]));
}

#endif
