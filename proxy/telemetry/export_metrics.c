// The exporters' own health as families of metrics.
#include "telemetry/export_metrics.h"

static void add(struct exposition *exposition, enum metric metric, const struct export_figures *figures, uint32_t count,
                uint64_t (*value)(const struct export_figures *figures)) {
    exposition_begin(exposition, metric);
    for (uint32_t i = 0; i < count; i++)
        exposition_add(exposition, (const struct bytes[]){bytes_from_text(figures[i].signal)}, value(&figures[i]));
}

static uint64_t made(const struct export_figures *figures) {
    return figures->made;
}

static uint64_t exported(const struct export_figures *figures) {
    return figures->exported;
}

static uint64_t waiting(const struct export_figures *figures) {
    return figures->waiting;
}

static uint64_t retries(const struct export_figures *figures) {
    return figures->retries;
}

static void add_each(struct exposition *exposition, const char *signal, const char *const *names, const uint64_t *values, unsigned count) {
    for (unsigned i = 0; i < count; i++)
        exposition_add(exposition, (const struct bytes[]){bytes_from_text(signal), bytes_from_text(names[i])}, values[i]);
}

void export_metrics_expose(struct exposition *exposition, const struct export_figures *figures, uint32_t count) {
#define X(identifier, name) name,
    static const char *const drops[] = {EXPORT_DROP_LIST(X)};
    static const char *const results[] = {EXPORT_RESULT_LIST(X)};
#undef X
    add(exposition, METRIC_EXPORT_RECORDS, figures, count, made);
    add(exposition, METRIC_EXPORT_EXPORTED, figures, count, exported);
    exposition_begin(exposition, METRIC_EXPORT_DROPPED);
    for (uint32_t i = 0; i < count; i++)
        add_each(exposition, figures[i].signal, drops, figures[i].dropped, EXPORT_DROPS);
    add(exposition, METRIC_EXPORT_WAITING, figures, count, waiting);
    exposition_begin(exposition, METRIC_EXPORT_CAPACITY);
    for (uint32_t i = 0; i < count; i++)
        if (figures[i].capacity > 0)
            exposition_add(exposition, (const struct bytes[]){bytes_from_text(figures[i].signal)}, figures[i].capacity);
    exposition_begin(exposition, METRIC_EXPORT_RESULTS);
    for (uint32_t i = 0; i < count; i++)
        add_each(exposition, figures[i].signal, results, figures[i].results, EXPORT_RESULTS);
    add(exposition, METRIC_EXPORT_RETRIES, figures, count, retries);
}
