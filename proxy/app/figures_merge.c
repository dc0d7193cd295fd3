// The reports of all workers as one: services by their key, endpoints and limits by theirs, numbers added. Workers usually tell the same in the same order; while a new
// snapshot is on its way they may differ in what they have and where it stands.
#include "app/figures.h"

// Where the next of the other worker's entries will be found, most likely: behind the one before.
static uint32_t wrap(uint32_t position, uint32_t count) {
    return position < count ? position : position - count;
}

// --- endpoints ---

static void add_endpoint(struct admin_endpoint *to, const struct admin_endpoint *from) {
    uint32_t workers = to->ewma_workers + from->ewma_workers;
    if (workers > 0)
        to->ewma = (to->ewma * to->ewma_workers + from->ewma * from->ewma_workers) / workers;
    to->ewma_workers = workers;
    if (bytes_equal(to->state, BYTES("available")))
        to->state = from->state; // another worker may know better, for now
    to->active += from->active;
    to->connections += from->connections;
    to->idle += from->idle;
    to->connecting += from->connecting;
    to->requests += from->requests;
    to->failures += from->failures;
    if (to->tls_failure.len == 0)
        to->tls_failure = from->tls_failure;
    if (to->health.len == 0)
        to->health = from->health;
}

static struct admin_endpoint *find_endpoint(struct admin_endpoint *endpoints, uint32_t count, struct bytes key, uint32_t *hint) {
    for (uint32_t i = 0; i < count; i++) {
        uint32_t position = wrap(*hint + i, count);
        if (!bytes_equal(endpoints[position].key, key))
            continue;
        *hint = wrap(position + 1, count);
        return &endpoints[position];
    }
    return NULL;
}

static void merge_endpoints(struct admin_service *to, const struct admin_service *from, struct pool *pool) {
    uint32_t known = to->endpoint_count;
    uint32_t hint = 0;
    bool has_room = false;
    for (uint32_t i = 0; i < from->endpoint_count; i++) {
        struct admin_endpoint *same = find_endpoint(to->endpoints, known, from->endpoints[i].key, &hint);
        if (same != NULL) {
            add_endpoint(same, &from->endpoints[i]);
            continue;
        }
        if (!has_room) {
            struct admin_endpoint *larger = pool_alloc(pool, (known + from->endpoint_count) * sizeof *larger);
            if (known > 0)
                memcpy(larger, to->endpoints, known * sizeof *larger);
            to->endpoints = larger;
            has_room = true;
        }
        to->endpoints[to->endpoint_count++] = from->endpoints[i];
    }
}

// --- services ---

static void merge_row(struct report_row *to, const struct report_row *from, struct pool *pool) {
    if (to->health == NULL)
        to->health = from->health; // one for all workers
    if (to->service != NULL && from->service != NULL) {
        to->service->waiting += from->service->waiting; // the budget is one for all workers
        merge_endpoints(to->service, from->service, pool);
    }
}

static struct report_row *find_row(struct report_row *rows, uint32_t count, struct bytes key, uint32_t *hint) {
    for (uint32_t i = 0; i < count; i++) {
        uint32_t position = wrap(*hint + i, count);
        if (!bytes_equal(rows[position].config->key, key))
            continue;
        *hint = wrap(position + 1, count);
        return &rows[position];
    }
    return NULL;
}

// Returns how many rows there are then in `rows`, which has room for all.
static uint32_t merge_rows(struct report_row *rows, uint32_t count, const struct worker_report *report, struct pool *pool) {
    uint32_t known = count;
    uint32_t hint = 0;
    for (uint32_t i = 0; i < report->row_count; i++) {
        struct report_row *same = find_row(rows, known, report->rows[i].config->key, &hint);
        if (same != NULL)
            merge_row(same, &report->rows[i], pool);
        else
            rows[count++] = report->rows[i];
    }
    return count;
}

static void set_rows(const struct proxy *proxy, const struct report_row *rows, uint32_t count, struct admin_query *query) {
    struct admin_figures *figures = &query->figures;
    figures->services = pool_alloc(&query->pool, (count + 1) * sizeof *figures->services);
    figures->health = pool_alloc(&query->pool, (count + 1) * sizeof *figures->health);
    for (uint32_t i = 0; i < count; i++) {
        if (rows[i].service != NULL) {
            figures_fill_names(proxy, rows[i].config, &query->pool, rows[i].service);
            rows[i].service->breaker = figures_breaker_state(proxy, rows[i].config);
            figures->services[figures->service_count++] = *rows[i].service;
        }
        if (rows[i].health != NULL)
            figures->health[figures->health_count++] = *rows[i].health;
    }
}

