// The rows of /limits that are the process's own: every limit of the Proxy with what it is set to and what it has met, and the bounds inside. Those of services
// come with the workers' reports.
#include "app/figures.h"

#include "base/limits.h"

#include <sys/resource.h>

#define OWN_LIMITS_MAX (32 + WORKER_LISTENERS_MAX + WORKERS_MAX)

struct rows {
    struct admin_limit *limits;
    uint32_t count;
};

static struct admin_limit *add(struct rows *rows, struct bytes name, struct bytes unit, uint64_t value, struct bytes description) {
    struct admin_limit *limit = &rows->limits[rows->count++];
    *limit = (struct admin_limit){.name = name, .scope = BYTES("process"), .unit = unit, .description = description, .value = value};
    return limit;
}

static void set_use(struct admin_limit *limit, uint64_t use) {
    limit->use = use;
    limit->known |= ADMIN_LIMIT_USE;
}

static void set_peak(struct admin_limit *limit, uint64_t peak) {
    limit->peak = peak;
    limit->known |= ADMIN_LIMIT_PEAK;
}

static void set_hits(struct admin_limit *limit, uint64_t hits) {
    limit->hits = hits;
    limit->known |= ADMIN_LIMIT_HITS;
}

// --- connections ---

static void add_listener(struct rows *rows, struct proxy *proxy, const struct listener_config *listener, uint32_t value, struct pool *pool) {
    struct admin_limit *limit =
        add(rows, BYTES("connections"), BYTES("connections"), value, BYTES("of clients, of all workers; one more is closed at once"));
    limit->scope = pool_format(pool, "listener/%.*s", BYTES_FORMAT(listener->name));
    struct listener_shared *shared = live_shared_listener(proxy->shared, listener->name);
    set_use(limit, atomic_load_explicit(&shared->connections, memory_order_relaxed));
    set_peak(limit, atomic_load_explicit(&shared->connections_peak, memory_order_relaxed));
    set_hits(limit, atomic_load_explicit(&shared->refused, memory_order_relaxed));
    live_shared_listener_release(proxy->shared, listener->name);
}

// --- what a message may be ---

static void add_sizes(struct rows *rows, const struct limits_config *config, const struct worker_metrics *metrics) {
    const struct limit_cells *cells = metrics->limits;
    struct admin_limit *limit =
        add(rows, BYTES("headers"), BYTES("fields"), config->headers, BYTES("of one head; else 431, counted for size and number together"));
    set_peak(limit, metric_read(&cells[LIMIT_METRIC_HEADERS].peak));
    set_hits(limit, metric_read(&cells[LIMIT_METRIC_HEADERS].hits));
    limit = add(rows, BYTES("headerBytes"), BYTES("bytes"), config->header_bytes, BYTES("of the fields of one head, 32 for each besides; else 431"));
    set_peak(limit, metric_read(&cells[LIMIT_METRIC_HEADER_BYTES].peak));
    limit = add(rows, BYTES("urlBytes"), BYTES("bytes"), config->url_bytes, BYTES("of one request's target; else 414"));
    set_peak(limit, metric_read(&cells[LIMIT_METRIC_URL_BYTES].peak));
    set_hits(limit, metric_read(&cells[LIMIT_METRIC_URL_BYTES].hits));
    limit = add(rows, BYTES("bodyBytes"), BYTES("bytes"), config->body_bytes, BYTES("of one request's body; else 413"));
    set_peak(limit, metric_read(&cells[LIMIT_METRIC_BODY_BYTES].peak));
    set_hits(limit, metric_read(&cells[LIMIT_METRIC_BODY_BYTES].hits));
    limit = add(rows, BYTES("streamsPerConnection"), BYTES("streams"), config->streams_per_connection,
                BYTES("of one HTTP/2 client at once; else REFUSED_STREAM, or GOAWAY to one that has acknowledged it"));
    set_peak(limit, metric_read(&cells[LIMIT_METRIC_STREAMS_PER_CONNECTION].peak));
    set_hits(limit, metric_read(&cells[LIMIT_METRIC_STREAMS_PER_CONNECTION].hits));
    limit = add(rows, BYTES("bufferPerStream"), BYTES("bytes"), config->buffer_per_stream,
                BYTES("of a request's body that wait here; then its sender waits"));
    set_peak(limit, metric_read(&cells[LIMIT_METRIC_BUFFER_PER_STREAM].peak));
    set_hits(limit, metric_read(&cells[LIMIT_METRIC_BUFFER_PER_STREAM].hits));
}

// --- how long something may take ---

