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

void series_reading_begin(struct series_reading *reading, struct series_set *set, struct pool *pool) {
    *reading = (struct series_reading){.set = set, .next = set->scopes.next};
    series_set_hold(set);
    for (unsigned family = 0; family < SERIES_FAMILIES; family++) {
        if (series_totals_are_none(&set->overflow[family]))
            continue;
        struct series_row *row = add_row(reading, pool, &set->overflow[family]);
        row->facts.family = (uint8_t)family;
        row->is_overflow = true;
    }
}

static void copy_scope(struct series_reading *reading, const struct series_scope *scope, struct pool *pool) {
    const struct bytes service = pool_copy(pool, scope->service), route = pool_copy(pool, scope->route), labels = pool_copy(pool, scope->labels);
    for (uint32_t i = 0; i < scope->capacity; i++) {
        const struct request_series *series = scope->slots[i];
        if (series == NULL)
            continue;
        struct series_row *row = add_row(reading, pool, &series->totals);
        row->facts = series->facts;
        row->service = service;
        row->route = route;
        row->labels = labels;
        row->begun = series->begun;
        if (series->method != NULL)
            row->method = pool_copy(pool, series->method->text);
        if (series->values != NULL)
            row->values = pool_copy(pool, series->values->text);
        if (series->exemplar_count == 0)
            continue;
        row->exemplar_count = series->exemplar_count;
        row->exemplars = pool_alloc(pool, DURATION_BUCKETS * sizeof *row->exemplars); // room for those of other workers
        memcpy(row->exemplars, series->exemplars, row->exemplar_count * sizeof *row->exemplars);
    }
}

bool series_reading_go_on(struct series_reading *reading, struct pool *pool, uint32_t most) {
    CHECK(reading->set != NULL);
    for (uint32_t copied = 0; copied < most && reading->next != &reading->set->scopes; reading->next = reading->next->next) {
        const struct series_scope *scope = LIST_ENTRY(reading->next, struct series_scope, link);
        if (scope->count > 0)
            copy_scope(reading, scope, pool);
        copied += 1 + scope->count;
    }
    if (reading->next != &reading->set->scopes)
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

static struct bytes key_of(const struct series_row *row, struct pool *pool) {
    const struct bytes parts[] = {
        bytes_from((const char *)&row->facts, sizeof row->facts), row->service, row->route, row->method, row->labels, row->values};
    size_t size = 1;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        size += parts[i].len + 1;
    char *text = pool_alloc(pool, size);
    text[0] = row->is_overflow ? 'o' : 's';
    size = 1;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (parts[i].len > 0)
            memcpy(text + size, parts[i].at, parts[i].len);
        size += parts[i].len;
        text[size++] = '\n';
    }
    return bytes_from(text, size);
}

// Of two for one bucket the newer.
static void add_exemplars(struct series_row *to, const struct series_row *from) {
    if (from->exemplar_count == 0)
        return;
    if (to->exemplar_count == 0)
        to->exemplars = from->exemplars;
    for (uint32_t i = 0; i < from->exemplar_count; i++) {
        uint32_t place = 0;
        while (place < to->exemplar_count && to->exemplars[place].bucket != from->exemplars[i].bucket)
            place++;
        if (place == to->exemplar_count)
            to->exemplars[to->exemplar_count++] = from->exemplars[i];
        else if (from->exemplars[i].wall > to->exemplars[place].wall)
            to->exemplars[place] = from->exemplars[i];
    }
}

static void add_row_to(struct series_row *to, const struct series_row *from, struct pool *pool) {
    series_totals_add(&to->totals, &from->totals, pool);
    add_exemplars(to, from);
    if (from->begun < to->begun)
        to->begun = from->begun;
}

struct series_rows series_rows_merge(struct series_row *const *workers, uint32_t count, struct pool *pool) {
    struct series_rows rows = {0};
    struct map places;
    uint32_t most = 0;
    for (uint32_t i = 0; i < count; i++)
        for (const struct series_row *row = workers[i]; row != NULL; row = row->next)
            most++;
    rows.items = pool_alloc(pool, (most + 1) * sizeof rows.items[0]);
    map_init(&places);
    for (uint32_t i = 0; i < count; i++)
        for (struct series_row *row = workers[i]; row != NULL; row = row->next) {
            if (count == 1) { // all differ
                rows.items[rows.count++] = row;
                continue;
            }
            const struct bytes key = key_of(row, pool);
            struct series_row *same = map_get(&places, key);
            if (same != NULL) {
                add_row_to(same, row, pool);
                continue;
            }
            map_put(&places, key, row);
            rows.items[rows.count++] = row;
        }
    map_dispose(&places);
    return rows;
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
    exposition_add_histogram_sample(exposition, &(struct histogram_sample){
                                                    .labels = values,
                                                    .more_names = row->labels,
                                                    .more_values = row->values,
                                                    .buckets = row->totals.buckets,
                                                    .sum = row->totals.sum,
                                                    .exponential = row->totals.exponential,
                                                    .begun = row->begun,
                                                    .exemplars = row->exemplars,
                                                    .exemplar_count = row->exemplar_count,
                                                });
}

void series_rows_expose(struct exposition *exposition, const struct series_rows *rows) {
    static const enum metric metrics[SERIES_FAMILIES] = {[SERIES_HTTP_SERVER] = METRIC_SERVER_DURATION,
                                                         [SERIES_HTTP_CLIENT] = METRIC_CLIENT_DURATION,
                                                         [SERIES_RPC_SERVER] = METRIC_RPC_SERVER_DURATION,
                                                         [SERIES_RPC_CLIENT] = METRIC_RPC_CLIENT_DURATION,
                                                         [SERIES_OPAQUE] = METRIC_OPAQUE_DURATION};
    for (unsigned family = 0; family < SERIES_FAMILIES; family++) {
        exposition_begin(exposition, metrics[family]);
        for (uint32_t i = 0; i < rows->count; i++)
            if (rows->items[i]->facts.family == family)
                expose(exposition, rows->items[i]);
    }
    uint32_t counts[SERIES_FAMILIES] = {0};
    for (uint32_t i = 0; i < rows->count; i++)
        counts[rows->items[i]->facts.family] += !rows->items[i]->is_overflow;
    exposition_begin(exposition, METRIC_METRIC_SERIES);
    for (unsigned family = 0; family < SERIES_FAMILIES; family++) {
        const struct bytes name = bytes_from_text(metric_family(metrics[family])->name);
        exposition_add(exposition, &name, counts[family]);
    }
}
