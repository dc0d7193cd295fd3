// /metrics: everything that is counted, as one page of Prometheus text.
#include "admin/pages.h"
#include "telemetry/process_metrics.h"

static void add_number(struct exposition *page, enum metric metric, uint64_t value) {
    exposition_begin(page, metric);
    exposition_add(page, NULL, value);
}

static void add_results(struct exposition *page, enum metric metric, uint64_t accepted, uint64_t refused) {
    exposition_begin(page, metric);
    exposition_add(page, (const struct bytes[]){BYTES("accepted")}, accepted);
    exposition_add(page, (const struct bytes[]){BYTES("refused")}, refused);
}

static void add_process_state(struct exposition *page, const struct admin_figures *figures) {
    exposition_begin(page, METRIC_BUILD_INFO);
    exposition_add(page, (const struct bytes[]){BYTES(OUTRIGGER_VERSION)}, 1);
    add_number(page, METRIC_READY, figures->ready);
    add_number(page, METRIC_DRAINING, figures->draining);
    add_number(page, METRIC_WORKERS, figures->worker_count);
}

static void add_config(struct exposition *page, const struct admin_config *config) {
    add_number(page, METRIC_CONFIG_GENERATION, config->snapshot != NULL ? config->snapshot->generation : 0);
    exposition_begin(page, METRIC_CONFIG_LOADED);
    exposition_add_seconds(page, NULL, config->loaded_wall);
    add_results(page, METRIC_CONFIG_LOADS, config->accepted, config->refused);
    add_number(page, METRIC_CONFIG_PENDING_ERRORS, config->error_count);
}

static void add_identity(struct exposition *page, const struct admin_identity *identity) {
    if (!identity->given)
        return;
    exposition_begin(page, METRIC_IDENTITY_NOT_AFTER);
    for (uint32_t i = 0; i < identity->certificate_count; i++)
        if (bytes_equal(identity->certificates[i].role, BYTES("identity")))
            exposition_add(page, &identity->certificates[i].id, (uint64_t)identity->certificates[i].not_after);
    add_results(page, METRIC_IDENTITY_LOADS, identity->accepted, identity->refused);
}

static void add_limits(struct exposition *page, const struct admin_figures *figures) {
    static const enum metric families[] = {METRIC_LIMIT, METRIC_LIMIT_USE, METRIC_LIMIT_PEAK, METRIC_LIMIT_HITS};
    for (unsigned family = 0; family < 4; family++) {
        exposition_begin(page, families[family]);
        for (uint32_t i = 0; i < figures->limit_count; i++) {
            const struct admin_limit *limit = &figures->limits[i];
            const uint64_t values[] = {limit->value, limit->use, limit->peak, limit->hits};
            if (family == 0 || limit->measured)
                exposition_add(page, (const struct bytes[]){limit->name, limit->scope}, values[family]);
        }
    }
}

void page_metrics(struct admin_query *query) {
    const struct admin_figures *figures = &query->figures;
    struct exposition page;
    struct buffer text;
    admin_text_init(query, &text);
    exposition_init(&page, &text);
    add_process_state(&page, figures);
    add_config(&page, &figures->config);
    add_identity(&page, &figures->identity);
    worker_metrics_expose(&page, &figures->workers);
    request_metrics_expose(&page, figures->requests, figures->request_count);
    add_limits(&page, figures);
    process_metrics_expose(&page);
    admin_reply_text(query, 200, BYTES(METRICS_CONTENT_TYPE), &text);
}
