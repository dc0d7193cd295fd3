// Copying, merging and writing of the series of requests: see series_reading.h.
#include "telemetry/series_reading.h"

#include "base/check.h"

// --- a worker's copies ---

// What is recorded in exponential histograms no more is not told any more.
static void copy_totals(struct series_totals *to, const struct series_totals *from, nanoseconds since, struct pool *pool) {
    *to = *from;
    to->exponential = NULL;
    if (from->exponential == NULL || from->exponential->since != since)
        return;
    to->exponential = pool_alloc(pool, sizeof *to->exponential);
    *to->exponential = *from->exponential;
}

static struct series_row *add_row(struct series_reading *reading, struct pool *pool, const struct series_totals *totals) {
    struct series_row *row = pool_alloc_zeroed(pool, sizeof *row);
    copy_totals(&row->totals, totals, series_registry_exponential_since(reading->set->registry), pool);
    row->next = reading->rows;
    reading->rows = row;
    reading->count++;
    return row;
}

static void add_overflow(struct series_reading *reading, struct pool *pool, unsigned family, const struct series_totals *totals) {
    struct series_row *row = add_row(reading, pool, totals);
    row->facts.family = (uint8_t)family;
    row->is_overflow = true;
}

void series_reading_begin(struct series_reading *reading, struct series_set *set, struct pool *pool) {
    *reading = (struct series_reading){.set = set, .scope = set->scopes.next, .part = set->left.parts.next};
    series_set_hold(set);
    for (unsigned family = 0; family < SERIES_FAMILIES; family++)
        if (!series_totals_are_none(&set->overflow[family]))
            add_overflow(reading, pool, family, &set->overflow[family]);
}

static void copy_series(struct series_reading *reading, const struct request_series *series, struct pool *pool) {
    struct series_row *row = add_row(reading, pool, &series->totals);
    row->facts = series->facts;
    row->service = reading->service;
    row->route = reading->route;
    row->labels = reading->labels;
    row->fingerprint = series->fingerprint;
    row->life = series->life;
    if (series->method != NULL)
        row->method = pool_copy(pool, series->method->text);
    if (series->values != NULL)
        row->values = pool_copy(pool, series->values->text);
    if (series->exemplar_count == 0)
        return;
    row->exemplar_count = row->exemplar_capacity = series->exemplar_count;
    row->exemplars = pool_alloc(pool, row->exemplar_count * sizeof *row->exemplars);
    memcpy(row->exemplars, series->exemplars, row->exemplar_count * sizeof *row->exemplars);
}

// The next series, or the step to the next scope: those that come behind the last one of a scope meanwhile may be missed.
static void copy_next(struct series_reading *reading, struct pool *pool) {
    const struct series_scope *scope = LIST_ENTRY(reading->scope, struct series_scope, link);
    if (reading->series == NULL && scope->first != NULL) {
        reading->service = pool_copy(pool, scope->service);
        reading->route = pool_copy(pool, scope->route);
        reading->labels = pool_copy(pool, scope->labels);
        reading->series = scope->first;
    }
    if (reading->series != NULL) {
        copy_series(reading, reading->series, pool);
        reading->series = reading->series->next;
    }
    if (reading->series == NULL)
        reading->scope = reading->scope->next;
}

static void copy_part(struct series_reading *reading, struct pool *pool) {
    const struct series_part *part = LIST_ENTRY(reading->part, struct series_part, link);
    struct series_row *row = add_row(reading, pool, &part->totals);
    row->facts.family = (uint8_t)part->family;
    row->has_left = true;
    row->fingerprint = part->fingerprint;
    row->life.number = part->life;
    reading->part = reading->part->next;
}

bool series_reading_go_on(struct series_reading *reading, struct pool *pool, uint32_t most) {
    struct series_set *set = reading->set;
    CHECK(set != NULL);
    for (; most > 0 && reading->scope != &set->scopes; most--)
        copy_next(reading, pool);
    for (; most > 0 && reading->part != &set->left.parts; most--)
        copy_part(reading, pool);
    if (reading->scope != &set->scopes || reading->part != &set->left.parts)
        return true;
    series_reading_end(reading);
    return false;
}

void series_reading_end(struct series_reading *reading) {
    if (reading->set != NULL)
        series_set_let_go(reading->set);
    reading->set = NULL;
}

// --- of all workers ---

static void add_exemplar(struct series_row *to, const struct exemplar *exemplar, struct pool *pool) {
    uint32_t place = 0;
    while (place < to->exemplar_count && to->exemplars[place].bucket != exemplar->bucket)
        place++;
    if (place < to->exemplar_count) { // of two for one bucket the newer
        if (exemplar->wall > to->exemplars[place].wall)
            to->exemplars[place] = *exemplar;
        return;
    }
    if (to->exemplar_count == to->exemplar_capacity) {
        struct exemplar *larger = pool_alloc(pool, DURATION_BUCKETS * sizeof *larger);
        if (to->exemplar_count > 0)
            memcpy(larger, to->exemplars, to->exemplar_count * sizeof *larger);
        to->exemplars = larger;
        to->exemplar_capacity = DURATION_BUCKETS;
    }
    to->exemplars[to->exemplar_count++] = *exemplar;
}

// Rows that were found so far, as they came, and by the fingerprints of their series; those of the overflow by their family.
struct merge {
    struct pool *pool;
    struct series_rows rows;
    uint32_t *slots; // open addressing, at most half full: place in `rows`, from 1
    uint32_t mask;
    struct series_row *overflow[SERIES_FAMILIES];
};

