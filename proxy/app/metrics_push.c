// See metrics_push.h. Figures are asked for as a page asks for them.
#include "app/metrics_push.h"

#include "admin/pages.h"
#include "app/figures.h"
#include "base/check.h"

#include <stdlib.h>

static void set_state(struct metrics_push *push, enum metrics_push_state state) {
    static const bool legal[3][3] = {
        [METRICS_PUSH_RESTS] = {[METRICS_PUSH_GATHERS] = true},
        [METRICS_PUSH_GATHERS] = {[METRICS_PUSH_RESTS] = true, [METRICS_PUSH_SENDS] = true},
        [METRICS_PUSH_SENDS] = {[METRICS_PUSH_RESTS] = true},
    };
    CHECK(legal[push->state][state]);
    push->state = state;
}

void metrics_push_init(struct metrics_push *push, struct proxy *proxy) {
    *push = (struct metrics_push){.proxy = proxy, .started = clock_wall_ns(), .figures = {.signal = "metrics"}};
}

// ---- sending

static void gather(struct metrics_push *push);

static void drop_rest(struct metrics_push *push, enum export_drop reason) {
    push->figures.dropped[push->is_ending ? EXPORT_DROP_SHUTDOWN : reason] += otlp_metrics_left(push->metrics);
    otlp_metrics_drop(push->metrics);
}

// False: there is no memory for it.
static bool send_records(struct metrics_push *push, struct bytes records, uint64_t points) {
    const size_t head = otlp_head_room(push->origin);
    char *memory = try_alloc(head + records.len);
    if (memory == NULL) {
        push->figures.dropped[EXPORT_DROP_MEMORY] += points;
        otlp_metrics_settle(push->metrics, false);
        return false;
    }
    memcpy(memory + head, records.at, records.len);
    const char *begin = otlp_head_write(push->origin, records.len, memory + head);
    otlp_sender_send(&push->sender, memory, bytes_from(begin, (size_t)(memory + head + records.len - begin)), points);
    if (push->give_up_at > 0)
        otlp_sender_hurry(&push->sender, push->give_up_at);
    if (push->is_ending)
        otlp_sender_hurry(&push->sender, push->hurry_at);
    return true;
}

// Workers that have stopped cannot be asked once more: nobody would answer.
static void rest(struct metrics_push *push) {
    set_state(push, METRICS_PUSH_RESTS);
    if (!push->is_once_more)
        return;
    push->is_once_more = false;
    if (push->is_on && !push->proxy->gatherings.closed)
        gather(push);
}

static void send_next(struct metrics_push *push) {
    struct bytes records;
    uint64_t points;
    if (!push->is_on)
        drop_rest(push, EXPORT_DROP_DISABLED);
    while (otlp_metrics_next(push->metrics, &records, &points))
        if (send_records(push, records, points))
            return;
    rest(push);
}

// All of a push has one time: when a piece has used it up there is none for the others.
static void done(void *user, const struct otlp_result *result) {
    struct metrics_push *push = user;
    otlp_figures_end(&push->figures, &push->telling, result, push->is_ending, push->proxy->loop.now);
    if (push->give_up_at == 0 && push->sender.tries > 0)
        push->give_up_at = push->sender.give_up_at;
    otlp_metrics_settle(push->metrics, result->end == OTLP_END_EXPORTED);
    if (result->end == OTLP_END_TIMEOUT)
        drop_rest(push, EXPORT_DROP_TIMEOUT);
    send_next(push);
}

// ---- figures

struct writing {
    struct exposition exposition;
    struct series_writing rows;
};

// Once it is begun it is ended, whatever documents say meanwhile.
static bool write_slice(struct admin_query *query) {
    struct metrics_push *push = query->owner;
    struct writing *writing = query->slice_state;
    if (writing == NULL) {
        if (!push->is_on || push->proxy->gatherings.closed) // else some workers were not asked
            return false;
        writing = query->slice_state = pool_alloc_zeroed(&query->pool, sizeof *writing);
        otlp_metrics_begin(push->metrics, &writing->exposition, &push->form, push->asked, clock_wall_ns());
    }
    return series_rows_expose(&writing->exposition, &query->figures.series, &writing->rows, METRICS_ROWS_PER_SLICE);
}

static void on_figures(struct admin_query *query) {
    struct metrics_push *push = query->owner;
    struct writing *writing = query->slice_state;
    if (writing != NULL) {
        metrics_expose(&writing->exposition, &query->figures);
        exposition_end(&writing->exposition);
        push->figures.made += otlp_metrics_left(push->metrics);
        push->give_up_at = 0;
        set_state(push, METRICS_PUSH_SENDS);
        send_next(push);
    } else {
        rest(push);
    }
    pool_dispose(&query->pool);
    free(query);
}

static void gather(struct metrics_push *push) {
    struct admin_query *query = alloc_zeroed_or_abort(1, sizeof *query);
    query->wants = ADMIN_WANT_COUNTERS | ADMIN_WANT_LIMITS | ADMIN_WANT_IDENTITY | ADMIN_WANT_CONFIG;
    query->slice = write_slice;
    query->done = on_figures;
    query->owner = push;
    pool_init(&query->pool, &push->proxy->loop.pools);
    push->asked = clock_wall_ns();
    set_state(push, METRICS_PUSH_GATHERS);
    proxy_admin_source.collect(push->proxy, query);
}

static void on_timer(struct timer *timer) {
    struct metrics_push *push = CONTAINER_OF(timer, struct metrics_push, timer);
    loop_timer_start(&push->proxy->loop, &push->timer, push->interval);
    if (push->state == METRICS_PUSH_RESTS)
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
        if (push->state == METRICS_PUSH_SENDS)
            drop_rest(push, EXPORT_DROP_DISABLED);
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
    return push->state == METRICS_PUSH_RESTS;
}

struct export_figures metrics_push_figures(const struct metrics_push *push) {
    struct export_figures figures = push->figures;
    figures.waiting = push->state == METRICS_PUSH_SENDS ? push->sender.records + otlp_metrics_left(push->metrics) : 0;
    figures.retries = push->sender.retries;
    return figures;
}

void metrics_push_hurry(struct metrics_push *push, nanoseconds at) {
    if (!push->is_on)
        return;
    push->is_ending = true;
    push->hurry_at = at;
    loop_timer_stop(&push->proxy->loop, &push->timer);
    otlp_sender_hurry(&push->sender, at);
    push->is_once_more = push->state != METRICS_PUSH_RESTS; // what is under way was counted, or asked for, before the last streams ended
    if (push->state == METRICS_PUSH_RESTS)
        gather(push);
}

void metrics_push_end(struct metrics_push *push) {
    if (push->metrics == NULL)
        return;
    CHECK(push->state != METRICS_PUSH_GATHERS);
    push->is_ending = true;
    push->is_on = push->is_once_more = false;
    loop_timer_stop(&push->proxy->loop, &push->timer);
    drop_rest(push, EXPORT_DROP_SHUTDOWN);
    export_carrier_end(&push->carrier);
    otlp_sender_end(&push->sender);
    CHECK(push->state == METRICS_PUSH_RESTS);
    otlp_sender_dispose(&push->sender);
    otlp_metrics_destroy(push->metrics);
    push->metrics = NULL;
    otlp_figures_tell_end(&push->figures);
}
