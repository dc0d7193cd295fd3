// What a request costs that is counted in a series, and what a page of many series costs the main thread: in memory, without sockets.
//
//   bench-request-series     a line of JSON: nanoseconds to count one request where it is of the series of the one before, where it is one of 32, a gRPC call of one of 32
//                            methods, and one that no series is left for; milliseconds to merge what two workers tell and to write it: 10,000 lines of a page (588 histograms),
//                            and 10,000 histograms; to write those for a collector, cumulative, as the first delta and as one of which all have grown
#include "telemetry/otlp_metrics.h"
#include "telemetry/series_reading.h"

#include "base/check.h"

#include <stdio.h>
#include <time.h>

#define REQUESTS 2000000
#define KINDS 32
#define ROUNDS 5 // the best counts: what disturbs only adds
#define LINES_OF_ONE (DURATION_BUCKETS + 2)

static nanoseconds cpu_now(void) {
    struct timespec now;
    CHECK(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) == 0);
    return (nanoseconds)now.tv_sec * NS_PER_S + (nanoseconds)now.tv_nsec;
}

static struct request_told http_told(unsigned kind) {
    return (struct request_told){.facts = {.family = SERIES_HTTP_CLIENT, .method = 1 + kind % 4, .version = 11, .status = (uint16_t)(200 + kind / 4)},
                                 .duration = NS_PER_MS * (kind + 1),
                                 .wall = 1};
}

static struct request_told rpc_told(unsigned kind, char *name, size_t size) {
    const int length = snprintf(name, size, "school.courses.v1.Courses/Method%u", kind);
    return (struct request_told){.facts = {.family = SERIES_RPC_CLIENT},
                                 .method = bytes_from(name, (size_t)length),
                                 .method_is_known = true,
                                 .duration = NS_PER_MS * (kind + 1),
                                 .wall = 1};
}

static double measure(struct series_set *set, struct series_scope *scope, const struct request_told *told, unsigned kinds) {
    double best = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        const nanoseconds begun = cpu_now();
        for (unsigned i = 0; i < REQUESTS; i++)
            series_count(set, scope, &told[i % kinds]);
        const double cost = (double)(cpu_now() - begun) / REQUESTS;
        best = round == 0 || cost < best ? cost : best;
    }
    return best;
}

static void fill(struct series_set *set, struct series_scope *scope, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        char name[64];
        const struct request_told told = rpc_told(i, name, sizeof name);
        series_count(set, scope, &told);
    }
}

// Once more for a collector. Milliseconds.
static double push(struct otlp_metrics *metrics, const struct series_rows *rows, bool is_delta) {
    static nanoseconds wall = NS_PER_S;
    struct exposition exposition;
    struct bytes records;
    uint64_t points;
    const nanoseconds begun = cpu_now();
    wall += NS_PER_S;
    otlp_metrics_begin(metrics, &exposition, &(struct otlp_metrics_terms){.is_delta = is_delta}, wall, wall);
    CHECK(!series_rows_expose(&exposition, rows, &(struct series_writing){0}, UINT32_MAX));
    exposition_end(&exposition);
    while (otlp_metrics_next(metrics, &records, &points))
        otlp_metrics_settle(metrics, true);
    return (double)(cpu_now() - begun) / NS_PER_MS;
}

struct pushes {
    double cumulative, first_delta, delta;
};

static void read_rows(struct series_set *set, struct pool *pool, struct series_rows *rows) {
    struct series_reading reading;
    series_reading_begin(&reading, set, pool);
    while (series_reading_go_on(&reading, pool, UINT32_MAX))
        continue;
    *rows = series_rows_merge(&reading.rows, 1, pool);
}

static struct pushes push_of(uint32_t histograms) {
    struct series_registry *registry = series_registry_create();
    struct series_set set;
    struct pool_source chunks;
    struct pool pool;
    struct series_rows rows;
    struct pushes pushes;
    pool_source_init(&chunks, 0);
    pool_init(&pool, &chunks);
    series_registry_set(registry, SERIES_MAX_MAX, false, 1);
    series_set_init(&set, registry);
    struct series_scope *scope = series_scope_take(&set, BYTES("school/courses:80"), BYTES("HTTPRoute/school/courses: split"), BYTES_NONE);
    struct otlp_metrics *cumulative = otlp_metrics_create(1), *delta = otlp_metrics_create(1);
    fill(&set, scope, histograms);
    read_rows(&set, &pool, &rows);
    pushes.cumulative = push(cumulative, &rows, false);
    pushes.first_delta = push(delta, &rows, true);
    fill(&set, scope, histograms);
    read_rows(&set, &pool, &rows);
    pushes.delta = push(delta, &rows, true);
    otlp_metrics_destroy(cumulative);
    otlp_metrics_destroy(delta);
    pool_dispose(&pool);
    pool_source_dispose(&chunks);
    series_scope_unref(&set, scope);
    series_set_dispose(&set);
    series_registry_destroy(registry);
    return pushes;
}

