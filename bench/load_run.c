// See load_run.h. One epoll loop; a turn first does what time asks for, then what came.
#include "bench/load_run.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

#define EVENTS_PER_TURN 256
#define ERRORS_MAX 1000 // a run with that many has failed; going on would only spin

enum load_phase { PHASE_OPENING, PHASE_WARMUP, PHASE_COUNTED, PHASE_OVER };

struct load_run {
    const struct load_plan *plan;
    struct load_result *result;
    struct cpu_watch *watch;
    struct load_conn *conns;
    struct load_conn **free_conns; // Open: a stack of those without a request
    size_t free_count;
    enum load_phase phase;
    size_t ready;             // connections that have been up once
    size_t opened, satisfied; // Idle
    uint64_t phase_ends_ns, counted_since_ns;
    uint64_t rate_since_ns, sent; // Open: request i is meant for rate_since_ns + i / rate
    bool settling, holding;       // Idle: all are idle; and have been for long enough
};

static volatile sig_atomic_t told_to_stop;

static void on_stop_signal(int number) {
    (void)number;
    told_to_stop = 1;
}

// SIGTERM is let through only while the loop waits, so that it is never missed between the look at the flag and the wait. Gives the mask to wait with.
static sigset_t stop_signal_catch(void) {
    struct sigaction action = {.sa_handler = on_stop_signal};
    sigaction(SIGTERM, &action, NULL);
    sigset_t blocked, before;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    sigprocmask(SIG_BLOCK, &blocked, &before);
    sigdelset(&before, SIGTERM);
    return before;
}

static void note_error(struct load_run *run, const char *why) {
    if (run->result->errors++ == 0)
        run->result->first_error = why;
    if (run->result->errors >= ERRORS_MAX)
        run->phase = PHASE_OVER;
}

static void request_send(struct load_conn *conn, uint64_t started_ns) {
    conn->started_ns = started_ns;
    load_conn_send(conn);
}

static uint64_t open_due_ns(const struct load_run *run) {
    return run->rate_since_ns + (uint64_t)((double)run->sent * 1e9 / run->plan->rate_per_second);
}

// Open: sends every request whose time has come while there is a free connection.
static void open_send_due(struct load_run *run, uint64_t now_ns) {
    while (run->free_count > 0 && open_due_ns(run) <= now_ns) {
        uint64_t due_ns = open_due_ns(run);
        run->sent++;
        request_send(run->free_conns[--run->free_count], due_ns);
    }
}

static void conn_reopen(struct load_conn *conn) {
    conn->started_ns = load_now_ns();
    load_conn_open(conn);
}

static void idle_open_more(struct load_run *run) {
    while (run->opened < run->plan->connections && run->opened - run->satisfied < run->plan->opening_at_once)
        conn_reopen(&run->conns[run->opened++]);
}

static void on_ready(struct load_conn *conn, void *owner) {
    struct load_run *run = owner;
    run->ready++;
    switch (run->plan->mode) {
    case LOAD_MODE_OPEN:
        run->free_conns[run->free_count++] = conn;
        break;
    case LOAD_MODE_FRESH:
        load_conn_send(conn);
        break;
    case LOAD_MODE_CLOSED:
    case LOAD_MODE_IDLE:
        request_send(conn, load_now_ns());
        break;
    }
}

static void answer_count(struct load_run *run, const struct load_conn *conn, uint64_t now_ns) {
    if (run->phase != PHASE_COUNTED)
        return;
    histogram_record(&run->result->latency, now_ns - conn->started_ns);
    if (run->plan->mode == LOAD_MODE_FRESH && load_conn_resumed(conn))
        run->result->resumed++;
    if (++run->result->requests >= run->plan->requests && run->plan->mode != LOAD_MODE_IDLE)
        run->phase = PHASE_OVER;
}

static void on_answered(struct load_conn *conn, int status, void *owner) {
    struct load_run *run = owner;
    uint64_t now_ns = load_now_ns();
    if (status != run->plan->status_expected)
        note_error(run, "another status than was expected");
    else
        answer_count(run, conn, now_ns);
    if (run->phase == PHASE_OVER)
        return;
    switch (run->plan->mode) {
    case LOAD_MODE_CLOSED:
        request_send(conn, now_ns);
        break;
    case LOAD_MODE_OPEN:
        run->free_conns[run->free_count++] = conn;
        open_send_due(run, now_ns);
        break;
    case LOAD_MODE_FRESH:
        load_conn_close(conn);
        conn_reopen(conn);
        break;
    case LOAD_MODE_IDLE:
        if (++conn->requests < run->plan->requests) {
            request_send(conn, now_ns);
        } else {
            run->satisfied++;
            idle_open_more(run);
        }
        break;
    }
}

static void free_conns_remove(struct load_run *run, const struct load_conn *conn) {
    for (size_t i = 0; i < run->free_count; i++) {
        if (run->free_conns[i] == conn) {
            run->free_conns[i] = run->free_conns[--run->free_count];
            return;
        }
    }
}

