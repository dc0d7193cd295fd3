// Series of requests: what makes one, what is bounded, and that no request is lost or counted twice, whatever comes and goes.
#include "telemetry/series_reading.h"

#include "http/message.h"
#include "support/one_pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SERVICE BYTES("school/courses:80")
#define ROUTE BYTES("HTTPRoute/school/r: one")

static struct series_registry *registry;
static struct series_set set;

static int begin(void **state) {
    registry = series_registry_create();
    series_set_init(&set, registry);
    return pool_set_up(state);
}

static int end(void **state) {
    series_set_dispose(&set);
    series_registry_destroy(registry);
    return pool_tear_down(state);
}

static struct request_told get(uint16_t status) {
    return (struct request_told){
        .facts = {.family = SERIES_HTTP_SERVER, .method = 1, .version = 11, .status = status}, .duration = NS_PER_MS, .wall = 1};
}

static struct request_told call(const char *method, bool is_known) {
    return (struct request_told){
        .facts = {.family = SERIES_RPC_CLIENT}, .method = bytes_from_text(method), .method_is_known = is_known, .duration = NS_PER_MS, .wall = 1};
}

static struct series_scope *take(void) {
    return series_scope_take(&set, SERVICE, ROUTE, BYTES_NONE);
}

static struct series_rows read_all(struct series_set *of) {
    struct series_reading reading;
    while (series_set_tidy(of, 1))
        continue;
    series_reading_begin(&reading, of, &pool);
    while (series_reading_go_on(&reading, &pool, 1))
        continue;
    return series_rows_merge(&reading.rows, 1, &pool);
}

static uint64_t count_of(const struct series_row *row) {
    uint64_t count = 0;
    for (int i = 0; i < DURATION_BUCKETS; i++)
        count += row->totals.buckets[i];
    return count;
}

static uint64_t total_of(const struct series_rows *rows) {
    uint64_t total = 0;
    for (uint32_t i = 0; i < rows->count; i++)
        total += count_of(rows->items[i]);
    return total;
}

// The rows as OpenMetrics has them, written so many at a time.
static char *expose_by(uint32_t most, const struct series_rows *rows, enum exposition_format format) {
    struct series_writing writing = {0};
    struct block_source blocks;
    struct buffer out;
    struct exposition exposition;
    block_source_init(&blocks, 4);
    buffer_init(&out, &blocks);
    exposition_init(&exposition, &out, format);
    while (series_rows_expose(&exposition, rows, &writing, most))
        continue;
    char *text = calloc(1, out.length + 1);
    for (size_t length = 0; !buffer_is_empty(&out);) {
        const struct bytes front = buffer_front(&out);
        memcpy(text + length, front.at, front.len);
        length += front.len;
        buffer_consume(&out, front.len);
    }
    buffer_dispose(&out);
    block_source_dispose(&blocks);
    return text;
}

static char *expose(const struct series_rows *rows, enum exposition_format format) {
    return expose_by(UINT32_MAX, rows, format);
}

static void what_is_written_in_slices_is_the_same(void **state) {
    (void)state;
    struct series_scope *scope = take();
    for (uint16_t status = 200; status < 210; status++) {
        const struct request_told told = get(status);
        series_count(&set, scope, &told);
    }
    const struct series_rows rows = read_all(&set);
    char *whole = expose(&rows, EXPOSITION_OPENMETRICS);
    for (uint32_t most = 1; most <= 11; most++) {
        char *sliced = expose_by(most, &rows, EXPOSITION_OPENMETRICS);
        assert_string_equal(sliced, whole);
        free(sliced);
    }
    free(whole);
    series_scope_unref(&set, scope);
}

static void what_a_request_was_makes_its_series(void **state) {
    (void)state;
    struct series_scope *scope = take();
    const struct request_told good = get(200), bad = get(503);
    for (unsigned i = 0; i < 3; i++) {
        series_count(&set, scope, &good);
        series_count(&set, scope, &bad);
    }
    const struct series_rows rows = read_all(&set);
    assert_int_equal(rows.count, 2);
    assert_int_equal(total_of(&rows), 6);
    char *text = expose(&rows, EXPOSITION_PROMETHEUS);
    assert_non_null(strstr(text, "\nhttp_server_request_duration_seconds_bucket{service=\"school/courses:80\",http_route=\"HTTPRoute/school/r: one\","
                                 "http_request_method=\"GET\",url_scheme=\"http\",http_response_status_code=\"200\",network_protocol_version=\"1.1\","
                                 "le=\"0.005\"} 3\n"));
    assert_non_null(strstr(text, ",http_response_status_code=\"503\",error_type=\"503\",network_protocol_version=\"1.1\"} 0.003\n"));
    assert_non_null(strstr(text, ",http_response_status_code=\"503\",error_type=\"503\",network_protocol_version=\"1.1\"} 3\n"));
    assert_null(strstr(text, "otel_metric_overflow"));
    free(text);
    series_scope_unref(&set, scope);
}

