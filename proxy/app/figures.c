// What the admin pages show: collects the figures of documents, workers and identity. The implementation of struct admin_source, with commands.c.
#include "app/figures.h"

#include "admin/explain_query.h"
#include "admin/tap_query.h"
#include "telemetry/process_metrics.h"

#define OF_WORKERS \
    (ADMIN_WANT_COUNTERS | ADMIN_WANT_SERVICES | ADMIN_WANT_LIMITS | ADMIN_WANT_CONNECTIONS | ADMIN_WANT_MEMORY | ADMIN_WANT_EXPLANATION)

static void fill_state(const struct proxy *proxy, struct admin_figures *figures) {
    static const struct bytes names[] = {
        [PROXY_STARTING] = BYTES("starting"),
        [PROXY_READY] = BYTES("ready"),
        [PROXY_DRAINING] = BYTES("draining"),
    };
    figures->state = names[proxy->state];
    figures->ready = proxy->state == PROXY_READY;
    figures->draining = proxy->state == PROXY_DRAINING;
    figures->listens = !proxy->last_call;
    figures->admin_address = proxy->started.admin;
    figures->metrics_address = proxy->started.metrics;
    figures->worker_count = proxy->worker_count;
}

static void fill_loops(const struct proxy *proxy, struct pool *pool, struct admin_figures *figures) {
    struct loop_metrics *loops = pool_alloc(pool, (proxy->worker_count + 1) * sizeof *loops);
    struct loop_cells main_thread;
    const nanoseconds longest = turn_times_longest(&proxy->loop.turn_times, proxy->loop.now);
    for (uint32_t i = 0; i < proxy->worker_count; i++)
        loops[i] = loop_metrics_of(pool_format(pool, "worker-%u", i), &proxy->workers[i].metrics.loop);
    loop_cells_set(&main_thread, &proxy->loop.turn_times);
    loops[proxy->worker_count] = loop_metrics_of(BYTES("main"), &main_thread);
    figures->loops = loops;
    figures->loop_count = proxy->worker_count + 1;
    if (longest > metric_read(&figures->workers.loop_turn_longest))
        metric_set(&figures->workers.loop_turn_longest, longest);
}

static void fill_counters(const struct proxy *proxy, struct admin_figures *figures) {
    const struct worker_metrics *cells[WORKERS_MAX];
    for (uint32_t i = 0; i < proxy->worker_count; i++) {
        cells[i] = &proxy->workers[i].metrics;
        metric_merge(&figures->tls, &proxy->workers[i].upstream.tls_counters, sizeof figures->tls);
    }
    resolver_metrics(proxy->resolver, &figures->dns);
    figures->export_count = exports_figures(proxy, figures->exports);
    worker_metrics_merge(&figures->workers, cells, proxy->worker_count);
    metric_add(&figures->workers.taps, proxy->taps.count);
    metric_add(&figures->workers.downstream_refused_descriptors, acceptor_refused(proxy->acceptor));
    audit_count(&proxy->audit, &figures->workers);
    for (uint32_t i = 0; i < proxy->worker_count; i++) { // counted by the thread that writes
        const struct line_counters *lines = line_writer_counters(proxy->log_lines, i);
        metric_add(&figures->workers.log_written, metric_read(&lines->written));
        metric_add(&figures->workers.log_failed, metric_read(&lines->failed));
    }
}

static const char *const *lines_of(const struct config_errors *errors, struct pool *pool) {
    const char **lines = pool_alloc(pool, (errors->count + 1) * sizeof *lines);
    for (uint32_t i = 0; i < errors->count; i++)
        lines[i] = errors->lines[i];
    return lines;
}

static void fill_config(const struct proxy *proxy, struct pool *pool, struct admin_config *figures) {
    const struct documents *documents = &proxy->documents;
    *figures = (struct admin_config){
        .snapshot = documents->snapshot,
        .loaded_wall = documents->loaded_wall,
        .checked_wall = documents->checked_wall,
        .accepted = documents->accepted,
        .refused = documents->refused,
        .load_duration = documents->load_duration,
        .loads = documents->figures,
        .paths = documents->options->paths,
        .path_count = documents->options->path_count,
        .errors = lines_of(&documents->errors, pool),
        .error_count = documents->errors.count,
        .warnings = lines_of(&documents->warnings, pool),
        .warning_count = documents->warnings.count,
    };
}

