// See metrics_push.h. Figures are asked for as a page asks for them.
#include "app/metrics_push.h"

#include "admin/pages.h"
#include "app/figures.h"
#include "base/check.h"

#include <stdlib.h>

void metrics_push_init(struct metrics_push *push, struct proxy *proxy) {
    *push = (struct metrics_push){.proxy = proxy, .started = clock_wall_ns(), .figures = {.signal = "metrics"}};
}

// ---- sending

// False: there is no memory for it.
static bool send_records(struct metrics_push *push, struct bytes records, uint64_t points) {
    const size_t head = otlp_head_room(push->origin);
    char *memory = try_alloc(head + records.len);
    if (memory == NULL) {
        push->figures.dropped[EXPORT_DROP_MEMORY] += points;
        return false;
    }
    memcpy(memory + head, records.at, records.len);
    const char *begin = otlp_head_write(push->origin, records.len, memory + head);
    otlp_sender_send(&push->sender, memory, bytes_from(begin, (size_t)(memory + head + records.len - begin)), points);
    if (push->hurry_at > 0)
        otlp_sender_hurry(&push->sender, push->hurry_at);
    return true;
}

static void send_next(struct metrics_push *push) {
    struct bytes records;
    uint64_t points;
    while (push->is_on && otlp_metrics_next(push->metrics, OTLP_RECORDS_BYTES_MAX, &records, &points)) {
        push->figures.made += points;
        if (send_records(push, records, points))
            return;
    }
}

static void gather(struct metrics_push *push);

static void done(void *user, const struct otlp_result *result) {
    struct metrics_push *push = user;
    otlp_figures_end(&push->figures, &push->telling, result, push->hurry_at > 0, push->proxy->loop.now);
    send_next(push);
    if (push->is_once_more && push->sender.state == OTLP_SENDER_IDLE) {
        push->is_once_more = false;
        gather(push);
    }
}

// ---- figures

static void on_figures(struct admin_query *query) {
    struct metrics_push *push = query->owner;
    struct exposition exposition;
    push->is_gathering = false;
    if (push->is_on && !push->proxy->gatherings.closed) { // else some workers were not asked
        otlp_metrics_begin(push->metrics, &exposition, &push->form, clock_wall_ns());
        metrics_expose(&exposition, &query->figures);
        exposition_end(&exposition);
        send_next(push);
    }
    pool_dispose(&query->pool);
    free(query);
}

static void gather(struct metrics_push *push) {
    struct admin_query *query = alloc_zeroed_or_abort(1, sizeof *query);
    query->wants = ADMIN_WANT_COUNTERS | ADMIN_WANT_LIMITS | ADMIN_WANT_IDENTITY | ADMIN_WANT_CONFIG;
    query->done = on_figures;
    query->owner = push;
    pool_init(&query->pool, &push->proxy->loop.pools);
    push->is_gathering = true;
    proxy_admin_source.collect(push->proxy, query);
}

static void on_timer(struct timer *timer) {
    struct metrics_push *push = CONTAINER_OF(timer, struct metrics_push, timer);
    loop_timer_start(&push->proxy->loop, &push->timer, push->interval);
    if (metrics_push_is_idle(push))
        gather(push);
}

// ---- from outside

static void open_push(struct metrics_push *push) {
    push->metrics = otlp_metrics_create(push->started);
    otlp_sender_init(&push->sender, &push->proxy->loop, OTLP_METRICS, export_carrier_ops(&push->carrier), done, push);
    export_carrier_init(&push->carrier, push->proxy, &push->sender, push->figures.signal);
    timer_init(&push->timer, on_timer);
}

void metrics_push_follow(struct metrics_push *push, const struct telemetry_config *config, const struct otlp_origin *origin) {
    const struct otlp_config *otlp = &config->otlp[OTLP_METRICS];
    const bool was_on = push->is_on;
    push->is_on = otlp->url != NULL;
    if (push->is_on && push->metrics == NULL)
        open_push(push);
    if (push->metrics == NULL)
        return;
    otlp_sender_lead(&push->sender, push->is_on ? otlp : NULL);
    if (!push->is_on) {
        loop_timer_stop(&push->proxy->loop, &push->timer);
        otlp_sender_drop(&push->sender);
        return;
    }
    const bool is_new = !was_on || push->interval != config->metrics.interval; // documents that are read again and again put nothing off
    push->origin = origin;
    push->interval = config->metrics.interval;
    push->form = (struct otlp_metrics_terms){.is_delta = config->metrics.temporality == METRICS_DELTA,
                                             .is_exponential = config->metrics.histograms == METRICS_EXPONENTIAL};
    if (is_new)
        loop_timer_start(&push->proxy->loop, &push->timer, push->interval);
}

bool metrics_push_is_idle(const struct metrics_push *push) {
    return push->metrics == NULL || (!push->is_gathering && push->sender.state == OTLP_SENDER_IDLE);
}

struct export_figures metrics_push_figures(const struct metrics_push *push) {
    struct export_figures figures = push->figures;
    figures.waiting = push->sender.state == OTLP_SENDER_IDLE ? 0 : push->sender.records;
    return figures;
}

void metrics_push_hurry(struct metrics_push *push, nanoseconds at) {
    if (!push->is_on)
        return;
    push->hurry_at = at;
    loop_timer_stop(&push->proxy->loop, &push->timer);
    otlp_sender_hurry(&push->sender, at);
    if (metrics_push_is_idle(push))
        gather(push);
    else
        push->is_once_more = !push->is_gathering; // what is under way was counted up to an interval ago
}

void metrics_push_end(struct metrics_push *push) {
    if (push->metrics == NULL)
        return;
    CHECK(!push->is_gathering);
    push->is_on = push->is_once_more = false;
    loop_timer_stop(&push->proxy->loop, &push->timer);
    export_carrier_end(&push->carrier);
    push->hurry_at = 1; // what is dropped now is so since the process ends
    otlp_sender_end(&push->sender);
    otlp_sender_dispose(&push->sender);
    otlp_metrics_destroy(push->metrics);
    push->metrics = NULL;
    otlp_figures_tell_end(&push->figures);
}
