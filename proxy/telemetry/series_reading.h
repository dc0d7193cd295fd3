// Series of requests on their way to a page or a collector: copies that a worker makes of its own, in slices, and what the main thread makes of those of all workers.
#ifndef TELEMETRY_SERIES_READING_H
#define TELEMETRY_SERIES_READING_H

#include "base/pool.h"
#include "telemetry/request_series.h"

// One series. Texts, histograms and exemplars lie in the pool of the reading.
struct series_row {
    struct series_row *next;
    struct series_facts facts; // of the overflow, and of what has left: the family alone
    bool is_overflow;
    bool has_left; // of this worker: nothing but totals is known of it
    uint64_t fingerprint;
    struct series_life life;                     // of the overflow all zero; of what has left the number alone
    struct bytes service, route, labels, values; // labels, values: a NUL behind each
    struct bytes method;                         // empty: _OTHER
    struct series_totals totals;
    struct exemplar *exemplars;
    uint32_t exemplar_count, exemplar_capacity;
};

struct series_reading {
    struct series_set *set;              // NULL: it is over, or has not begun
    struct list *scope;                  // the next one
    const struct request_series *series; // in it; NULL: its first
    struct bytes service, route, labels; // its own
    struct list *part;                   // the next of those that have left
    struct series_row *rows;
    uint32_t count;
};

// On the worker's thread. While it is under way nothing leaves, so that no request is in two rows or in none.
void series_reading_begin(struct series_reading *reading, struct series_set *set, struct pool *pool);

// Copies at most `most` series. False: all are copied, and the reading is over.
bool series_reading_go_on(struct series_reading *reading, struct pool *pool, uint32_t most);

// Ends it before its time, or does nothing.
void series_reading_end(struct series_reading *reading);

struct series_rows {
    struct series_row **items;
    uint32_t count;
};

// The rows of `count` workers as one, each series once. Their totals are added up in place: both live as long as their pools. A series that has left all of them, though they may
// not know of each other yet, is in the overflow, whole, as is one that has begun another life meanwhile.
struct series_rows series_rows_merge(struct series_row *const *workers, uint32_t count, struct pool *pool);

// How far that is: all zero at first.
struct series_writing {
    uint32_t family; // enum series_family
    uint32_t next;   // row
    bool is_begun;   // the family
    uint32_t counts[SERIES_FAMILIES];
};

// Writes the families of requests, and how many series those of durations have: at most `most` rows of them. False: all are written.
bool series_rows_expose(struct exposition *exposition, const struct series_rows *rows, struct series_writing *writing, uint32_t most);

#endif