// OpenTelemetry's conventions for error.type.
static void errors_are_told_by_our_name_or_by_the_status(void **state) {
    (void)state;
    static const struct {
        enum series_family family;
        uint16_t status;
        enum error end;
        const char *told; // "" : no error
    } cases[] = {
        {SERIES_HTTP_SERVER, 404, OK, ""},
        {SERIES_HTTP_SERVER, 500, OK, "500"},
        {SERIES_HTTP_SERVER, 503, ERROR_POOL_FULL, "pool_full"},
        {SERIES_HTTP_SERVER, 403, ERROR_DENIED, ""},
        {SERIES_HTTP_SERVER, 0, ERROR_CLIENT_GONE, ""},
        {SERIES_HTTP_SERVER, 200, ERROR_RESPONSE_INCOMPLETE, "response_incomplete"},
        {SERIES_HTTP_CLIENT, 404, OK, "404"},
        {SERIES_HTTP_CLIENT, 403, ERROR_DENIED, "denied"},
        {SERIES_RPC_SERVER, 5, OK, ""},
        {SERIES_RPC_SERVER, 14, ERROR_NO_ENDPOINT, "no_endpoint"},
        {SERIES_RPC_SERVER, 7, ERROR_DENIED, ""},
        {SERIES_RPC_CLIENT, 5, OK, "NOT_FOUND"},
        {SERIES_OPAQUE, 0, ERROR_CONNECT_REFUSED, "connect_refused"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct series_facts facts = {.family = cases[i].family, .status = cases[i].status};
        struct bytes values[METRIC_LABELS_MAX] = {0};
        char number[SERIES_NUMBER_MAX];
        bool is_told = false;
        series_facts_end(&facts, cases[i].end);
        series_label_values(&facts, SERVICE, BYTES_NONE, BYTES_NONE, number, values);
        for (unsigned j = 0; j < METRIC_LABELS_MAX; j++)
            is_told = is_told || bytes_equal(values[j], bytes_from_text(cases[i].told));
        assert_true(is_told);
        assert_int_equal(facts.error != 0, cases[i].told[0] >= 'a');
    }
}

static void methods_that_no_server_knows_make_no_series(void **state) {
    (void)state;
    struct series_scope *scope = take();
    char name[64], longest[1000];
    for (unsigned i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "a.B/M%u", i);
        struct request_told told = call(name, false);
        series_count(&set, scope, &told);
    }
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    struct request_told told = call(longest, true);
    series_count(&set, scope, &told);
    struct series_rows rows = read_all(&set);
    assert_int_equal(rows.count, 1);
    told = call("a.B/Real", true);
    series_count(&set, scope, &told);
    told.method_is_known = false; // this time it was refused before: it is known all the same
    series_count(&set, scope, &told);
    rows = read_all(&set);
    assert_int_equal(rows.count, 2);
    char *text = expose(&rows, EXPOSITION_PROMETHEUS);
    assert_non_null(
        strstr(text, "rpc_client_call_duration_seconds_count{service=\"school/courses:80\",route=\"HTTPRoute/school/r: one\","
                     "rpc_system_name=\"grpc\",rpc_method=\"_OTHER\",server_address=\"courses\",server_port=\"80\",rpc_status_code=\"OK\"} 101\n"));
    assert_non_null(strstr(text, "rpc_method=\"a.B/Real\",server_address=\"courses\",server_port=\"80\",rpc_status_code=\"OK\"} 2\n"));
    free(text);
    series_scope_unref(&set, scope);
}

