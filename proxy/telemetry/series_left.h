// Parts of series that have left this worker. A series of several workers does not shrink when one of them lets go of its service before the others (a tunnel holds it for hours
// there): what that worker has counted of it stays, for whoever reads, until the last worker has let go too. Then all of it is the overflow's, at once for every reader: none of
// the gatherings that were under way meanwhile is told of one part here and of another there. Used by request_series.c alone; the worker's own.
#ifndef TELEMETRY_SERIES_LEFT_H
#define TELEMETRY_SERIES_LEFT_H

#include "base/list.h"
#include "base/map.h"
#include "telemetry/series_registry.h"
#include "telemetry/series_totals.h"

struct series_part {
    struct list link;
    enum series_family family;
    uint64_t fingerprint, life;
    struct series_totals totals;
    bool is_dead;    // no worker has its series any more
    uint64_t awaits; // the last gathering that may have been told otherwise
};

struct series_left {
    struct list parts;
    struct map by_life;
    uint32_t to_look;   // so many of the first are to be looked at
    uint64_t looked_at; // series_registry_changes, when they were looked at last
};

void series_left_init(struct series_left *left);

// Forgets what is left.
void series_left_dispose(struct series_left *left);

// A part of a series, whose totals it takes over, has left. Once it needs no one to wait for they are added to `overflow`, of its family: at once where that is so.
void series_left_add(struct series_left *left, struct series_registry *registry, const struct series_part *part, struct series_totals *overflow);

// Whether something may have changed since they were looked at.
bool series_left_is_due(const struct series_left *left, const struct series_registry *registry);

// Looks at `*most` at most, and takes those off; `overflows`: of all families. True: more are due.
bool series_left_look(struct series_left *left, struct series_registry *registry, struct series_totals *overflows, uint32_t *most);

#endif
