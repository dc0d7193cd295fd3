// See worker.h. Functions above the line run on the worker's thread, those below on the main thread.
#include "app/worker.h"

#include "base/check.h"
#include "base/limits.h"
#include "base/log.h"
#include "net/tls_memory.h"
#include "stream/subrequest.h"

#include <stdlib.h>
#include <unistd.h>

#define GAUGES_EVERY_NS (NS_PER_S / 4)

// Messages that waited for a snapshot: some give a service other endpoints.
#define DELIVERED_PER_TURN 32

// Waits this long for connections to close and streams to end when the worker is stopped.
#define STOP_PATIENCE_NS (2 * NS_PER_S)

static uint64_t tasks_in(const struct list *list) {
    uint64_t length = 0;
    for (const struct list *node = list->next; node != list; node = node->next)
        length++;
    return length;
}

static void copy_gauges(struct worker *worker) {
    struct worker_metrics *metrics = &worker->metrics;
    struct loop *loop = &worker->loop;
    uint32_t waiting, waiting_peak;
    mailbox_read_use(&loop->mailbox, &waiting, &waiting_peak);
    metric_set(&metrics->blocks_used, loop->blocks.used);
    metric_set(&metrics->blocks_free, loop->blocks.free_count);
    metric_set(&metrics->blocks_peak, loop->blocks.used_peak);
    metric_set(&metrics->chunks_used, loop->pools.used);
    metric_set(&metrics->chunks_free, loop->pools.free_count);
    metric_set(&metrics->h2_bytes_used, h2_memory_bytes_used(worker->h2_memory));
    metric_set(&metrics->h2_bytes_free, h2_memory_bytes_kept(worker->h2_memory));
    metric_set(&metrics->tls_bytes_free, tls_memory_kept());
    metric_set(&metrics->windows_grown, h2_memory_windows_grown(worker->h2_memory));
    metric_set(&metrics->windows_refused, h2_memory_windows_refused(worker->h2_memory));
    metric_set(&metrics->wake_left, loop->turns_cut);
    metric_set(&metrics->wake_waiting, tasks_in(&loop->wake));
    metric_set(&metrics->mailbox_waiting, waiting);
    metric_set(&metrics->loop_turn_longest, turn_times_longest(&loop->turn_times, loop->now));
    loop_cells_set(&metrics->loop, &loop->turn_times);
}

static void note_open(struct worker *worker) {
    // What nobody waits for is not waited for.
    atomic_store_explicit(&worker->streams_open, worker->env.streams - worker->env.subrequest_count, memory_order_relaxed);
    atomic_store_explicit(&worker->inbound_open, downstream_inbound_count(&worker->downstream), memory_order_relaxed);
}

// Only while there is something that changes: an idle worker must not wake, unless it waits for memory that others use.
static void on_gauges(struct timer *timer) {
    struct worker *worker = CONTAINER_OF(timer, struct worker, gauges);
    copy_gauges(worker);
    note_open(worker);
    worker_memory_look(worker);
    bool quiet = worker->loop.turns <= worker->turns_seen + 1;
    worker->turns_seen = worker->loop.turns;
    if (quiet)
        worker_memory_rest(worker);
    const nanoseconds look_after = worker_memory_look_after(worker);
    if (!quiet || worker->env.draining || look_after != UINT64_MAX)
        loop_timer_start(&worker->loop, &worker->gauges, look_after < GAUGES_EVERY_NS ? look_after : GAUGES_EVERY_NS);
}

// --- snapshots ---

static bool waits_for_snapshot(const struct worker *worker) {
    return switchover_is_under_way(&worker->switchover) || worker->held.count > 0;
}

static void on_switched(void *user, struct bound_snapshot *bound) {
    struct worker *worker = user;
    if (worker->bound != NULL)
        bound_retire(worker->bound);
    worker->bound = bound;
    worker_memory_look(worker);
    metric_set(&worker->metrics.config_generation, bound->snapshot->generation);
    log_writer_apply(&worker->log, &bound->snapshot->proxy.telemetry);
    const struct audit_log_config *audit = &bound->snapshot->proxy.telemetry.audit_log;
    audit_writer_follow(&worker->audit, audit, audit->path.len > 0 ? worker->audits->lines : NULL);
}

static void on_settled(void *user) {
    struct worker *worker = user;
    if (worker->held.count > 0)
        loop_wake(&worker->loop, &worker->deliver);
}