static void beyond_the_cap_all_is_one_series(void **state) {
    (void)state;
    struct series_scope *scope = take();
    char name[64];
    series_registry_set(registry, 10, false, 1);
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "a.B/M%u", i);
        struct request_told told = call(name, true);
        series_count(&set, scope, &told);
    }
    const struct series_rows rows = read_all(&set);
    assert_int_equal(rows.count, 11);
    assert_int_equal(total_of(&rows), 1000);
    assert_int_equal(scope->texts.count, 10); // nothing else is remembered of them
    char *text = expose(&rows, EXPOSITION_OPENMETRICS);
    assert_non_null(strstr(text, "\nrpc_client_call_duration_seconds_count{otel_metric_overflow=\"true\"} 990\n"));
    assert_non_null(strstr(text, "\noutrigger_metric_series{family=\"rpc_client_call_duration_seconds\"} 10\n")); // that one is none of them
    free(text);
    series_scope_unref(&set, scope);
}

static void values_of_a_policys_labels_are_series_too(void **state) {
    (void)state;
    struct series_scope *scope = series_scope_take(&set, SERVICE, BYTES_NONE, bytes_from("tenant\0tier_x\0", 14));
    struct request_told told = get(200);
    told.values = bytes_from("acme\0\0", 6);
    series_count(&set, scope, &told);
    told.values = bytes_from("a\"b\0gold\0", 9);
    series_count(&set, scope, &told);
    series_count(&set, scope, &told);
    const struct series_rows rows = read_all(&set);
    assert_int_equal(rows.count, 2);
    char *text = expose(&rows, EXPOSITION_OPENMETRICS);
    assert_non_null(strstr(text, ",network_protocol_version=\"1.1\",tenant=\"acme\"} 1\n"));
    assert_non_null(strstr(text, ",network_protocol_version=\"1.1\",tenant=\"a\\\"b\",tier_x=\"gold\"} 2\n"));
    free(text);
    series_scope_unref(&set, scope);
}

// A rule that leaves gives its figures to the overflow; when it comes back it begins anew, and nothing is ever lost.
static void totals_survive_what_leaves_and_returns(void **state) {
    (void)state;
    struct request_told told = get(200);
    for (unsigned round = 1; round <= 3; round++) {
        struct series_scope *scope = take();
        told.wall = round;
        for (unsigned i = 0; i < 10; i++)
            series_count(&set, scope, &told);
        struct series_rows rows = read_all(&set);
        assert_int_equal(total_of(&rows), 10 * round);
        for (uint32_t i = 0; i < rows.count; i++)
            if (!rows.items[i]->is_overflow) {
                assert_int_equal(count_of(rows.items[i]), 10);
                assert_int_equal(rows.items[i]->life.begun, round);
            }
        series_scope_unref(&set, scope);
        rows = read_all(&set);
        assert_int_equal(rows.count, 1);
        assert_int_equal(total_of(&rows), 10 * round);
        assert_int_equal(rows.items[0]->totals.sum, 10 * round * NS_PER_MS);
        assert_int_equal(series_registry_count(registry, SERIES_HTTP_SERVER), 0);
    }
}

// What leaves while somebody reads is in his copy once, whether he has come to it or not.
static void what_leaves_during_a_reading_is_read_once(void **state) {
    (void)state;
    struct request_told told = get(200);
    struct series_scope *first = take(), *second = series_scope_take(&set, SERVICE, BYTES_NONE, BYTES_NONE);
    series_count(&set, first, &told);
    series_count(&set, second, &told);
    struct series_reading reading;
    series_reading_begin(&reading, &set, &pool);
    assert_true(series_reading_go_on(&reading, &pool, 1));
    series_scope_unref(&set, first);
    series_scope_unref(&set, second);
    second = series_scope_take(&set, SERVICE, BYTES_NONE, BYTES_NONE); // and is back
    while (series_reading_go_on(&reading, &pool, 1))
        continue;
    struct series_rows rows = series_rows_merge(&reading.rows, 1, &pool);
    assert_int_equal(total_of(&rows), 2);
    while (series_set_tidy(&set, 1))
        continue;
    assert_int_equal(set.by_key.count, 1); // the one that is used
    series_scope_unref(&set, second);
    rows = read_all(&set);
    assert_int_equal(total_of(&rows), 2);
}

// Two workers, and what is gathered of both at one time.
struct pair {
    struct series_set other;
    struct series_scope *one, *two;
};

static void pair_begin(struct pair *pair, const char *labels, size_t length) {
    series_set_init(&pair->other, registry);
    pair->one = series_scope_take(&set, SERVICE, ROUTE, bytes_from(labels, length));
    pair->two = series_scope_take(&pair->other, SERVICE, ROUTE, bytes_from(labels, length));
}

static void pair_end(struct pair *pair) {
    series_set_dispose(&pair->other);
}

