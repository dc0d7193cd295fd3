// See gathering.h. A report belongs to its worker from the message that asks to the message that answers; only when the thread has ended without an answer is it taken back.
#include "app/gathering.h"

#include "app/figures.h"
#include "base/check.h"
#include "telemetry/series_registry.h"
#include "upstream/live_shared.h"

#include <stdlib.h>

// A worker whose mailbox is full is asked again after this time.
#define ASK_AGAIN_NS (10 * NS_PER_MS)

struct gathering {
    struct list link;
    struct proxy *proxy;
    struct admin_query *query;
    uint64_t number; // of series_registry.h
    struct worker_report reports[WORKERS_MAX];
    uint32_t asked; // the first so many workers
    uint32_t outstanding;
    struct timer again;
    struct task slices; // what is made of the reports, in turns of the loop
    bool is_merged, is_sliced;
};

static void start_next(struct proxy *proxy);

static void free_gathering(struct gathering *gathering) {
    loop_timer_stop(&gathering->proxy->loop, &gathering->again);
    task_cancel(&gathering->slices);
    for (uint32_t i = 0; i < gathering->proxy->worker_count; i++)
        worker_report_dispose(&gathering->reports[i]);
    list_remove(&gathering->link);
    free(gathering);
}

// Those before the oldest that is under way are over.
static void settle(const struct proxy *proxy) {
    struct series_registry *registry = live_shared_series(proxy->shared);
    const struct list *active = &proxy->gatherings.active;
    const bool is_none = list_is_empty(active);
    series_registry_gathered(registry,
                             is_none ? series_registry_gatherings(registry) : LIST_ENTRY(list_first(active), struct gathering, link)->number - 1);
}

static void merge(struct gathering *gathering) {
    if (!gathering->is_merged && admin_query_is_wanted(gathering->query))
        figures_merge_reports(gathering->proxy, gathering->reports, gathering->asked, gathering->query);
    gathering->is_merged = true;
}

// What the reports hold is shown before they are freed.
static void finish(struct gathering *gathering) {
    struct proxy *proxy = gathering->proxy;
    merge(gathering);
    while (!gathering->is_sliced && admin_query_slice(gathering->query))
        continue;
    figures_complete(proxy, gathering->query);
    free_gathering(gathering);
}

static void finish_active(struct gathering *gathering) {
    struct proxy *proxy = gathering->proxy;
    proxy->gatherings.active_count--;
    finish(gathering);
    settle(proxy);
    start_next(proxy);
}

static void on_slice(struct task *task) {
    struct gathering *gathering = CONTAINER_OF(task, struct gathering, slices);
    merge(gathering);
    gathering->is_sliced = !admin_query_slice(gathering->query);
    if (gathering->is_sliced)
        finish_active(gathering);
    else
        loop_wake(&gathering->proxy->loop, &gathering->slices);
}

static void on_report(void *receiver, void *argument) {
    struct worker_report *report = argument;
    struct gathering *gathering = report->owner;
    CHECK(receiver == gathering->proxy && gathering->outstanding > 0);
    if (--gathering->outstanding == 0 && gathering->asked == gathering->proxy->worker_count)
        loop_wake(&gathering->proxy->loop, &gathering->slices);
}

static void ask(struct gathering *gathering) {
    struct proxy *proxy = gathering->proxy;
    while (gathering->asked < proxy->worker_count) {
        if (worker_ask(&proxy->workers[gathering->asked], &gathering->reports[gathering->asked]) != OK) {
            loop_timer_start(&proxy->loop, &gathering->again, ASK_AGAIN_NS);
            return;
        }
        gathering->asked++;
        gathering->outstanding++;
    }
}

static void on_again(struct timer *timer) {
    ask(CONTAINER_OF(timer, struct gathering, again));
}

static void start_next(struct proxy *proxy) {
    struct gatherings *gatherings = &proxy->gatherings;
    while (!gatherings->closed && gatherings->active_count < GATHERINGS_ACTIVE_MAX && !list_is_empty(&gatherings->waiting)) {
        struct gathering *gathering = LIST_ENTRY(list_pop_front(&gatherings->waiting), struct gathering, link);
        if (!admin_query_is_wanted(gathering->query)) {
            finish(gathering); // nobody waits for it any more
            continue;
        }
        list_push_back(&gatherings->active, &gathering->link);
        gatherings->active_count++;
        gathering->number = series_registry_gather(live_shared_series(proxy->shared));
        live_shared_gone(proxy->shared, &gathering->query->figures.other_health); // before what is there: nothing is counted in both
        ask(gathering);
    }
}

void gatherings_init(struct gatherings *gatherings) {
    *gatherings = (struct gatherings){0};
    list_init(&gatherings->waiting);
    list_init(&gatherings->active);
}

void gathering_begin(struct proxy *proxy, struct admin_query *query) {
    struct gathering *gathering = alloc_zeroed_or_abort(1, sizeof *gathering);
    gathering->proxy = proxy;
    gathering->query = query;
    timer_init(&gathering->again, on_again);
    task_init(&gathering->slices, on_slice);
    for (uint32_t i = 0; i < proxy->worker_count; i++)
        worker_report_init(&gathering->reports[i], query->wants, i, &proxy->loop, on_report, gathering);
    gathering->reports[0].question = query->explanation.question; // what limits and policies remember is one for all workers
    list_init(&gathering->link);
    list_push_back(&proxy->gatherings.waiting, &gathering->link);
    if (proxy->gatherings.closed)
        finish(gathering); // nobody comes by any more to start it
    else
        start_next(proxy);
}

static void finish_all(struct list *gatherings) {
    while (!list_is_empty(gatherings))
        finish(LIST_ENTRY(list_first(gatherings), struct gathering, link));
}

void gatherings_close(struct proxy *proxy) {
    proxy->gatherings.closed = true;
    finish_all(&proxy->gatherings.waiting);
    LIST_EACH(&proxy->gatherings.active, node, following)
        loop_timer_stop(&proxy->loop, &LIST_ENTRY(node, struct gathering, link)->again);
}

void gatherings_end(struct proxy *proxy) {
    CHECK(proxy->gatherings.closed);
    // Reports that were sent are delivered: their messages must not outlive them.
    (void)mailbox_receive(&proxy->loop.mailbox, proxy);
    finish_all(&proxy->gatherings.active);
}
