// See worker_report.h. A report pins the snapshot that it began with: its services and their clusters stay until it is done, whatever is applied meanwhile; endpoints come
// and go, and are shown as they are when the slice comes to their service.
#include "app/worker_report.h"

#include "app/report_connections.h"
#include "app/report_explain.h"
#include "base/check.h"
#include "upstream/cluster_health.h"

#include <jansson.h>

void worker_report_init(struct worker_report *report, uint32_t wants, uint32_t worker, struct loop *home, void (*done)(void *receiver, void *report),
                        void *owner) {
    *report = (struct worker_report){.wants = wants, .worker = worker, .home = home, .done = done, .owner = owner};
    list_init(&report->link);
    pool_source_init(&report->chunks, 0); // of its own: the report changes threads
    pool_init(&report->pool, &report->chunks);
}

void worker_report_dispose(struct worker_report *report) {
    CHECK(report->bound == NULL);
    pool_dispose(&report->pool);
    pool_source_dispose(&report->chunks);
    json_decref(report->explanation);
    if (report->snapshot != NULL)
        snapshot_unref(report->snapshot);
}

// --- one service ---

static struct bytes endpoint_key(const struct endpoint *endpoint, struct pool *pool) {
    char address[ENDPOINT_ADDRESS_TEXT_MAX];
    endpoint_address_print(&endpoint->address, address);
    return pool_format(pool, "%s %.*s", address, BYTES_FORMAT(endpoint->peer->key));
}

static void add_links(struct admin_endpoint *figures, const struct endpoint_links *links, struct pool *pool) {
    figures->requests = links->requests;
    figures->failures = links->failures;
    figures->tls_failure = pool_copy(pool, links->tls_failure);
    for (int kind = 0; kind < POOL_KINDS; kind++) {
        figures->connections += links->pools[kind].open;
        figures->idle += links->pools[kind].idle;
        figures->connecting += links->pools[kind].connecting_count;
    }
}

// Why it is left out, since when and for how long, in words; empty: it is not, and is not watched.
static struct bytes health_note(const struct endpoint *endpoint, struct pool *pool, nanoseconds now) {
    const struct endpoint_shared *shared = endpoint->shared;
    char why[CAUSE_TEXT_MAX];
    if (shared == NULL)
        return BYTES_NONE;
    const struct outlier_view view = outlier_look(&shared->outlier);
    const nanoseconds health_at = atomic_load_explicit(&shared->health_at, memory_order_relaxed);
    if (atomic_load_explicit(&shared->is_unhealthy, memory_order_relaxed)) {
        cause_print(atomic_load_explicit(&shared->health_for, memory_order_relaxed), why);
        return pool_format(pool, "%s, for %llus", why, (unsigned long long)(now > health_at ? (now - health_at) / NS_PER_S : 0));
    }
    if (view.is_ejected || view.is_shadow) {
        const nanoseconds since = atomic_load_explicit(&shared->ejected_at, memory_order_relaxed);
        cause_print(atomic_load_explicit(&shared->ejected_for, memory_order_relaxed), why);
        return pool_format(pool, "%s%s, for %llus, %llus left, ejection %u", view.is_shadow ? "dry run: " : "", why,
                           (unsigned long long)(now > since ? (now - since) / NS_PER_S : 0),
                           (unsigned long long)(view.until > now ? (view.until - now + NS_PER_S - 1) / NS_PER_S : 0), view.ejections);
    }
    return BYTES_NONE;
}

static struct admin_endpoint endpoint_figures(const struct cluster *cluster, const struct endpoint *endpoint, struct pool *pool) {
    struct bytes key = endpoint_key(endpoint, pool);
    const struct locality *locality = &cluster->localities.items[endpoint->locality];
    struct admin_endpoint figures = {
        .address = bytes_from(key.at, bytes_find(key, ' ')),
        .key = key,
        .state = endpoint_state_word(endpoint),
        .health = health_note(endpoint, pool, endpoint->upstream->loop->now),
        .zone = pool_copy(pool, locality->zone),
        .region = pool_copy(pool, locality->region),
        .priority = locality->priority,
        .tls = bytes_from_text(tls_mode_word(endpoint->peer->tls)),
        .weight = endpoint->weight,
        .active = endpoint->in_flight,
    };
    if (endpoint->cost_at != 0) {
        figures.ewma = (nanoseconds)endpoint->cost_ns;
        figures.ewma_workers = 1;
    }
    if (endpoint->links != NULL)
        add_links(&figures, endpoint->links, pool);
    return figures;
}