static struct series_row *copy_of(struct series_set *of) {
    struct series_reading reading;
    series_reading_begin(&reading, of, &pool);
    while (series_reading_go_on(&reading, &pool, 1))
        continue;
    return reading.rows;
}

static struct series_rows gather(struct pair *pair) {
    struct series_row *lists[] = {copy_of(&set), copy_of(&pair->other)};
    return series_rows_merge(lists, 2, &pool);
}

static void tidy(struct pair *pair) {
    while (series_set_is_untidy(&set) || series_set_is_untidy(&pair->other)) {
        (void)series_set_tidy(&set, 1);
        (void)series_set_tidy(&pair->other, 1);
    }
}

static void count_times(struct series_set *of, struct series_scope *scope, unsigned times, nanoseconds wall) {
    struct request_told told = get(200);
    told.wall = wall;
    for (unsigned i = 0; i < times; i++)
        series_count(of, scope, &told);
}

// The series that is no overflow; NULL: there is none. `overflow`: how many requests that has.
static const struct series_row *the_series(const struct series_rows *rows, uint64_t *overflow) {
    const struct series_row *found = NULL;
    *overflow = 0;
    for (uint32_t i = 0; i < rows->count; i++) {
        if (rows->items[i]->is_overflow)
            *overflow += count_of(rows->items[i]);
        else {
            assert_null(found);
            found = rows->items[i];
        }
    }
    return found;
}

// A tunnel holds the service on one worker for long after the other has let it go.
static void a_series_does_not_shrink_as_workers_leave_it_one_by_one(void **state) {
    (void)state;
    struct pair pair;
    uint64_t overflow;
    pair_begin(&pair, "", 0);
    count_times(&set, pair.one, 60, 5);
    count_times(&pair.other, pair.two, 40, 6);
    series_scope_unref(&set, pair.one);
    tidy(&pair);
    struct series_rows rows = gather(&pair);
    const struct series_row *series = the_series(&rows, &overflow);
    assert_int_equal(count_of(series), 100);
    assert_int_equal(series->life.begun, 5);
    assert_int_equal(overflow, 0);
    count_times(&pair.other, pair.two, 1, 7);                       // at the tunnel's end
    pair.one = series_scope_take(&set, SERVICE, ROUTE, BYTES_NONE); // and the service is back
    count_times(&set, pair.one, 2, 8);
    series_scope_unref(&pair.other, pair.two);
    tidy(&pair);
    rows = gather(&pair);
    series = the_series(&rows, &overflow);
    assert_int_equal(count_of(series), 103);
    assert_int_equal(series->life.begun, 5);
    series_scope_unref(&set, pair.one);
    tidy(&pair);
    rows = gather(&pair);
    assert_null(the_series(&rows, &overflow));
    assert_int_equal(overflow, 103);
    assert_int_equal(series_registry_count(registry, SERIES_HTTP_SERVER), 0);
    pair_end(&pair);
}

// A gathering is told by one worker of what the other has of a life that is over by then: whatever the second may forget waits until it is over.
static void nothing_moves_under_a_gathering(void **state) {
    (void)state;
    struct pair pair;
    uint64_t overflow;
    pair_begin(&pair, "", 0);
    count_times(&set, pair.one, 60, 5);
    count_times(&pair.other, pair.two, 40, 6);
    series_scope_unref(&set, pair.one);
    tidy(&pair);
    const uint64_t gathering = series_registry_gather(registry);
    struct series_row *lists[2] = {NULL, copy_of(&pair.other)}, *same = copy_of(&pair.other), *again = copy_of(&pair.other);
    series_scope_unref(&pair.other, pair.two);
    tidy(&pair);
    assert_int_equal(pair.other.left.by_life.count, 1); // the last one of that life waits too
    pair.one = series_scope_take(&set, SERVICE, ROUTE, BYTES_NONE);
    lists[0] = copy_of(&set);
    struct series_rows rows = series_rows_merge(lists, 2, &pool);
    assert_int_equal(count_of(the_series(&rows, &overflow)), 100);
    assert_int_equal(overflow, 0);
    count_times(&set, pair.one, 3, 9); // the same series lives again
    lists[0] = copy_of(&set);
    lists[1] = same; // rows are added up in place
    rows = series_rows_merge(lists, 2, &pool);
    const struct series_row *series = the_series(&rows, &overflow);
    assert_int_equal(count_of(series), 3);
    assert_int_equal(series->life.begun, 9);
    assert_int_equal(overflow, 100);
    lists[0] = again; // whichever of the two lives comes first
    lists[1] = copy_of(&set);
    rows = series_rows_merge(lists, 2, &pool);
    series = the_series(&rows, &overflow);
    assert_int_equal(count_of(series), 3);
    assert_int_equal(series->life.begun, 9);
    assert_int_equal(overflow, 100);
    assert_int_equal(set.left.by_life.count, 1);
    series_registry_gathered(registry, gathering);
    assert_true(series_set_is_untidy(&set));
    tidy(&pair);
    assert_int_equal(set.left.by_life.count, 0);
    rows = gather(&pair);
    assert_int_equal(count_of(the_series(&rows, &overflow)), 3);
    assert_int_equal(overflow, 100);
    series_scope_unref(&set, pair.one);
    pair_end(&pair);
}