static void deliver_held(struct task *task) {
    struct worker *worker = CONTAINER_OF(task, struct worker, deliver);
    for (uint32_t i = 0; i < DELIVERED_PER_TURN && worker->held.count > 0 && !switchover_is_under_way(&worker->switchover); i++)
        held_mail_deliver(&worker->held, worker);
    if (worker->held.count > 0 && !switchover_is_under_way(&worker->switchover))
        loop_wake(&worker->loop, task);
}

// All that is under way and held, at once.
static void catch_up(struct worker *worker) {
    switchover_finish(&worker->switchover);
    while (worker->held.count > 0) {
        held_mail_deliver(&worker->held, worker);
        switchover_finish(&worker->switchover);
    }
    task_cancel(&worker->deliver);
}

// What main says behind a snapshot may mean what only that one has.
static void hold(struct worker *worker, struct letter *letter) {
    held_mail_add(&worker->held, letter);
    if (worker->held.count < HELD_MAIL_MAX)
        return;
    metric_add(&worker->metrics.mailbox_full, 1);
    catch_up(worker);
}

static void take_letter(void *receiver, void *argument) {
    struct worker *worker = receiver;
    if (waits_for_snapshot(worker))
        hold(worker, argument);
    else
        letter_deliver(argument, worker);
}

static void begin_switchover(void *receiver, void *argument) {
    struct worker *worker = receiver;
    switchover_begin(&worker->switchover, argument);
}

// Takes the place of one that has not begun: nobody has use for that any more.
static void apply(void *receiver, void *argument) {
    struct worker *worker = receiver;
    struct letter *passed_over = held_mail_find(&worker->held, begin_switchover);
    if (passed_over == NULL) {
        take_letter(worker, letter_create(begin_switchover, argument));
        return;
    }
    chain_set_give_back(passed_over->argument);
    passed_over->argument = argument;
}

// --- other messages ---

static void set_credentials(void *receiver, void *argument) {
    struct worker *worker = receiver;
    struct credentials *credentials = argument;
    upstream_set_credentials(&worker->upstream, credentials);
    downstream_set_credentials(&worker->downstream, credentials);
    credentials_unref(credentials);
}

struct edge_change {
    struct bytes listener; // owned
    struct credentials *credentials;
};

static void set_edge(void *receiver, void *argument) {
    struct worker *worker = receiver;
    struct edge_change *change = argument;
    downstream_set_edge(&worker->downstream, change->listener, change->credentials);
    credentials_unref(change->credentials);
    bytes_drop(&change->listener);
    free(change);
}

struct authorities_change {
    struct bytes key; // owned
    struct credentials *credentials;
};

static struct authorities_change *authorities_change_of(struct bytes key, struct credentials *credentials) {
    struct authorities_change *change = alloc_zeroed_or_abort(1, sizeof *change);
    *change = (struct authorities_change){bytes_keep(key), credentials};
    return change;
}

static void free_authorities_change(struct authorities_change *change) {
    credentials_unref(change->credentials);
    bytes_drop(&change->key);
    free(change);
}

static void set_authorities(void *receiver, void *argument) {
    struct worker *worker = receiver;
    struct authorities_change *change = argument;
    upstream_set_authorities(&worker->upstream, change->key, change->credentials);
    free_authorities_change(change);
}

static void drop_authorities(void *receiver, void *argument) {
    struct worker *worker = receiver;
    struct authorities_change *change = argument;
    upstream_drop_authorities(&worker->upstream, change->key, change->credentials);
    free_authorities_change(change);
}

static void set_endpoints(void *receiver, void *argument) {
    struct worker *worker = receiver;
    upstream_set_endpoints(&worker->upstream, argument);
}

struct handover {
    struct bytes name; // owned
    int socket;
    struct socket_address address; // worker_accept: of the socket that it came to, without its text
};

static void free_handover(struct handover *handover) {
    bytes_drop(&handover->name);
    free(handover);
}

static void wake_gauges(struct worker *worker) {
    if (!timer_is_running(&worker->gauges))
        loop_timer_start(&worker->loop, &worker->gauges, GAUGES_EVERY_NS);
}

static void accept_here(void *receiver, void *argument) {
    struct worker *worker = receiver;
    struct handover *handover = argument;
    downstream_accept(&worker->downstream, handover->name, handover->socket);
    atomic_fetch_sub_explicit(&worker->handed_over, 1, memory_order_relaxed);
    wake_gauges(worker);
    free_handover(handover);
}