struct admin_service *report_service(const struct bound_destination *service, struct pool *pool, nanoseconds now) {
    static const struct bytes protocols[] = {[PROTOCOL_HTTP] = BYTES("HTTP"), [PROTOCOL_HTTP1] = BYTES("HTTP1"), [PROTOCOL_HTTP2] = BYTES("HTTP2"),
                                             [PROTOCOL_GRPC] = BYTES("GRPC"), [PROTOCOL_TCP] = BYTES("TCP"),     [PROTOCOL_TLS] = BYTES("TLS")};
    const struct cluster *cluster = service->cluster;
    const struct traffic_config *traffic = &service->config->service->traffic;
    struct retry_budget_rule rule = {
        .percent = traffic->retry.budget.percent,
        .interval = traffic->retry.budget.interval,
        .min_per_second = traffic->retry.budget.min_per_second,
    };
    struct admin_service *figures = pool_alloc_zeroed(pool, sizeof *figures);
    *figures = (struct admin_service){
        .key = service->config->service->key,
        .protocol = protocols[service->config->service->protocol],
        .load_balancer = bytes_from_text(lb_type_name(cluster->traffic.load_balancer.type)),
        .policy = traffic->policy,
        .waiting = cluster->waiting,
        .retry_budget = (uint32_t)retry_budget_left(&cluster->shared->budget, &rule, now),
        .endpoints = pool_alloc_zeroed(pool, (cluster->endpoint_count + 1) * sizeof *figures->endpoints),
        .endpoint_count = cluster->endpoint_count,
    };
    for (uint32_t i = 0; i < cluster->endpoint_count; i++)
        figures->endpoints[i] = endpoint_figures(cluster, cluster->endpoints[i], pool);
    return figures;
}

static void add_limit(struct worker_report *report, struct admin_limit limit) {
    if (report->limit_count == report->limit_capacity) {
        uint32_t capacity = report->limit_capacity == 0 ? 64 : report->limit_capacity * 2;
        struct admin_limit *larger = pool_alloc(&report->pool, capacity * sizeof *larger);
        if (report->limit_count > 0)
            memcpy(larger, report->limits, report->limit_count * sizeof *larger);
        report->limits = larger;
        report->limit_capacity = capacity;
    }
    report->limits[report->limit_count++] = limit;
}

static void add_limits_of(struct worker_report *report, const struct bound_destination *service) {
    const struct cluster *cluster = service->cluster;
    add_limit(report, (struct admin_limit){
                          .name = BYTES("connections.maxPending"),
                          .scope = pool_format(&report->pool, "service/%.*s", BYTES_FORMAT(cluster->key)),
                          .unit = BYTES("requests"),
                          .description = BYTES("requests that wait for a connection, in one worker; else 503 pool_full"),
                          .value = cluster->traffic.connections.max_pending,
                          .known = ADMIN_LIMIT_ALL,
                          .use = cluster->waiting,
                          .peak = cluster->waiting_peak,
                          .hits = cluster->waiting_refused,
                          .one_of_many = true,
                      });
    if (cluster->traffic.connections.max == 0)
        return;
    add_limit(report, (struct admin_limit){
                          .name = BYTES("connections.max"),
                          .scope = pool_format(&report->pool, "service/%.*s", BYTES_FORMAT(cluster->key)),
                          .unit = BYTES("connections"),
                          .description = BYTES("connections to all endpoints of a service, of all workers; else requests wait"),
                          .value = cluster->traffic.connections.max,
                          .known = ADMIN_LIMIT_ALL,
                          .use = atomic_load_explicit(&cluster->shared->connections, memory_order_relaxed),
                          .peak = atomic_load_explicit(&cluster->shared->connections_peak, memory_order_relaxed),
                          .hits = cluster->places.refused,
                          .one_of_many = true,
                      });
}

// NULL: nothing was ever ejected or checked.
static struct health_series *health_figures(const struct cluster *cluster, struct pool *pool) {
    const struct outlier_counts *outliers = &cluster->shared->outliers;
    const struct health_counts *checks = &cluster->shared->checks;
    const struct health_series series = {
        .service = pool_copy(pool, cluster->key),
        .begun = cluster->shared->life.begun,
        .endpoints = cluster->endpoint_count,
        .ejected = atomic_load_explicit(&outliers->ejected, memory_order_relaxed),
        .unhealthy = atomic_load_explicit(&checks->unhealthy, memory_order_relaxed),
        .ejections = atomic_load_explicit(&outliers->ejections, memory_order_relaxed),
        .shadow_ejections = atomic_load_explicit(&outliers->shadow_ejections, memory_order_relaxed),
        .refused = atomic_load_explicit(&outliers->refused, memory_order_relaxed),
        .passed = atomic_load_explicit(&checks->passed, memory_order_relaxed),
        .failed = atomic_load_explicit(&checks->failed, memory_order_relaxed),
        .became_unhealthy = atomic_load_explicit(&checks->became_unhealthy, memory_order_relaxed),
        .became_healthy = atomic_load_explicit(&checks->became_healthy, memory_order_relaxed),
    };
    if (series.ejections + series.shadow_ejections + series.refused + series.passed + series.failed == 0)
        return NULL;
    struct health_series *figures = pool_alloc(pool, sizeof *figures);
    *figures = series;
    return figures;
}

