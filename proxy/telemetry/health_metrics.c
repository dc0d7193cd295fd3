// See health_metrics.h. Each family has one or two labels: the service, and what its samples are told apart by.
#include "telemetry/health_metrics.h"

struct value {
    struct bytes label;
    uint64_t number;
};

typedef uint32_t health_values(const struct health_series *series, struct value *values);

static void expose(struct exposition *exposition, enum metric metric, const struct health_series *series, uint32_t count, health_values *values_of) {
    exposition_begin(exposition, metric);
    for (uint32_t i = 0; i < count; i++) {
        struct value values[3];
        const uint32_t value_count = values_of(&series[i], values);
        for (uint32_t j = 0; j < value_count; j++) {
            const struct bytes labels[] = {series[i].service, values[j].label, BYTES_NONE};
            if (exposition->family->type == METRIC_COUNTER)
                exposition_add_since(exposition, labels, values[j].number, series[i].begun);
            else
                exposition_add(exposition, labels, values[j].number);
        }
    }
}

static void expose_counter(struct exposition *exposition, enum metric metric, const struct health_series *series, uint32_t count,
                           const struct health_series *gone, health_values *values_of) {
    struct value values[3];
    uint64_t sum = 0;
    expose(exposition, metric, series, count, values_of);
    for (uint32_t left = values_of(gone, values); left > 0; left--)
        sum += values[left - 1].number;
    if (sum > 0)
        exposition_add_since(exposition, (const struct bytes[]){BYTES_NONE, BYTES_NONE, BYTES("true")}, sum, 0);
}

static uint32_t endpoints_of(const struct health_series *series, struct value *values) {
    values[0] = (struct value){BYTES("all"), series->endpoints};
    values[1] = (struct value){BYTES("ejected"), series->ejected};
    values[2] = (struct value){BYTES("unhealthy"), series->unhealthy};
    return 3;
}

static uint32_t ejections_of(const struct health_series *series, struct value *values) {
    values[0] = (struct value){BYTES("enforced"), series->ejections};
    values[1] = (struct value){BYTES("dry_run"), series->shadow_ejections};
    values[2] = (struct value){BYTES("refused"), series->refused};
    return 3;
}

static uint32_t checks_of(const struct health_series *series, struct value *values) {
    values[0] = (struct value){BYTES("passed"), series->passed};
    values[1] = (struct value){BYTES("failed"), series->failed};
    return series->passed + series->failed > 0 ? 2 : 0;
}

static uint32_t changes_of(const struct health_series *series, struct value *values) {
    values[0] = (struct value){BYTES("unhealthy"), series->became_unhealthy};
    values[1] = (struct value){BYTES("healthy"), series->became_healthy};
    return series->passed + series->failed > 0 ? 2 : 0;
}

void health_metrics_expose(struct exposition *exposition, const struct health_series *series, uint32_t count, const struct health_series *gone) {
    expose(exposition, METRIC_SERVICE_ENDPOINTS, series, count, endpoints_of);
    expose_counter(exposition, METRIC_ENDPOINT_EJECTIONS, series, count, gone, ejections_of);
    expose_counter(exposition, METRIC_HEALTH_CHECKS, series, count, gone, checks_of);
    expose_counter(exposition, METRIC_HEALTH_CHANGES, series, count, gone, changes_of);
}