// --- series of requests ---

static void set_series(const struct worker_report *reports, uint32_t count, struct admin_query *query) {
    struct series_row *rows[WORKERS_MAX];
    for (uint32_t i = 0; i < count; i++)
        rows[i] = reports[i].series.rows;
    query->figures.series = series_rows_merge(rows, count, &query->pool);
}

// --- limits ---

// Each is of one worker, or of all and then told by each alike: what is in use is the most that any tells. Refusals are each worker's own.
static void add_limit(struct admin_limit *to, const struct admin_limit *from) {
    to->use = from->use > to->use ? from->use : to->use;
    to->peak = from->peak > to->peak ? from->peak : to->peak;
    to->hits += from->hits;
}

static struct admin_limit *find_limit(struct admin_limit *limits, uint32_t count, const struct admin_limit *wanted, uint32_t *hint) {
    for (uint32_t i = 0; i < count; i++) {
        uint32_t position = wrap(*hint + i, count);
        if (!bytes_equal(limits[position].name, wanted->name) || !bytes_equal(limits[position].scope, wanted->scope))
            continue;
        *hint = wrap(position + 1, count);
        return &limits[position];
    }
    return NULL;
}

static uint32_t merge_limits(struct admin_limit *limits, uint32_t count, const struct worker_report *report) {
    uint32_t known = count;
    uint32_t hint = 0;
    for (uint32_t i = 0; i < report->limit_count; i++) {
        struct admin_limit *same = find_limit(limits, known, &report->limits[i], &hint);
        if (same != NULL)
            add_limit(same, &report->limits[i]);
        else
            limits[count++] = report->limits[i];
    }
    return count;
}

// --- connections ---

// Each worker's in turn, so that where there are too many each has its share.
static struct admin_connections merge_connections(const struct admin_connections **sides, uint32_t count, struct pool *pool) {
    struct admin_connections all = {.rows = pool_alloc(pool, ADMIN_CONNECTIONS_MAX * sizeof *all.rows)};
    bool more = true;
    for (uint32_t i = 0; i < count; i++)
        all.total += sides[i]->total;
    for (uint32_t row = 0; more; row++) {
        more = false;
        for (uint32_t i = 0; i < count && all.count < ADMIN_CONNECTIONS_MAX; i++) {
            if (row >= sides[i]->count)
                continue;
            all.rows[all.count++] = sides[i]->rows[row];
            more = true;
        }
    }
    return all;
}

static void set_connections(const struct worker_report *reports, uint32_t count, struct admin_query *query) {
    const struct admin_connections *clients[WORKERS_MAX], *endpoints[WORKERS_MAX];
    for (uint32_t i = 0; i < count; i++) {
        clients[i] = &reports[i].clients;
        endpoints[i] = &reports[i].endpoints;
    }
    query->figures.clients = merge_connections(clients, count, &query->pool);
    query->figures.endpoints = merge_connections(endpoints, count, &query->pool);
}

void figures_merge_reports(struct proxy *proxy, struct worker_report *reports, uint32_t count, struct admin_query *query) {
    uint32_t row_max = 0;
    uint32_t limit_max = 0;
    for (uint32_t i = 0; i < count; i++) {
        row_max += reports[i].row_count;
        limit_max += reports[i].limit_count;
    }
    struct report_row *rows = pool_alloc(&query->pool, (row_max + 1) * sizeof *rows);
    struct admin_limit *limits = pool_alloc(&query->pool, (limit_max + 1) * sizeof *limits);
    uint32_t row_count = 0;
    uint32_t limit_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        row_count = merge_rows(rows, row_count, &reports[i], &query->pool);
        limit_count = merge_limits(limits, limit_count, &reports[i]);
    }
    set_rows(proxy, rows, row_count, query);
    set_series(reports, count, query);
    query->figures.limits = limits;
    query->figures.limit_count = limit_count;
    if ((query->wants & ADMIN_WANT_CONNECTIONS) != 0)
        set_connections(reports, count, query);
    query->explanation.value = count > 0 ? reports[0].explanation : NULL;
}
