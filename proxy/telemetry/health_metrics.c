// See health_metrics.h. Each family has one or two labels: the service, and what its samples are told apart by.
#include "telemetry/health_metrics.h"

struct value {
    struct bytes label;
    uint64_t number;
};

static void expose(struct exposition *exposition, enum metric metric, const struct health_series *series, uint32_t count,
                   uint32_t (*values_of)(const struct health_series *series, struct value *values)) {
    exposition_begin(exposition, metric);
    for (uint32_t i = 0; i < count; i++) {
        struct value values[3];
        const uint32_t value_count = values_of(&series[i], values);
        for (uint32_t j = 0; j < value_count; j++)
            exposition_add(exposition, (const struct bytes[]){series[i].service, values[j].label}, values[j].number);
    }
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

void health_metrics_expose(struct exposition *exposition, const struct health_series *series, uint32_t count) {
    expose(exposition, METRIC_SERVICE_ENDPOINTS, series, count, endpoints_of);
    expose(exposition, METRIC_ENDPOINT_EJECTIONS, series, count, ejections_of);
    expose(exposition, METRIC_HEALTH_CHECKS, series, count, checks_of);
    expose(exposition, METRIC_HEALTH_CHANGES, series, count, changes_of);
}
