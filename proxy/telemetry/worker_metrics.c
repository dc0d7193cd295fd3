// Merging and writing of the counters of workers, row by row of their table: see worker_metrics.h.
#include "telemetry/worker_metrics.h"

#include "base/check.h"

#include <assert.h>
#include <stddef.h>

enum merge { MERGE_SUM, MERGE_MAX, MERGE_LEAST };
enum unit { UNIT_PLAIN, UNIT_NS };

struct row {
    size_t offset;
    struct metric_family family;
    enum merge merge;
    enum unit unit;
    const char *labels;
};

#define X(field, type_name, merge_name, unit_name, metric_name, label_text, help_text) \
    {.offset = offsetof(struct worker_metrics, field),                                 \
     .family = {.name = metric_name, .type = METRIC_##type_name, .help = help_text},   \
     .merge = MERGE_##merge_name,                                                      \
     .unit = UNIT_##unit_name,                                                         \
     .labels = label_text},
static const struct row rows[] = {WORKER_METRIC_LIST(X)};
#undef X

#define ROWS (sizeof(rows) / sizeof(*rows))
static_assert(offsetof(struct worker_metrics, limits) == ROWS * sizeof(struct metric_cell), "a row for each cell");

static const struct metric_cell *cell_of(const struct worker_metrics *metrics, const struct row *row) {
    const void *cell = (const char *)metrics + row->offset;
    return cell;
}

static uint64_t merged(const struct row *row, const struct worker_metrics *const *workers, uint32_t count) {
    uint64_t total = metric_read(cell_of(workers[0], row));
    for (uint32_t i = 1; i < count; i++) {
        uint64_t value = metric_read(cell_of(workers[i], row));
        if (row->merge == MERGE_SUM)
            total += value;
        else if ((row->merge == MERGE_MAX) == (value > total))
            total = value;
    }
    return total;
}

// The peak of a worker is of one head, stream or connection: the highest of all workers is the process's.
static void merge_limit(struct limit_cells *total, const struct worker_metrics *const *workers, uint32_t count, enum limit_metric limit) {
    uint64_t peak = 0;
    uint64_t hits = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t other = metric_read(&workers[i]->limits[limit].peak);
        peak = other > peak ? other : peak;
        hits += metric_read(&workers[i]->limits[limit].hits);
    }
    metric_set(&total->peak, peak);
    metric_set(&total->hits, hits);
}

void worker_metrics_merge(struct worker_metrics *total, const struct worker_metrics *const *workers, uint32_t count) {
    CHECK(count > 0);
    for (size_t i = 0; i < ROWS; i++) {
        void *cell = (char *)total + rows[i].offset;
        metric_set(cell, merged(&rows[i], workers, count));
    }
    for (int limit = 0; limit < LIMIT_METRIC_COUNT; limit++)
        merge_limit(&total->limits[limit], workers, count, (enum limit_metric)limit);
}

void worker_metrics_expose(struct exposition *exposition, const struct worker_metrics *total) {
    const char *current = "";
    for (size_t i = 0; i < ROWS; i++) {
        const struct row *row = &rows[i];
        if (strcmp(current, row->family.name) != 0)
            exposition_begin_family(exposition, &row->family);
        current = row->family.name;
        uint64_t value = metric_read(cell_of(total, row));
        if (row->unit == UNIT_NS)
            exposition_add_constant_seconds(exposition, row->labels, value);
        else
            exposition_add_constant(exposition, row->labels, value);
    }
}