// Reloads come and go while a tunnel holds the other worker's part: what is kept of this one does not grow.
static void what_leaves_again_and_again_is_one_part(void **state) {
    (void)state;
    struct pair pair;
    uint64_t overflow;
    pair_begin(&pair, "", 0);
    count_times(&pair.other, pair.two, 1, 1);
    for (unsigned i = 0; i < 10; i++) {
        count_times(&set, pair.one, 1, 2);
        series_scope_unref(&set, pair.one);
        tidy(&pair);
        pair.one = series_scope_take(&set, SERVICE, ROUTE, BYTES_NONE);
    }
    assert_int_equal(set.left.by_life.count, 1);
    const struct series_rows rows = gather(&pair);
    assert_int_equal(count_of(the_series(&rows, &overflow)), 11);
    count_times(&set, pair.one, 1, 2);
    series_scope_unref(&pair.other, pair.two);
    tidy(&pair);
    const uint64_t gathering = series_registry_gather(registry);
    series_scope_unref(&set, pair.one);
    tidy(&pair);
    assert_int_equal(set.left.by_life.count, 1); // for those who read meanwhile, though what it was put to had waited for nobody
    series_registry_gathered(registry, gathering);
    tidy(&pair);
    assert_true(list_is_empty(&set.left.parts));
    pair_end(&pair);
}

// A reload adds a label while something holds the documents before: requests that have nothing for it are of one series, whichever documents they began with.
static void scopes_with_other_labels_have_the_same_series(void **state) {
    (void)state;
    struct pair pair;
    uint64_t overflow;
    struct series_scope *before = take();
    pair_begin(&pair, "tenant\0", 7);
    struct request_told told = get(200);
    series_count(&set, before, &told);
    told.values = bytes_from("\0", 1);
    series_count(&set, pair.one, &told);
    series_count(&pair.other, pair.two, &told);
    struct series_rows rows = gather(&pair);
    assert_int_equal(count_of(the_series(&rows, &overflow)), 3);
    assert_int_equal(series_registry_count(registry, SERIES_HTTP_SERVER), 1);
    series_scope_unref(&set, before);
    tidy(&pair);
    rows = gather(&pair);
    assert_int_equal(count_of(the_series(&rows, &overflow)), 3);
    told.values = bytes_from("acme\0", 5);
    series_count(&set, pair.one, &told);
    assert_int_equal(series_registry_count(registry, SERIES_HTTP_SERVER), 2);
    rows = read_all(&set); // of one worker too
    assert_int_equal(rows.count, 2);
    series_scope_unref(&set, pair.one);
    series_scope_unref(&pair.other, pair.two);
    pair_end(&pair);
}

static void the_order_of_a_policys_labels_makes_no_series(void **state) {
    (void)state;
    uint64_t overflow;
    struct series_scope *one = series_scope_take(&set, SERVICE, ROUTE, bytes_from("a\0b\0", 4));
    struct series_scope *two = series_scope_take(&set, SERVICE, ROUTE, bytes_from("b\0c\0a\0", 6));
    struct request_told told = get(200);
    told.values = bytes_from("1\0"
                             "2\0",
                             4);
    series_count(&set, one, &told);
    told.values = bytes_from("2\0\0"
                             "1\0",
                             5);
    series_count(&set, two, &told);
    struct series_rows rows = read_all(&set);
    assert_int_equal(count_of(the_series(&rows, &overflow)), 2);
    told.values = bytes_from("1\0\0"
                             "2\0",
                             5);
    series_count(&set, two, &told);
    rows = read_all(&set);
    assert_int_equal(rows.count, 2);
    series_scope_unref(&set, one);
    series_scope_unref(&set, two);
}