static void add_times(struct rows *rows, const struct limits_config *config, const struct worker_metrics *metrics) {
    const struct limit_cells *cells = metrics->limits;
    struct admin_limit *limit = add(rows, BYTES("headerTimeout"), BYTES("ms"), config->header_timeout / NS_PER_MS,
                                    BYTES("from the first byte of a head to its last; else 408"));
    set_hits(limit, metric_read(&cells[LIMIT_METRIC_HEADER_TIMEOUT].hits));
    limit = add(rows, BYTES("bodyIdleTimeout"), BYTES("ms"), config->body_idle_timeout / NS_PER_MS,
                BYTES("between pieces of a request's body; else 408"));
    set_hits(limit, metric_read(&cells[LIMIT_METRIC_BODY_IDLE_TIMEOUT].hits));
    limit = add(rows, BYTES("idleTimeout"), BYTES("ms"), config->idle_timeout / NS_PER_MS, BYTES("without a request; then the connection is closed"));
    set_hits(limit, metric_read(&cells[LIMIT_METRIC_IDLE_TIMEOUT].hits));
    add(rows, BYTES("drainTimeout"), BYTES("ms"), config->drain_timeout / NS_PER_MS, BYTES("from SIGTERM to the end, whatever is under way"));
}

// --- memory and descriptors ---

static void add_descriptors(struct rows *rows, const struct admin_figures *figures) {
    struct rlimit limits;
    if (figures->process.descriptors == 0 || getrlimit(RLIMIT_NOFILE, &limits) != 0)
        return;
    struct admin_limit *limit = add(rows, BYTES("descriptors"), BYTES("descriptors"), limits.rlim_cur,
                                    BYTES("of this process, as the system allows; else connections are refused"));
    set_use(limit, figures->process.descriptors);
    set_hits(limit, metric_read(&figures->workers.downstream_refused_descriptors));
}

static uint64_t percent_of(uint64_t part, uint64_t whole) {
    return (uint64_t)(100 * (double)part / (double)whole);
}

static void add_budget(struct rows *rows, const struct limits_config *config, const struct worker_metrics *metrics, struct memory_budget *budget) {
    uint64_t most = atomic_load_explicit(&budget->limit, memory_order_relaxed);
    struct admin_limit *limit = add(
        rows, BYTES("memoryPercent"), BYTES("percent"), config->memory_percent,
        most == 0 ? BYTES("of the cgroup's memory limit; there is none, so nothing is ever shed")
                  : BYTES("of the cgroup's memory limit; above it free lists, idle connections, requests and new connections are shed, in steps"));
    set_hits(limit, metric_read(&metrics->limits[LIMIT_METRIC_MEMORY].hits));
    if (most == 0)
        return;
    set_use(limit, percent_of(atomic_load_explicit(&budget->use, memory_order_relaxed), most));
    set_peak(limit, percent_of(atomic_load_explicit(&budget->use_peak, memory_order_relaxed), most));
}

static void add_memory(struct rows *rows, const struct worker_metrics *metrics) {
    struct admin_limit *limit = add(rows, BYTES("bufferBlocks"), BYTES("blocks of 16 KiB"), 0, BYTES("bytes on their way, in all workers"));
    set_use(limit, metric_read(&metrics->blocks_used));
    set_peak(limit, metric_read(&metrics->blocks_peak));
    limit = add(rows, BYTES("poolChunks"), BYTES("chunks of 4 KiB"), 0, BYTES("what streams remember, in all workers"));
    set_use(limit, metric_read(&metrics->chunks_used));
}

// --- bounds inside ---

static void add_mailbox(struct rows *rows, struct loop *loop, struct bytes scope, uint64_t hits) {
    uint32_t use, peak;
    struct admin_limit *limit =
        add(rows, BYTES("mailbox"), BYTES("messages"), LIMIT_MAILBOX, BYTES("that wait for a thread; then their sender waits"));
    mailbox_read_use(&loop->mailbox, &use, &peak);
    limit->scope = scope;
    set_use(limit, use);
    set_peak(limit, peak);
    set_hits(limit, hits);
}

static void add_taps(struct rows *rows, const struct taps *taps) {
    struct admin_limit *limit = add(rows, BYTES("taps"), BYTES("readers"), TAPS_MAX, BYTES("of /tap; else 503"));
    set_use(limit, taps->count);
    set_peak(limit, taps->count_peak);
    set_hits(limit, taps->refused);
}

void figures_fill_limits(struct proxy *proxy, struct admin_query *query) {
    struct admin_figures *figures = &query->figures;
    const struct proxy_config *config = &proxy->documents.snapshot->proxy;
    uint32_t most = OWN_LIMITS_MAX + config->listener_count + figures->limit_count;
    struct rows rows = {.limits = pool_alloc(&query->pool, most * sizeof(struct admin_limit))};
    for (uint32_t i = 0; i < config->listener_count; i++)
        add_listener(&rows, proxy, &config->listeners[i], config->limits.connections, &query->pool);
    add_sizes(&rows, &config->limits, &figures->workers);
    add_times(&rows, &config->limits, &figures->workers);
    add_budget(&rows, &config->limits, &figures->workers, &proxy->memory);
    add_memory(&rows, &figures->workers);
    add_descriptors(&rows, figures);
    for (uint32_t i = 0; i < proxy->worker_count; i++)
        add_mailbox(&rows, &proxy->workers[i].loop, pool_format(&query->pool, "worker/%u", i), metric_read(&proxy->workers[i].metrics.mailbox_full));
    add_taps(&rows, &proxy->taps);
    if (figures->limit_count > 0)
        memcpy(rows.limits + rows.count, figures->limits, figures->limit_count * sizeof *rows.limits);
    figures->limits = rows.limits;
    figures->limit_count += rows.count;
}