static void fill_memory(struct proxy *proxy, struct pool *pool, struct admin_memory *figures) {
    const struct worker_metrics **workers = pool_alloc(pool, proxy->worker_count * sizeof *workers);
    for (uint32_t i = 0; i < proxy->worker_count; i++)
        workers[i] = &proxy->workers[i].metrics;
    *figures = (struct admin_memory){
        .workers = workers,
        .resident = process_resident_bytes(),
        .budget_limit = atomic_load_explicit(&proxy->memory.limit, memory_order_relaxed),
        .budget_use = atomic_load_explicit(&proxy->memory.use, memory_order_relaxed),
        .budget_peak = atomic_load_explicit(&proxy->memory.use_peak, memory_order_relaxed),
        .budget_percent = proxy->documents.snapshot->proxy.limits.memory_percent,
        .level = atomic_load_explicit(&proxy->memory.level, memory_order_relaxed),
    };
}

void figures_complete(struct proxy *proxy, struct admin_query *query) {
    if (admin_query_is_wanted(query)) {
        fill_state(proxy, &query->figures);
        if ((query->wants & (ADMIN_WANT_COUNTERS | ADMIN_WANT_LIMITS)) != 0) {
            fill_counters(proxy, &query->figures);
            process_figures_look(&proxy->process, proxy->loop.now);
            query->figures.process = proxy->process;
        }
        if ((query->wants & ADMIN_WANT_COUNTERS) != 0)
            fill_loops(proxy, &query->pool, &query->figures);
        if ((query->wants & ADMIN_WANT_COUNTERS) != 0)
            figures_fill_policies(proxy, &query->pool, &query->figures);
        if ((query->wants & ADMIN_WANT_LIMITS) != 0)
            figures_fill_limits(proxy, query);
        if ((query->wants & ADMIN_WANT_IDENTITY) != 0)
            figures_fill_identity(proxy, &query->pool, &query->figures.identity);
        if ((query->wants & ADMIN_WANT_CONFIG) != 0)
            fill_config(proxy, &query->pool, &query->figures.config);
        query->figures.hardening = (struct admin_hardening){.seccomp = proxy->sandbox.seccomp, .landlock = proxy->sandbox.landlock};
        if ((query->wants & ADMIN_WANT_MEMORY) != 0)
            fill_memory(proxy, &query->pool, &query->figures.memory);
    }
    admin_query_done(query);
}

// The query's text is the request's, which may go before the workers have answered.
static bool read_question(struct admin_query *query) {
    struct admin_explanation *explanation = &query->explanation;
    struct explain_question *question = pool_alloc(&query->pool, sizeof *question);
    if (explain_query_parse(pool_copy(&query->pool, query->request->query), &query->pool, question, &explanation->error))
        explanation->question = question;
    return explanation->question != NULL;
}

// The same, as long as anybody looks on.
static bool read_tap_question(struct admin_query *query) {
    struct tap_question *question = pool_alloc(&query->pool, sizeof *question);
    if (tap_query_parse(pool_copy(&query->pool, query->request->query), &query->pool, question, &query->tap.error))
        query->tap.question = question;
    return query->tap.question != NULL;
}

static void collect_tap(struct proxy *proxy, struct admin_query *query) {
    if (read_tap_question(query) && query->request->method == METHOD_GET)
        tap_begin(proxy, query);
    else
        figures_complete(proxy, query);
}

static void collect(void *owner, struct admin_query *query) {
    struct proxy *proxy = owner;
    if ((query->wants & ADMIN_WANT_EXPLANATION) != 0 && !read_question(query))
        figures_complete(proxy, query); // which says what is wrong
    else if ((query->wants & ADMIN_WANT_TAP) != 0)
        collect_tap(proxy, query);
    else if ((query->wants & OF_WORKERS) != 0)
        gathering_begin(proxy, query);
    else
        figures_complete(proxy, query);
}

static bool ready(void *owner, struct bytes *reason) {
    const struct proxy *proxy = owner;
    *reason = proxy->state == PROXY_DRAINING ? BYTES("draining") : proxy->identity != NULL ? BYTES("no certificate yet") : BYTES("starting");
    return proxy->state == PROXY_READY;
}

static const char *token_file(void *owner) {
    const struct proxy *proxy = owner;
    struct bytes path = proxy->documents.snapshot->proxy.admin_token_file;
    return path.len > 0 ? path.at : NULL;
}

static void changed(void *owner, const struct admin_change *change) {
    struct proxy *proxy = owner;
    audit_admin(&proxy->audit, change);
}

const struct admin_source proxy_admin_source = {
    .collect = collect, .command = proxy_command, .ready = ready, .changed = changed, .token_file = token_file};