// Neither a copy nor the forgetting of many series is done in one turn.
static void many_series_are_copied_and_forgotten_some_at_a_time(void **state) {
    (void)state;
    struct series_scope *scope = take();
    struct series_reading reading;
    char name[64];
    uint32_t turns = 0;
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "a.B/M%u", i);
        const struct request_told told = call(name, true);
        series_count(&set, scope, &told);
    }
    series_reading_begin(&reading, &set, &pool);
    while (series_reading_go_on(&reading, &pool, 10)) {
        assert_int_equal(reading.count, 10 * ++turns);
        snprintf(name, sizeof name, "a.B/Other%u", turns);
        const struct request_told told = call(name, true); // the table grows meanwhile
        series_count(&set, scope, &told);
    }
    assert_true(turns >= 100);
    struct series_rows rows = series_rows_merge(&reading.rows, 1, &pool);
    assert_true(rows.count >= 1000);
    assert_int_equal(total_of(&rows), rows.count);
    series_scope_unref(&set, scope);
    const uint32_t before = set.count;
    assert_true(series_set_tidy(&set, 10));
    assert_int_equal(set.count, before - 10);
    scope = take(); // is back before all has gone
    const struct request_told told = call("a.B/M1", true);
    series_count(&set, scope, &told);
    rows = read_all(&set);
    assert_int_equal(total_of(&rows), before + 1);
    assert_int_equal(set.count, 1);
    series_scope_unref(&set, scope);
}

// Texts and scopes count as series do: each is freed by itself.
static void what_leaves_is_freed_some_at_a_time(void **state) {
    (void)state;
    struct series_scope *scope = take(), *empty = series_scope_take(&set, SERVICE, BYTES_NONE, BYTES_NONE);
    char name[64];
    for (unsigned i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "a.B/M%u", i);
        const struct request_told told = call(name, true);
        series_count(&set, scope, &told);
    }
    series_scope_unref(&set, scope);
    assert_true(series_set_tidy(&set, 100));
    assert_int_equal(set.count, 0);
    assert_int_equal(scope->texts.count, 100);
    assert_true(series_set_is_untidy(&set));
    struct series_reading reading;
    series_reading_begin(&reading, &set, &pool); // what is half gone is harmless
    while (series_reading_go_on(&reading, &pool, 1))
        continue;
    assert_true(series_set_tidy(&set, 60));
    assert_int_equal(scope->texts.count, 40);
    series_scope_unref(&set, empty);
    unsigned turns = 1;
    while (series_set_tidy(&set, 1))
        turns++;
    assert_int_equal(turns, 42); // 40 texts and two scopes
    assert_true(list_is_empty(&set.scopes));
    const struct series_rows rows = read_all(&set);
    assert_int_equal(total_of(&rows), 100);
}

static void ends_are_series_of_their_service(void **state) {
    (void)state;
    struct series_scope *scope = series_scope_take(&set, SERVICE, BYTES_NONE, BYTES_NONE);
    for (unsigned i = 0; i < 3; i++)
        series_count_end(&set, scope, REQUEST_GATEWAY, OK, 5);
    series_count_end(&set, scope, REQUEST_GATEWAY, ERROR_NO_ENDPOINT, 6);
    const struct request_told told = get(200);
    series_count(&set, scope, &told);
    struct series_rows rows = read_all(&set);
    char *text = expose(&rows, EXPOSITION_PROMETHEUS);
    assert_non_null(strstr(text, "\noutrigger_request_ends_total{direction=\"gateway\",service=\"school/courses:80\",end=\"ok\"} 3\n"));
    assert_non_null(strstr(text, "\noutrigger_request_ends_total{direction=\"gateway\",service=\"school/courses:80\",end=\"no_endpoint\"} 1\n"));
    assert_null(strstr(text, "outrigger_metric_series{family=\"outrigger_request_ends_total\"}"));
    free(text);
    series_scope_unref(&set, scope);
    rows = read_all(&set);
    text = expose(&rows, EXPOSITION_PROMETHEUS);
    assert_non_null(strstr(text, "\noutrigger_request_ends_total{otel_metric_overflow=\"true\"} 4\n"));
    free(text);
}