// A connection does not wait where its listener is there already, and at the address that it came to: documents may have given a name to another socket.
static void accept_in_order(void *receiver, void *argument) {
    struct worker *worker = receiver;
    const struct handover *handover = argument;
    if (waits_for_snapshot(worker) && !downstream_stands_at(&worker->downstream, handover->name, &handover->address))
        hold(worker, letter_create(accept_here, argument));
    else
        accept_here(worker, argument);
}

static void on_accepted(void *user, int socket) {
    struct {
        struct worker *worker;
        struct bytes name;
        struct tcp_listener *listener;
    } *place = user;
    downstream_accept(&place->worker->downstream, place->name, socket);
    wake_gauges(place->worker);
}

static void listen_here(void *receiver, void *argument) {
    struct worker *worker = receiver;
    struct handover *handover = argument;
    CHECK(worker->accepting_count < WORKER_LISTENERS_MAX);
    for (uint32_t i = 0; i < WORKER_LISTENERS_MAX; i++) {
        if (worker->accepting[i].listener != NULL)
            continue;
        worker->accepting[i].worker = worker;
        worker->accepting[i].name = handover->name;
        worker->accepting[i].listener = tcp_listener_open(&worker->loop, handover->socket, on_accepted, &worker->accepting[i]);
        tcp_listener_spare(worker->accepting[i].listener, LIMIT_SPARE_FROM_CLIENTS, &worker->metrics.downstream_refused_descriptors);
        worker->accepting_count++;
        break;
    }
    free(handover); // its name stays
}

static void take_waiting_here(void *receiver, void *argument) {
    struct worker *worker = receiver;
    struct handover *handover = argument;
    for (uint32_t i = 0; i < WORKER_LISTENERS_MAX; i++)
        if (worker->accepting[i].listener != NULL && bytes_equal(worker->accepting[i].name, handover->name))
            tcp_listener_take_waiting(worker->accepting[i].listener);
    free_handover(handover);
}

static void unlisten_here(void *receiver, void *argument) {
    struct worker *worker = receiver;
    struct handover *handover = argument;
    for (uint32_t i = 0; i < WORKER_LISTENERS_MAX; i++) {
        if (worker->accepting[i].listener == NULL || (handover->name.len > 0 && !bytes_equal(worker->accepting[i].name, handover->name)))
            continue;
        tcp_listener_close(worker->accepting[i].listener);
        worker->accepting[i].listener = NULL;
        worker->accepting_count--;
        bytes_drop(&worker->accepting[i].name);
    }
    atomic_fetch_add_explicit(&worker->closings, 1, memory_order_release);
    free_handover(handover);
}

// `argument`: not NULL where outbound connections are to go too.
static void drain(void *receiver, void *argument) {
    struct worker *worker = receiver;
    worker->env.draining = true;
    downstream_drain(&worker->downstream, argument != NULL);
    note_open(worker);
    atomic_fetch_add_explicit(&worker->drains, 1, memory_order_release);
    wake_gauges(worker);
}

static void begin_report(void *receiver, void *argument) {
    struct worker *worker = receiver;
    if (worker->stopping)
        return; // it is taken back once this thread has ended
    copy_gauges(worker);
    wake_gauges(worker); // traffic on connections that were there has woken nobody
    reports_add(&worker->reports, argument, worker->bound);
}

static void report_in_order(void *receiver, void *argument) {
    take_letter(receiver, letter_create(begin_report, argument));
}

static void attach_tap(void *receiver, void *argument) {
    struct worker *worker = receiver;
    tap_feed_attach(argument, &worker->env);
}

static void detach_tap(void *receiver, void *argument) {
    struct worker *worker = receiver;
    tap_feed_detach(argument, &worker->env);
}

static void publish(struct task *task) {
    struct worker *worker = CONTAINER_OF(task, struct worker, publish);
    for (unsigned i = 0; i < OTLP_SIGNALS; i++)
        if (worker->queues[i] != NULL)
            export_queue_publish(worker->queues[i]);
}

struct queue_change {
    enum otlp_signal signal;
    struct export_queue *queue;
};

static void set_export_queue(void *receiver, void *argument) {
    struct worker *worker = receiver;
    struct queue_change *change = argument;
    if (worker->queues[change->signal] != NULL)
        export_queue_let_go(worker->queues[change->signal]);
    worker->queues[change->signal] = change->queue;
    worker->env.spans = worker->queues[OTLP_TRACES];
    worker->env.log_records = worker->queues[OTLP_LOGS];
    free(change);
}