// Returns how much work it was.
static uint32_t copy_service(struct worker_report *report, const struct bound_destination *service, nanoseconds now) {
    struct report_row *row = &report->rows[report->row_count++];
    *row = (struct report_row){.config = service->config->service};
    if ((report->wants & ADMIN_WANT_COUNTERS) != 0)
        row->health = health_figures(service->cluster, &report->pool);
    cluster_health_look(service->cluster);
    if ((report->wants & ADMIN_WANT_SERVICES) != 0)
        row->service = report_service(service, &report->pool, now);
    if ((report->wants & ADMIN_WANT_LIMITS) != 0)
        add_limits_of(report, service);
    return 1 + ((report->wants & (ADMIN_WANT_SERVICES | ADMIN_WANT_LIMITS)) != 0 ? service->cluster->endpoint_count : 0);
}

// --- in slices ---

static bool wants_services(const struct worker_report *report) {
    return (report->wants & (ADMIN_WANT_COUNTERS | ADMIN_WANT_SERVICES | ADMIN_WANT_LIMITS)) != 0;
}

static bool has_services_left(const struct worker_report *report) {
    return report->bound != NULL && wants_services(report) && report->next < report->bound->snapshot->service_count;
}

static bool is_complete(const struct worker_report *report) {
    return !has_services_left(report) && report->series.set == NULL && report->clients_before == 0 && report->endpoints_before == 0;
}

static void let_go(struct reports *reports, struct worker_report *report) {
    list_remove(&report->link);
    series_reading_end(&report->series);
    upstream_tidy_series(reports->upstream);
    if (report->bound != NULL)
        bound_unpin(report->bound);
    report->bound = NULL;
}

static void copy_slice(struct task *task) {
    struct reports *reports = CONTAINER_OF(task, struct reports, task);
    struct worker_report *report = LIST_ENTRY(list_first(&reports->under_way), struct worker_report, link);
    uint32_t work = 0;
    if (report->question != NULL && report->explanation == NULL && report->bound != NULL)
        report->explanation = report_explain(report, reports);
    while (work < REPORT_SLICE && has_services_left(report))
        work += copy_service(report, bound_find(report->bound, report->bound->snapshot->services[report->next++]), reports->loop->now);
    if (work < REPORT_SLICE && !has_services_left(report) && report->series.set != NULL)
        series_reading_go_on(&report->series, &report->pool, REPORT_SLICE - work);
    else if (work < REPORT_SLICE && !is_complete(report))
        report_connections(report, reports, REPORT_SLICE - work);
    if (is_complete(report)) {
        let_go(reports, report);
        // Where the mailbox is full the report stays the first one: the next turn tries again.
        if (loop_send(report->home, report->done, report) != OK)
            list_push_front(&reports->under_way, &report->link);
    }
    if (!list_is_empty(&reports->under_way))
        loop_wake(reports->loop, &reports->task);
}

void reports_init(struct reports *reports, const struct downstream *downstream, const struct stream_env *env) {
    reports->loop = env->loop;
    reports->downstream = downstream;
    reports->upstream = env->upstream;
    reports->env = env;
    list_init(&reports->under_way);
    task_init(&reports->task, copy_slice);
}

void reports_add(struct reports *reports, struct worker_report *report, struct bound_snapshot *bound) {
    if (bound != NULL) {
        bound_pin(bound);
        report->bound = bound;
        report->snapshot = snapshot_ref(bound->snapshot);
        report->rows = pool_alloc(&report->pool, (bound->snapshot->service_count + 1) * sizeof *report->rows);
    }
    if ((report->wants & ADMIN_WANT_CONNECTIONS) != 0)
        report->clients_before = report->endpoints_before = UINT64_MAX;
    if ((report->wants & ADMIN_WANT_COUNTERS) != 0)
        series_reading_begin(&report->series, &reports->upstream->series, &report->pool);
    list_push_back(&reports->under_way, &report->link);
    loop_wake(reports->loop, &reports->task);
}

void reports_drop(struct reports *reports) {
    task_cancel(&reports->task);
    while (!list_is_empty(&reports->under_way))
        let_go(reports, LIST_ENTRY(list_first(&reports->under_way), struct worker_report, link));
}