// What two workers have told, as one page.
static double scrape(struct series_set *const sets[2]) {
    struct pool_source chunks;
    struct block_source blocks;
    struct series_row *lists[2];
    double best = 0;
    pool_source_init(&chunks, 0);
    block_source_init(&blocks, 4096);
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct pool pool;
        struct buffer out;
        struct exposition exposition;
        pool_init(&pool, &chunks);
        buffer_init(&out, &blocks);
        for (unsigned i = 0; i < 2; i++) { // on the workers
            struct series_reading reading;
            series_reading_begin(&reading, sets[i], &pool);
            while (series_reading_go_on(&reading, &pool, UINT32_MAX))
                continue;
            lists[i] = reading.rows;
        }
        const nanoseconds begun = cpu_now();
        const struct series_rows rows = series_rows_merge(lists, 2, &pool);
        exposition_init(&exposition, &out, EXPOSITION_OPENMETRICS);
        CHECK(!series_rows_expose(&exposition, &rows, &(struct series_writing){0}, UINT32_MAX));
        exposition_end(&exposition);
        const double cost = (double)(cpu_now() - begun) / NS_PER_MS;
        best = round == 0 || cost < best ? cost : best;
        buffer_dispose(&out);
        pool_dispose(&pool);
    }
    block_source_dispose(&blocks);
    pool_source_dispose(&chunks);
    return best;
}

static double scrape_of(uint32_t histograms) {
    struct series_registry *registry = series_registry_create();
    struct series_set sets[2];
    struct series_scope *scopes[2];
    series_registry_set(registry, SERIES_MAX_MAX, false, 1);
    for (unsigned i = 0; i < 2; i++) {
        series_set_init(&sets[i], registry);
        scopes[i] = series_scope_take(&sets[i], BYTES("school/courses:80"), BYTES("HTTPRoute/school/courses: split"), BYTES_NONE);
        fill(&sets[i], scopes[i], histograms);
    }
    const double cost = scrape((struct series_set *const[]){&sets[0], &sets[1]});
    for (unsigned i = 0; i < 2; i++) {
        series_scope_unref(&sets[i], scopes[i]);
        series_set_dispose(&sets[i]);
    }
    series_registry_destroy(registry);
    return cost;
}

int main(void) {
    static char names[KINDS][64];
    struct request_told http[KINDS], rpc[KINDS];
    struct series_registry *registry = series_registry_create();
    struct series_set set;
    series_set_init(&set, registry);
    struct series_scope *scope = series_scope_take(&set, BYTES("school/courses:80"), BYTES("HTTPRoute/school/courses: split"), BYTES_NONE);
    for (unsigned i = 0; i < KINDS; i++) {
        http[i] = http_told(i);
        rpc[i] = rpc_told(i, names[i], sizeof names[i]);
    }
    const double same = measure(&set, scope, http, 1), one_of_many = measure(&set, scope, http, KINDS), call = measure(&set, scope, rpc, KINDS);
    series_registry_set(registry, 1, false, 1);
    struct request_told beyond = http_told(0);
    beyond.facts.status = 599;
    const double overflow = measure(&set, scope, &beyond, 1);
    const struct pushes pushes = push_of(10000);
    printf("{\"same\": %.1f, \"one_of_32\": %.1f, \"call\": %.1f, \"overflow\": %.1f, \"scrape_lines_ms\": %.2f, \"scrape_histograms_ms\": %.1f, "
           "\"push_cumulative_ms\": %.1f, \"push_first_delta_ms\": %.1f, \"push_delta_ms\": %.1f}\n",
           same, one_of_many, call, overflow, scrape_of(10000 / LINES_OF_ONE), scrape_of(10000), pushes.cumulative, pushes.first_delta, pushes.delta);
    series_scope_unref(&set, scope);
    series_set_dispose(&set);
    series_registry_destroy(registry);
    return 0;
}