static void methods_have_the_names_that_messages_give_them(void **state) {
    (void)state;
    assert_int_equal(REQUEST_METHODS, METHOD_COUNT);
    for (unsigned method = 1; method < METHOD_COUNT; method++)
        assert_true(bytes_equal(request_method_name(method), method_text((enum http_method)method)));
}

static void rows_of_workers_are_one(void **state) {
    (void)state;
    struct pair pair;
    pair_begin(&pair, "", 0);
    for (unsigned round = 1; round <= 2; round++) {
        struct request_told told = get(200);
        told.trace_id = (const uint8_t *)"0123456789abcdef";
        told.span_id = (const uint8_t *)"01234567";
        told.wall = 10 * round + (round == 1 ? 1 : 2); // the one has the newer exemplar, then the other
        series_count(&set, pair.one, &told);
        told.wall = 10 * round + (round == 1 ? 2 : 1);
        series_count(&pair.other, pair.two, &told);
        told = get(404);
        series_count(&pair.other, pair.two, &told);
        const struct series_rows rows = gather(&pair);
        assert_int_equal(rows.count, 2);
        assert_int_equal(total_of(&rows), 3 * round);
        assert_int_equal(series_registry_count(registry, SERIES_HTTP_SERVER), 2);
        for (uint32_t i = 0; i < rows.count; i++)
            if (rows.items[i]->facts.status == 200) {
                assert_int_equal(rows.items[i]->exemplar_count, 1);
                assert_int_equal(rows.items[i]->exemplars[0].wall, 10 * round + 2);
            }
    }
    series_scope_unref(&set, pair.one);
    series_scope_unref(&pair.other, pair.two);
    pair_end(&pair);
}

// OpenMetrics 1.0, "Exemplars": at the bucket that the value is in, the last one, and not in the older text.
static void the_last_sampled_request_of_a_bucket_is_its_exemplar(void **state) {
    (void)state;
    struct series_scope *scope = take();
    uint8_t trace[16] = {0x4b, 0xf9}, span[8] = {0x00, 0xf0};
    struct request_told told = get(200);
    told.trace_id = trace;
    told.span_id = span;
    for (uint8_t i = 1; i <= 5; i++) {
        trace[15] = i;
        told.duration = i * 100 * NS_PER_MS;
        told.wall = (1700000000 + i) * NS_PER_S;
        series_count(&set, scope, &told);
    }
    told.trace_id = NULL;
    series_count(&set, scope, &told);
    const struct series_rows rows = read_all(&set);
    assert_int_equal(rows.items[0]->exemplar_count, 3);
    char *text = expose(&rows, EXPOSITION_OPENMETRICS);
    assert_non_null(strstr(text, ",le=\"0.1\"} 1 # {trace_id=\"4bf90000000000000000000000000001\",span_id=\"00f0000000000000\"} 0.1 1700000001\n"));
    assert_non_null(strstr(text, ",le=\"0.25\"} 2 # {trace_id=\"4bf90000000000000000000000000002\",span_id=\"00f0000000000000\"} 0.2 1700000002\n"));
    assert_non_null(strstr(text, ",le=\"0.5\"} 6 # {trace_id=\"4bf90000000000000000000000000005\",span_id=\"00f0000000000000\"} 0.5 1700000005\n"));
    assert_non_null(strstr(text, ",le=\"0.75\"} 6\n"));
    free(text);
    text = expose(&rows, EXPOSITION_PROMETHEUS);
    assert_null(strstr(text, "trace_id"));
    free(text);
    series_scope_unref(&set, scope);
}

static void exponential_histograms_are_kept_where_they_are_asked_for(void **state) {
    (void)state;
    struct series_scope *scope = take();
    const struct request_told told = get(200);
    series_count(&set, scope, &told);
    struct series_rows rows = read_all(&set);
    assert_null(rows.items[0]->totals.exponential);
    series_registry_set(registry, 10, true, 5);
    series_count(&set, scope, &told);
    rows = read_all(&set);
    assert_int_equal(rows.items[0]->totals.exponential->histogram.buckets[0], 1);
    series_scope_unref(&set, scope);
    rows = read_all(&set);
    assert_int_equal(rows.items[0]->totals.exponential->histogram.buckets[0], 1); // of the overflow now
}

static const struct exponential_totals *exponential_of(struct series_set *of) {
    return read_all(of).items[0]->totals.exponential;
}