static void on_failed(struct load_conn *conn, const char *why, void *owner) {
    struct load_run *run = owner;
    if (run->plan->mode == LOAD_MODE_IDLE && conn->requests >= run->plan->requests) {
        run->result->lost++;
        return;
    }
    free_conns_remove(run, conn);
    note_error(run, why);
    if (run->phase != PHASE_OVER)
        conn_reopen(conn);
}

static void phase_advance(struct load_run *run, uint64_t now_ns) {
    bool all_up = run->ready >= run->plan->connections || run->plan->mode == LOAD_MODE_FRESH || run->plan->mode == LOAD_MODE_IDLE;
    if (run->phase == PHASE_OPENING && all_up) {
        run->phase = PHASE_WARMUP;
        run->phase_ends_ns = now_ns + run->plan->warmup_ns;
        run->rate_since_ns = now_ns;
        run->sent = 0;
    }
    if (run->phase == PHASE_WARMUP && now_ns >= run->phase_ends_ns) {
        run->phase = PHASE_COUNTED;
        histogram_reset(&run->result->latency);
        cpu_watch_begin(run->watch);
        run->counted_since_ns = load_now_ns();
        run->phase_ends_ns = run->counted_since_ns + run->plan->duration_ns;
    }
    if (run->phase == PHASE_COUNTED && now_ns >= run->phase_ends_ns)
        run->phase = PHASE_OVER;
    if (run->phase == PHASE_OPENING && now_ns >= run->phase_ends_ns) {
        note_error(run, "the connections did not come up in time");
        run->phase = PHASE_OVER;
    }
}

// Idle: says so when every connection has had its requests and all have been idle for a while. The reader of standard output may then measure.
static void idle_hold(struct load_run *run, uint64_t now_ns) {
    if (run->holding || run->satisfied < run->plan->connections)
        return;
    if (!run->settling) {
        run->settling = true;
        run->phase_ends_ns = now_ns + run->plan->settle_ns;
    }
    if (now_ns < run->phase_ends_ns)
        return;
    run->holding = true;
    run->phase_ends_ns = UINT64_MAX;
    printf("{\"held\": %zu}\n", run->satisfied);
    fflush(stdout);
}

static struct timespec turn_timeout(const struct load_run *run, uint64_t now_ns) {
    uint64_t until_ns = run->phase_ends_ns;
    // While all connections are busy nothing can be sent: the next answer wakes the loop.
    if (run->plan->mode == LOAD_MODE_OPEN && run->free_count > 0 && run->phase != PHASE_OPENING && open_due_ns(run) < until_ns)
        until_ns = open_due_ns(run);
    uint64_t left_ns = until_ns > now_ns ? until_ns - now_ns : 0;
    left_ns = left_ns < 1000000000 ? left_ns : 1000000000;
    return (struct timespec){.tv_sec = (time_t)(left_ns / 1000000000), .tv_nsec = (long)(left_ns % 1000000000)};
}

static void run_loop(struct load_run *run, int epoll_fd) {
    struct epoll_event events[EVENTS_PER_TURN];
    sigset_t waiting_mask = stop_signal_catch();
    while (run->phase != PHASE_OVER && !told_to_stop) {
        uint64_t now_ns = load_now_ns();
        if (!run->settling)
            phase_advance(run, now_ns);
        if (run->plan->mode == LOAD_MODE_OPEN && run->phase != PHASE_OPENING)
            open_send_due(run, now_ns);
        if (run->plan->mode == LOAD_MODE_IDLE)
            idle_hold(run, now_ns);
        struct timespec timeout = turn_timeout(run, load_now_ns());
        int count = epoll_pwait2(epoll_fd, events, EVENTS_PER_TURN, &timeout, &waiting_mask);
        for (int i = 0; i < count && run->phase != PHASE_OVER; i++)
            load_conn_on_poll(events[i].data.ptr, events[i].events);
    }
}

void load_run(const struct load_plan *plan, struct load_target *target, struct cpu_watch *watch, struct load_result *result) {
    *result = (struct load_result){0};
    struct load_run run = {.plan = plan, .result = result, .watch = watch, .phase = PHASE_OPENING};
    run.phase_ends_ns = load_now_ns() + plan->duration_ns + 10000000000; // to bring all connections up
    run.conns = calloc(plan->connections, sizeof *run.conns);
    run.free_conns = calloc(plan->connections, sizeof *run.free_conns);
    if (run.conns == NULL || run.free_conns == NULL) {
        perror("calloc");
        exit(1);
    }
    struct load_events events = {.ready = on_ready, .answered = on_answered, .failed = on_failed, .owner = &run};
    for (size_t i = 0; i < plan->connections; i++)
        load_conn_init(&run.conns[i], target, &events);
    if (plan->mode == LOAD_MODE_IDLE) {
        idle_open_more(&run);
    } else {
        for (size_t i = 0; i < plan->connections; i++)
            conn_reopen(&run.conns[i]);
    }
    run_loop(&run, target->epoll_fd);
    result->duration_ns = run.counted_since_ns > 0 ? load_now_ns() - run.counted_since_ns : 0;
    if (run.counted_since_ns > 0)
        cpu_watch_end(watch);
    for (size_t i = 0; i < plan->connections; i++)
        load_conn_close(&run.conns[i]);
    free(run.free_conns);
    free(run.conns);
}
