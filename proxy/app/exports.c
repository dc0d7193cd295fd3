// See exports.h. The main thread.
#include "app/exports.h"

#include "agent/otlp_figures.h"
#include "app/proxy.h"
#include "base/check.h"
#include "base/log.h"

#include <stdlib.h>
#include <unistd.h>

void exports_init(struct proxy *proxy) {
    struct exports *exports = &proxy->exports;
    const void *variables = environ;
    *exports = (struct exports){.environment = otel_environment_create(variables)};
    instance_id_make(&proxy->loop.rng, exports->instance_id);
    for (unsigned i = 0; i < OTLP_SIGNALS; i++)
        exports->signals[i] = (struct export_signal){.proxy = proxy, .signal = (enum otlp_signal)i};
    metrics_push_init(&exports->metrics, proxy);
}

// ---- signals

static void on_note(struct note *note) {
    struct export_signal *signal = CONTAINER_OF(note, struct export_queue, note)->user;
    exporter_look(&signal->exporter);
}

// One of each worker; of logs one of the main thread too, for its part of the audit log.
static uint32_t queue_count(const struct export_signal *signal) {
    return signal->proxy->worker_count + (signal->signal == OTLP_LOGS);
}

static void open_signal(struct export_signal *signal, const struct otlp_config *config) {
    struct proxy *proxy = signal->proxy;
    signal->queues = alloc_zeroed_or_abort(queue_count(signal), sizeof signal->queues[0]);
    for (uint32_t i = 0; i < queue_count(signal); i++)
        export_queue_init(&signal->queues[i], config->batch.max_queue, config->batch.max_batch, &proxy->loop.mailbox, on_note, signal);
    exporter_init(&signal->exporter, &proxy->loop, signal->signal, signal->queues, queue_count(signal), export_carrier_ops(&signal->carrier));
    export_carrier_init(&signal->carrier, proxy, &signal->exporter.sender, signal->exporter.figures.signal);
    signal->is_open = true;
}

// That of logs stays once it is there: documents say who writes to it, and while it is sent nowhere the exporter counts what comes.
static void attach(struct export_signal *signal, bool is_on) {
    struct proxy *proxy = signal->proxy;
    if (signal->is_attached == is_on || (!is_on && signal->signal == OTLP_LOGS))
        return;
    signal->is_attached = is_on;
    for (uint32_t i = 0; is_on && i < queue_count(signal); i++)
        export_queue_give(&signal->queues[i]);
    for (uint32_t i = 0; i < proxy->worker_count; i++)
        worker_set_export_queue(&proxy->workers[i], signal->signal, is_on ? &signal->queues[i] : NULL);
    if (signal->signal == OTLP_LOGS)
        audit_send_by(&proxy->audit, &signal->queues[proxy->worker_count]);
}

void exports_prepare(struct proxy *proxy, const struct snapshot *fresh) {
    struct export_signal *logs = &proxy->exports.signals[OTLP_LOGS];
    const struct otlp_config *config = &fresh->proxy.telemetry.otlp[OTLP_LOGS];
    if (config->url == NULL || proxy->exports.hurried_at > 0)
        return;
    if (!logs->is_open)
        open_signal(logs, config);
    attach(logs, true);
}

static void follow(struct export_signal *signal, const struct otlp_config *config) {
    const bool is_on = config->url != NULL;
    if (is_on && !signal->is_open)
        open_signal(signal, config);
    if (!signal->is_open)
        return;
    if (is_on && config->batch.max_queue != signal->queues[0].records_max)
        log_event(LOG_WARN, "needs_restart", "field=\"spec.telemetry.%s.batch.maxQueueSize\" value=%u wanted=%u", signal->exporter.figures.signal,
                  signal->queues[0].records_max, config->batch.max_queue);
    attach(signal, is_on);
    exporter_apply(&signal->exporter, is_on ? config : NULL, &signal->proxy->exports.origin);
}