// Count, sum and start of an exponential histogram are those of one time: since it was switched on. What was before is the rest of the series.
static void exponential_histograms_begin_anew_each_time_they_are_switched_on(void **state) {
    (void)state;
    struct series_scope *scope = take();
    const struct request_told told = get(200);
    for (unsigned i = 0; i < 5; i++)
        series_count(&set, scope, &told);
    series_registry_set(registry, 10, true, 7);
    assert_null(exponential_of(&set));
    series_count(&set, scope, &told);
    series_registry_set(registry, 10, true, 8); // other documents that say the same
    series_count(&set, scope, &told);
    const struct exponential_totals *now = exponential_of(&set);
    assert_int_equal(now->since, 7);
    assert_int_equal(now->histogram.buckets[0], 2);
    assert_int_equal(now->buckets[0], 2);
    assert_int_equal(now->sum, 2 * NS_PER_MS);
    series_registry_set(registry, 10, false, 9);
    assert_null(exponential_of(&set));
    series_count(&set, scope, &told);
    assert_null(exponential_of(&set));
    series_registry_set(registry, 10, true, 10);
    assert_null(exponential_of(&set));
    for (nanoseconds since = 10; since <= 11; since++) {
        series_registry_set(registry, 10, false, since); // off and on, and no request in between
        series_registry_set(registry, 10, true, since);
        series_count(&set, scope, &told);
        now = exponential_of(&set);
        assert_int_equal(now->since, since);
        assert_int_equal(now->histogram.buckets[0], 1);
        assert_int_equal(now->buckets[0], 1);
    }
    assert_int_equal(total_of(&(struct series_rows){read_all(&set).items, 1}), 10);
    series_scope_unref(&set, scope);
}

// What has left has exponential histograms of the time that it was used in: those of an older time than the newest are of no use any more.
static void exponential_histograms_of_the_newest_time_are_kept_of_what_left(void **state) {
    (void)state;
    const struct request_told told = get(200);
    struct series_scope *old = take(), *older = series_scope_take(&set, SERVICE, BYTES("older"), BYTES_NONE);
    series_registry_set(registry, 10, true, 7);
    series_count(&set, old, &told);
    series_count(&set, older, &told);
    series_scope_unref(&set, old);
    const struct exponential_totals *now = exponential_of(&set);
    assert_int_equal(now->since, 7);
    series_registry_set(registry, 10, false, 8);
    series_registry_set(registry, 10, true, 9);
    for (unsigned i = 1; i <= 2; i++) {
        struct series_scope *scope = take();
        series_count(&set, scope, &told);
        series_scope_unref(&set, scope);
        if (i == 2)
            series_scope_unref(&set, older);
        const struct series_rows rows = read_all(&set);
        uint64_t overflow;
        assert_int_equal(the_series(&rows, &overflow) == NULL, i == 2);
        assert_int_equal(overflow, i == 1 ? 2 : 4);
        now = rows.items[rows.count - 1]->totals.exponential;
        assert_int_equal(now->since, 9);
        assert_int_equal(now->histogram.buckets[0], i);
        assert_int_equal(now->buckets[0], i);
        assert_int_equal(now->sum, i * NS_PER_MS);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(what_a_request_was_makes_its_series),
        TEST(what_is_written_in_slices_is_the_same),
        TEST(errors_are_told_by_our_name_or_by_the_status),
        TEST(methods_that_no_server_knows_make_no_series),
        TEST(beyond_the_cap_all_is_one_series),
        TEST(values_of_a_policys_labels_are_series_too),
        TEST(totals_survive_what_leaves_and_returns),
        TEST(what_leaves_during_a_reading_is_read_once),
        TEST(rows_of_workers_are_one),
        TEST(a_series_does_not_shrink_as_workers_leave_it_one_by_one),
        TEST(nothing_moves_under_a_gathering),
        TEST(what_leaves_again_and_again_is_one_part),
        TEST(scopes_with_other_labels_have_the_same_series),
        TEST(the_order_of_a_policys_labels_makes_no_series),
        TEST(many_series_are_copied_and_forgotten_some_at_a_time),
        TEST(what_leaves_is_freed_some_at_a_time),
        TEST(ends_are_series_of_their_service),
        TEST(methods_have_the_names_that_messages_give_them),
        TEST(the_last_sampled_request_of_a_bucket_is_its_exemplar),
        TEST(exponential_histograms_are_kept_where_they_are_asked_for),
        TEST(exponential_histograms_begin_anew_each_time_they_are_switched_on),
        TEST(exponential_histograms_of_the_newest_time_are_kept_of_what_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
