// Takes batches out of queues and hands them to the sender. See exporter.h.
#include "agent/exporter.h"

#include "base/check.h"
#include "base/log.h"

#include <stdlib.h>

// At the end of the process somebody may still add a record or two, and tells nobody.
#define HURRY_LOOK_NS (20 * NS_PER_MS)

static uint64_t waiting_in(const struct exporter *exporter) {
    uint64_t waiting = 0;
    for (uint32_t i = 0; i < exporter->queue_count; i++)
        waiting += export_queue_waiting(&exporter->queues[i]);
    return waiting;
}

// Records that are longer than usual fill a queue before they are a batch.
static bool is_short_of_room(const struct exporter *exporter) {
    for (uint32_t i = 0; i < exporter->queue_count; i++)
        if (export_queue_is_short_of_room(&exporter->queues[i]))
            return true;
    return false;
}

static void drop(struct exporter *exporter, enum export_drop reason, uint64_t records) {
    exporter->figures.dropped[reason] += records;
}

// ---- batches

// Records of all queues in turn, at `to`. Returns how many bytes.
static size_t take(struct exporter *exporter, char *to, size_t size, uint32_t most, uint32_t *records) {
    size_t taken = 0;
    CHECK(exporter->queue_count > 0);
    *records = 0;
    for (uint32_t i = 0; i < exporter->queue_count && *records < most && size - taken >= EXPORT_RECORD_MAX; i++) {
        uint32_t some;
        struct export_queue *queue = &exporter->queues[(exporter->turn + i) % exporter->queue_count];
        taken += export_queue_take(queue, most - *records, to + taken, size - taken, &some);
        *records += some;
    }
    exporter->turn = (exporter->turn + 1) % exporter->queue_count;
    return taken;
}

// As many bytes as the records of a batch may have.
static size_t size_of_batch(const struct exporter *exporter) {
    size_t waiting = EXPORT_RECORD_MAX;
    for (uint32_t i = 0; i < exporter->queue_count; i++)
        waiting += line_ring_waiting(&exporter->queues[i].ring);
    return waiting < OTLP_RECORDS_BYTES_MAX ? waiting : OTLP_RECORDS_BYTES_MAX;
}

static void drop_all(struct exporter *exporter, enum export_drop reason) {
    char *scratch = alloc_or_abort(EXPORT_RECORD_MAX);
    uint32_t records;
    while (waiting_in(exporter) > 0) {
        (void)take(exporter, scratch, EXPORT_RECORD_MAX, UINT32_MAX, &records);
        drop(exporter, reason, records);
    }
    free(scratch);
}

// What comes late is dropped too: workers hear later than this thread that nothing is sent any more.
static void drop_and_release(struct exporter *exporter) {
    drop_all(exporter, EXPORT_DROP_DISABLED);
    for (uint32_t i = 0; i < exporter->queue_count; i++)
        if (export_queue_is_free(&exporter->queues[i]) && export_queue_waiting(&exporter->queues[i]) == 0)
            export_queue_release(&exporter->queues[i]);
}

static void send_batch(struct exporter *exporter) {
    const size_t head = otlp_head_room(&exporter->origin);
    const size_t size = size_of_batch(exporter);
    uint32_t records;
    char *memory = try_alloc(head + size);
    if (memory == NULL)
        return; // it is tried again with the next look
    const size_t taken = take(exporter, memory + head, size, exporter->most, &records);
    CHECK(records > 0);
    const char *begin = otlp_head_write(&exporter->origin, taken, memory + head);
    otlp_sender_send(&exporter->sender, memory, bytes_from(begin, (size_t)(memory + head + taken - begin)), records);
    if (exporter->is_ending)
        otlp_sender_hurry(&exporter->sender, exporter->hurry_at);
}

static void look(struct task *task) {
    struct exporter *exporter = CONTAINER_OF(task, struct exporter, look);
    if (!exporter->is_on) {
        drop_and_release(exporter);
        return;
    }
    if (exporter->sender.state != OTLP_SENDER_IDLE)
        return; // its end looks again
    const uint64_t waiting = waiting_in(exporter);
    const bool is_due = exporter->is_due || exporter->is_ending || is_short_of_room(exporter);
    if (waiting >= exporter->most || (is_due && waiting > 0))
        send_batch(exporter);
    // What is left of a time that has come is sent behind it.
    exporter->is_due = exporter->is_due && waiting_in(exporter) > 0;
}

static void on_schedule(struct timer *timer) {
    struct exporter *exporter = CONTAINER_OF(timer, struct exporter, schedule);
    exporter->is_due = true;
    if (exporter->is_on)
        loop_timer_start(exporter->loop, &exporter->schedule, exporter->is_ending ? HURRY_LOOK_NS : exporter->batch.schedule_delay);
    exporter_look(exporter);
}