static void drop_origin(struct otlp_origin *origin) {
    bytes_drop(&origin->resource);
    bytes_drop(&origin->scope);
}

static void renew_origin(struct proxy *proxy, const struct proxy_config *config) {
    struct exports *exports = &proxy->exports;
    struct pool pool;
    pool_init(&pool, &proxy->loop.pools);
    const struct otlp_origin origin = resource_encode(config, exports->environment, exports->instance_id, &pool);
    drop_origin(&exports->origin);
    exports->origin = (struct otlp_origin){.resource = bytes_keep(origin.resource), .scope = bytes_keep(origin.scope)};
    pool_dispose(&pool);
}

void exports_follow(struct proxy *proxy, const struct snapshot *fresh) {
    const struct telemetry_config *telemetry = &fresh->proxy.telemetry;
    bool is_any_on = false;
    if (proxy->exports.hurried_at > 0)
        return;
    for (unsigned i = 0; i < OTLP_SIGNALS; i++)
        is_any_on |= telemetry->otlp[i].url != NULL;
    if (is_any_on)
        renew_origin(proxy, &fresh->proxy);
    for (unsigned i = 0; i < OTLP_SIGNALS; i++)
        if (i != OTLP_METRICS)
            follow(&proxy->exports.signals[i], &telemetry->otlp[i]);
    metrics_push_follow(&proxy->exports.metrics, telemetry, &proxy->exports.origin);
}

// ---- the end

bool exports_linger(struct proxy *proxy, nanoseconds at) {
    struct exports *exports = &proxy->exports;
    const nanoseconds now = proxy->loop.now;
    bool waits = false;
    for (unsigned i = 0; i < OTLP_SIGNALS; i++) {
        struct export_signal *signal = &exports->signals[i];
        if (!signal->is_open)
            continue;
        if (exports->hurried_at == 0)
            exporter_hurry(&signal->exporter, at < now + EXPORTS_PATIENCE_NS ? at : now + EXPORTS_PATIENCE_NS);
        waits |= !exporter_is_idle(&signal->exporter);
    }
    if (exports->hurried_at == 0)
        metrics_push_hurry(&exports->metrics, at < now + EXPORTS_PATIENCE_NS ? at : now + EXPORTS_PATIENCE_NS);
    waits |= !metrics_push_is_idle(&exports->metrics);
    exports->hurried_at = exports->hurried_at == 0 ? now : exports->hurried_at;
    return waits && now < exports->hurried_at + EXPORTS_PATIENCE_NS;
}

static void end_signal(struct export_signal *signal) {
    if (signal->signal == OTLP_LOGS)
        audit_send_by(&signal->proxy->audit, NULL);
    export_carrier_end(&signal->carrier);
    exporter_end(&signal->exporter);
    const struct export_figures figures = exporter_figures(&signal->exporter);
    otlp_figures_tell_end(&figures);
    exporter_dispose(&signal->exporter);
    for (uint32_t i = 0; i < queue_count(signal); i++)
        export_queue_dispose(&signal->queues[i]);
    free(signal->queues);
    signal->is_open = false;
}

void exports_end(struct proxy *proxy) {
    for (unsigned i = 0; i < OTLP_SIGNALS; i++)
        if (proxy->exports.signals[i].is_open)
            end_signal(&proxy->exports.signals[i]);
    metrics_push_end(&proxy->exports.metrics);
}

void exports_dispose(struct proxy *proxy) {
    drop_origin(&proxy->exports.origin);
    otel_environment_destroy(proxy->exports.environment);
}

uint32_t exports_figures(const struct proxy *proxy, struct export_figures *figures) {
    uint32_t count = 0;
    for (unsigned i = 0; i < OTLP_SIGNALS; i++)
        if (proxy->exports.signals[i].is_open)
            figures[count++] = exporter_figures(&proxy->exports.signals[i].exporter);
    if (proxy->exports.metrics.metrics != NULL)
        figures[count++] = metrics_push_figures(&proxy->exports.metrics);
    return count;
}
