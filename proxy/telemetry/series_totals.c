// Counting and adding: see series_totals.h.
#include "telemetry/series_totals.h"

#include "base/pool.h"

#include <stdlib.h>

static void renew(struct exponential_totals *exponential, nanoseconds since) {
    *exponential = (struct exponential_totals){.since = since};
    exponential_init(&exponential->histogram);
}

void series_totals_count(struct series_totals *totals, unsigned bucket, nanoseconds duration, nanoseconds since) {
    totals->buckets[bucket]++;
    totals->sum += duration;
    if (since == 0) {
        free(totals->exponential);
        totals->exponential = NULL;
        return;
    }
    if (totals->exponential == NULL) {
        totals->exponential = alloc_or_abort(sizeof *totals->exponential);
        renew(totals->exponential, since);
    } else if (totals->exponential->since != since)
        renew(totals->exponential, since);
    exponential_record(&totals->exponential->histogram, duration);
    totals->exponential->buckets[bucket]++;
    totals->exponential->sum += duration;
}

static void add_exponential(struct series_totals *to, const struct exponential_totals *from, struct pool *pool) {
    if (to->exponential == NULL) {
        to->exponential = pool != NULL ? pool_alloc(pool, sizeof *to->exponential) : alloc_or_abort(sizeof *to->exponential);
        renew(to->exponential, from->since);
    }
    if (to->exponential->since > from->since)
        return;
    if (to->exponential->since < from->since)
        renew(to->exponential, from->since);
    exponential_add(&to->exponential->histogram, &from->histogram);
    for (unsigned i = 0; i < DURATION_BUCKETS; i++)
        to->exponential->buckets[i] += from->buckets[i];
    to->exponential->sum += from->sum;
}

void series_totals_add(struct series_totals *to, const struct series_totals *from, struct pool *pool) {
    for (unsigned i = 0; i < DURATION_BUCKETS; i++)
        to->buckets[i] += from->buckets[i];
    to->sum += from->sum;
    if (from->exponential != NULL)
        add_exponential(to, from->exponential, pool);
}

bool series_totals_are_none(const struct series_totals *totals) {
    for (unsigned i = 0; i < DURATION_BUCKETS; i++)
        if (totals->buckets[i] > 0)
            return false;
    return true;
}

void series_totals_clear(struct series_totals *totals) {
    free(totals->exponential);
    *totals = (struct series_totals){0};
}