// ---- ends

static void done(void *user, const struct otlp_result *result) {
    struct exporter *exporter = user;
    otlp_figures_end(&exporter->figures, &exporter->telling, result, exporter->is_ending, exporter->loop->now);
    // Those that follow are likely as long, record for record.
    if (result->end == OTLP_END_TOO_LARGE && result->records > 1 && result->records / 2 < exporter->most)
        exporter->most = (uint32_t)(result->records / 2);
    exporter_look(exporter);
}

// ---- from outside

void exporter_init(struct exporter *exporter, struct loop *loop, enum otlp_signal signal, struct export_queue *queues, uint32_t queue_count,
                   struct otlp_carrier carrier) {
    static const char *const names[OTLP_SIGNALS] = {[OTLP_TRACES] = "traces", [OTLP_METRICS] = "metrics", [OTLP_LOGS] = "logs"};
    CHECK(queue_count > 0);
    *exporter = (struct exporter){.loop = loop, .queues = queues, .queue_count = queue_count, .figures = {.signal = names[signal]}};
    otlp_sender_init(&exporter->sender, loop, signal, carrier, done, exporter);
    timer_init(&exporter->schedule, on_schedule);
    task_init(&exporter->look, look);
}

// All queues together tell of a batch that is full. Of more records than one of them has room for none ever would be.
static void set_most(struct exporter *exporter, uint32_t max_batch) {
    const uint32_t room = exporter->queues[0].records_max;
    exporter->most = max_batch < room ? max_batch : room;
    for (uint32_t i = 0; i < exporter->queue_count; i++)
        export_queue_set_batch(&exporter->queues[i], (exporter->most + exporter->queue_count - 1) / exporter->queue_count);
}

void exporter_apply(struct exporter *exporter, const struct otlp_config *config, const struct otlp_origin *origin) {
    otlp_sender_lead(&exporter->sender, config);
    const bool is_new = !exporter->is_on || config == NULL || exporter->batch.schedule_delay != config->batch.schedule_delay;
    exporter->is_on = config != NULL;
    if (!exporter->is_on) {
        // Once more then, since workers hear of it later than this thread.
        otlp_sender_drop(&exporter->sender);
        exporter_look(exporter);
        return;
    }
    exporter->origin = *origin;
    if (exporter->batch.max_batch != config->batch.max_batch)
        set_most(exporter, config->batch.max_batch);
    exporter->batch = config->batch;
    if (is_new) // documents that are read again and again put nothing off
        loop_timer_start(exporter->loop, &exporter->schedule, config->batch.schedule_delay);
}

void exporter_look(struct exporter *exporter) {
    loop_wake(exporter->loop, &exporter->look);
}

void exporter_hurry(struct exporter *exporter, nanoseconds at) {
    exporter->is_ending = true;
    exporter->hurry_at = at;
    otlp_sender_hurry(&exporter->sender, at);
    loop_timer_stop(exporter->loop, &exporter->schedule);
    if (exporter->is_on)
        loop_timer_start(exporter->loop, &exporter->schedule, HURRY_LOOK_NS);
    exporter_look(exporter);
}

bool exporter_is_idle(const struct exporter *exporter) {
    return exporter->sender.state == OTLP_SENDER_IDLE && waiting_in(exporter) == 0;
}

void exporter_end(struct exporter *exporter) {
    exporter->is_ending = true;
    exporter->is_on = false;
    otlp_sender_end(&exporter->sender);
    drop_all(exporter, EXPORT_DROP_SHUTDOWN);
    loop_timer_stop(exporter->loop, &exporter->schedule);
    task_cancel(&exporter->look);
}

void exporter_dispose(struct exporter *exporter) {
    CHECK(exporter_is_idle(exporter));
    loop_timer_stop(exporter->loop, &exporter->schedule);
    task_cancel(&exporter->look);
    otlp_sender_dispose(&exporter->sender);
}

struct export_figures exporter_figures(const struct exporter *exporter) {
    struct export_figures figures = exporter->figures;
    for (uint32_t i = 0; i < exporter->queue_count; i++) {
        const struct export_queue *queue = &exporter->queues[i];
        const uint64_t full = metric_read(&queue->dropped);
        const uint64_t queued = metric_read(&queue->queued);
        figures.dropped[EXPORT_DROP_QUEUE_FULL] += full;
        figures.made += queued + full;
        figures.waiting += queued - atomic_load_explicit(&queue->taken, memory_order_relaxed);
        figures.capacity += queue->records_max;
    }
    figures.waiting += exporter->sender.records;
    figures.retries = exporter->sender.retries;
    return figures;
}