// 0: there is none.
static uint32_t *place_of(const struct merge *merge, uint64_t fingerprint) {
    uint32_t place = (uint32_t)fingerprint & merge->mask;
    while (merge->slots[place] != 0 && merge->rows.items[merge->slots[place] - 1]->fingerprint != fingerprint)
        place = (place + 1) & merge->mask;
    return &merge->slots[place];
}

static void add_to_overflow(struct merge *merge, const struct series_row *row) {
    struct series_row **overflow = &merge->overflow[row->facts.family];
    if (*overflow == NULL) {
        *overflow = pool_alloc_zeroed(merge->pool, sizeof **overflow);
        (*overflow)->facts.family = row->facts.family;
        (*overflow)->is_overflow = true;
    }
    series_totals_add(&(*overflow)->totals, &row->totals, merge->pool);
}

// Of two lives of a series the older is over, though one worker was asked before it was.
static void add_living(struct merge *merge, struct series_row *row) {
    uint32_t *place = place_of(merge, row->fingerprint);
    if (*place == 0) {
        merge->rows.items[merge->rows.count] = row;
        *place = ++merge->rows.count;
        return;
    }
    struct series_row **same = &merge->rows.items[*place - 1];
    if ((*same)->life.number == row->life.number) {
        series_totals_add(&(*same)->totals, &row->totals, merge->pool);
        for (uint32_t i = 0; i < row->exemplar_count; i++)
            add_exemplar(*same, &row->exemplars[i], merge->pool);
    } else if ((*same)->life.number > row->life.number) {
        add_to_overflow(merge, row);
    } else {
        add_to_overflow(merge, *same);
        *same = row;
    }
}

static void add_left(struct merge *merge, const struct series_row *row) {
    const uint32_t place = *place_of(merge, row->fingerprint);
    struct series_row *same = place > 0 ? merge->rows.items[place - 1] : NULL;
    if (same != NULL && same->life.number == row->life.number)
        series_totals_add(&same->totals, &row->totals, merge->pool);
    else
        add_to_overflow(merge, row);
}

struct series_rows series_rows_merge(struct series_row *const *workers, uint32_t count, struct pool *pool) {
    struct merge merge = {.pool = pool};
    uint32_t most = 0, capacity = 8;
    for (uint32_t i = 0; i < count; i++)
        for (const struct series_row *row = workers[i]; row != NULL; row = row->next)
            most++;
    while (capacity < 2 * most)
        capacity *= 2;
    merge.mask = capacity - 1;
    merge.slots = pool_alloc_zeroed(pool, capacity * sizeof merge.slots[0]);
    merge.rows.items = pool_alloc(pool, (most + SERIES_FAMILIES) * sizeof merge.rows.items[0]);
    for (uint32_t i = 0; i < count; i++)
        for (struct series_row *row = workers[i]; row != NULL; row = row->next)
            if (!row->is_overflow && !row->has_left)
                add_living(&merge, row);
    for (uint32_t i = 0; i < count; i++)
        for (const struct series_row *row = workers[i]; row != NULL; row = row->next) {
            if (row->is_overflow)
                add_to_overflow(&merge, row);
            else if (row->has_left)
                add_left(&merge, row);
        }
    for (unsigned family = 0; family < SERIES_FAMILIES; family++)
        if (merge.overflow[family] != NULL)
            merge.rows.items[merge.rows.count++] = merge.overflow[family];
    return merge.rows;
}

// --- writing ---

// The last label of each of these families says that it is the overflow, which has no other.
static void expose(struct exposition *exposition, const struct series_row *row) {
    struct bytes values[METRIC_LABELS_MAX] = {0};
    char number[SERIES_NUMBER_MAX];
    if (row->is_overflow)
        values[metric_label_count(exposition->family) - 1] = BYTES("true");
    else
        series_label_values(&row->facts, row->service, row->route, row->method, number, values);
    if (row->facts.family == SERIES_ENDS)
        exposition_add_since(exposition, values, row->totals.buckets[0], row->life.begun);
    else
        exposition_add_histogram_sample(exposition, &(struct histogram_sample){
                                                        .labels = values,
                                                        .more_names = row->labels,
                                                        .more_values = row->values,
                                                        .buckets = row->totals.buckets,
                                                        .sum = row->totals.sum,
                                                        .exponential = row->totals.exponential,
                                                        .begun = row->life.begun,
                                                        .exemplars = row->exemplars,
                                                        .exemplar_count = row->exemplar_count,
                                                    });
}

static void expose_counts(struct exposition *exposition, const uint32_t *counts) {
    exposition_begin(exposition, METRIC_METRIC_SERIES);
    for (unsigned family = 0; family < SERIES_ENDS; family++) {
        const struct bytes name = bytes_from_text(metric_family(series_metric((enum series_family)family))->name);
        exposition_add(exposition, &name, counts[family]);
    }
}

bool series_rows_expose(struct exposition *exposition, const struct series_rows *rows, struct series_writing *writing, uint32_t most) {
    for (; writing->family < SERIES_FAMILIES; writing->family++, writing->next = 0, writing->is_begun = false) {
        if (!writing->is_begun)
            exposition_begin(exposition, series_metric((enum series_family)writing->family));
        writing->is_begun = true;
        for (; writing->next < rows->count; writing->next++) {
            const struct series_row *row = rows->items[writing->next];
            if (row->facts.family != writing->family)
                continue;
            if (most-- == 0)
                return true;
            writing->counts[writing->family] += !row->is_overflow;
            expose(exposition, row);
        }
    }
    expose_counts(exposition, writing->counts);
    return false;
}