static void run_export(void *receiver, void *argument) {
    struct worker *worker = receiver;
    struct export_call *call = argument;
    export_call_run(call, &worker->env, worker->bound, &worker->exports[call->signal]);
}

// What is under way is what was meant: it comes in order, behind that one and before any other.
static void cancel_export(void *receiver, void *argument) {
    (void)receiver;
    struct export_call *const *call = argument;
    if (*call != NULL)
        export_call_cancel(*call);
}

static void stop(void *receiver, void *argument) {
    struct worker *worker = receiver;
    (void)argument;
    worker->stopping = true;
    uv_stop(&worker->loop.uv);
}

// Ends what is left, in the order that keeps every reference valid: streams, their connections, clusters.
static void tear_down(struct worker *worker) {
    struct loop *loop = &worker->loop;
    catch_up(worker); // each message ends what it brought
    struct handover *all = alloc_zeroed_or_abort(1, sizeof *all);
    unlisten_here(worker, all);
    loop->look = NULL; // whoever still reads waits for no room, and nobody is asked about documents that go
    memory_room_set(&loop->room, MEMORY_ROOM_ENDLESS);
    loop_timer_stop(loop, &worker->gauges);
    reports_drop(&worker->reports);
    while (worker->env.taps != NULL)
        tap_feed_detach(worker->env.taps, &worker->env);
    downstream_close_all(&worker->downstream);
    subrequests_cancel_all(&worker->env);
    nanoseconds deadline = clock_monotonic_ns() + STOP_PATIENCE_NS;
    while ((worker->env.streams > 0 || atomic_load(&worker->downstream.connections) > 0) && clock_monotonic_ns() < deadline)
        uv_run(&loop->uv, UV_RUN_NOWAIT);
    if (worker->bound != NULL)
        downstream_dispose(&worker->downstream);
    if (worker->bound != NULL)
        bound_unpin(worker->bound);
    upstream_close_all(&worker->upstream);
    while (worker->upstream.connections > 0 && clock_monotonic_ns() < deadline)
        uv_run(&loop->uv, UV_RUN_NOWAIT);
    task_cancel(&worker->publish);
    publish(&worker->publish);
    log_writer_dispose(&worker->log);
    audit_writer_dispose(&worker->audit);
    loop_dispose(loop);
    upstream_dispose(&worker->upstream);
    h2_memory_destroy(worker->h2_memory);
}

static void *run(void *argument) {
    struct worker *worker = argument;
    while (!worker->stopping)
        loop_run(&worker->loop);
    tear_down(worker);
    return NULL;
}

// --- the main thread ---

static void post(struct worker *worker, void (*deliver)(void *receiver, void *argument), void *argument) {
    // A full mailbox means that the worker is far behind: the main thread has nothing better to do than to wait for it.
    while (loop_send(&worker->loop, deliver, argument) != OK) {
        metric_add(&worker->metrics.mailbox_full, 1);
        sched_yield();
    }
}

static void post_in_order(struct worker *worker, void (*deliver)(void *receiver, void *argument), void *argument) {
    post(worker, take_letter, letter_create(deliver, argument));
}

void worker_start(struct worker *worker, uint32_t number, const struct worker_commons *commons) {
    struct live_shared *shared = commons->live;
    *worker = (struct worker){.number = number, .memory = {.budget = commons->memory}};
    loop_init(&worker->loop, worker);
    worker->loop.look = worker_memory_look_again;
    worker->h2_memory = h2_memory_create(&worker->loop.now);
    upstream_init(&worker->upstream, &worker->loop, &worker->metrics, shared, worker->h2_memory);
    worker->upstream.policies = commons->policies;
    log_writer_init(&worker->log, &worker->loop, &worker->metrics, commons->log_lines, number);
    log_writer_send_by(&worker->log, &worker->queues[OTLP_LOGS], &worker->publish);
    const struct audit_losses losses = {&worker->metrics.audit_dropped, &worker->metrics.audit_nowhere, &worker->metrics.audit_rate};
    audit_writer_init(&worker->audit, &worker->loop, losses, number, &worker->queues[OTLP_LOGS]);
    worker->audits = commons->audit;
    worker->env = (struct stream_env){
        .loop = &worker->loop,
        .upstream = &worker->upstream,
        .metrics = &worker->metrics,
        .log = log_writer_write,
        .log_user = &worker->log,
        .audit = audit_writer_add_request,
        .audit_connection = audit_writer_add_connection,
        .audit_user = &worker->audit,
        .publish = &worker->publish,
        .pulse = &worker->gauges,
        .pulse_interval = GAUGES_EVERY_NS,
        .unanswered_max = UINT32_MAX,
    };
    list_init(&worker->env.subrequests);
    list_init(&worker->env.unanswered);
    downstream_init(&worker->downstream, &worker->env, worker->h2_memory);
    switchover_init(&worker->switchover, &worker->downstream, on_switched, on_settled, worker);
    held_mail_init(&worker->held);
    task_init(&worker->deliver, deliver_held);
    task_init(&worker->publish, publish);
    timer_init(&worker->gauges, on_gauges);
    reports_init(&worker->reports, &worker->downstream, &worker->env);
    int failed = pthread_create(&worker->thread, NULL, run, worker);
    CHECK(failed == 0);
}

