// A counter or gauge with one writer, read by other threads without locks: relaxed atomics, a plain add on the writer's side.
#ifndef BASE_METRIC_CELL_H
#define BASE_METRIC_CELL_H

#include <stdatomic.h>
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

#endif