static struct handover *handover_of(struct bytes name, int socket) {
    struct handover *handover = alloc_zeroed_or_abort(1, sizeof *handover);
    handover->name = bytes_keep(name);
    handover->socket = socket;
    return handover;
}

void worker_apply(struct worker *worker, struct chain_set *chains) {
    post(worker, apply, chains);
}

void worker_set_credentials(struct worker *worker, struct credentials *credentials) {
    post(worker, set_credentials, credentials);
}

void worker_set_edge(struct worker *worker, struct bytes listener, struct credentials *credentials) {
    struct edge_change *change = alloc_zeroed_or_abort(1, sizeof *change);
    *change = (struct edge_change){bytes_keep(listener), credentials};
    post_in_order(worker, set_edge, change);
}

void worker_set_authorities(struct worker *worker, struct bytes key, struct credentials *credentials) {
    post(worker, set_authorities, authorities_change_of(key, credentials)); // never too early
}

void worker_drop_authorities(struct worker *worker, struct bytes key, struct credentials *credentials) {
    post_in_order(worker, drop_authorities, authorities_change_of(key, credentials));
}

void worker_set_endpoints(struct worker *worker, struct endpoint_set *set) {
    post_in_order(worker, set_endpoints, set);
}

void worker_listen(struct worker *worker, struct bytes name, int socket) {
    post_in_order(worker, listen_here, handover_of(name, socket));
}

void worker_take_waiting(struct worker *worker, struct bytes name) {
    post_in_order(worker, take_waiting_here, handover_of(name, -1));
}

void worker_unlisten(struct worker *worker, struct bytes name) {
    post_in_order(worker, unlisten_here, handover_of(name, -1));
}

void worker_accept(struct worker *worker, struct bytes name, const struct socket_address *address, int socket) {
    struct handover *handover = handover_of(name, socket);
    handover->address = *address;
    handover->address.text = BYTES_NONE; // the documents'
    atomic_fetch_add_explicit(&worker->handed_over, 1, memory_order_relaxed);
    post(worker, accept_in_order, handover);
}

uint32_t worker_load(const struct worker *worker) {
    return atomic_load_explicit(&worker->downstream.connections, memory_order_relaxed) +
           atomic_load_explicit(&worker->handed_over, memory_order_relaxed);
}

void worker_drain(struct worker *worker, bool outbound_too) {
    post_in_order(worker, drain, outbound_too ? worker : NULL);
}

enum error worker_ask(struct worker *worker, struct worker_report *report) {
    return loop_send(&worker->loop, report_in_order, report);
}

void worker_attach_tap(struct worker *worker, struct tap_feed *feed) {
    post(worker, attach_tap, feed);
}

void worker_detach_tap(struct worker *worker, struct tap_feed *feed) {
    post(worker, detach_tap, feed);
}

void worker_set_export_queue(struct worker *worker, enum otlp_signal signal, struct export_queue *queue) {
    struct queue_change *change = alloc_zeroed_or_abort(1, sizeof *change);
    *change = (struct queue_change){signal, queue};
    if (signal == OTLP_LOGS)
        post(worker, set_export_queue, change); // never too early
    else
        post_in_order(worker, set_export_queue, change);
}

void worker_export(struct worker *worker, struct export_call *call) {
    post_in_order(worker, run_export, call);
}

void worker_cancel_export(struct worker *worker, enum otlp_signal signal) {
    post_in_order(worker, cancel_export, &worker->exports[signal]);
}

void worker_stop(struct worker *worker) {
    post(worker, stop, NULL);
    pthread_join(worker->thread, NULL);
}
