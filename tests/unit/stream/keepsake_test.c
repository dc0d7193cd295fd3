// A stream pins its snapshot until its answer goes down and no filter needs its config; then, where there is a newer snapshot, it keeps what little it needs.
#include "unit/stream/stream_drive.h"

#include "stream/keepsake.h"

#define IDLE POLICY("  timeouts: {idle: 7s}\n")
#define DOCUMENTS PROXY SERVICE("HTTP1", ONE) IDLE
#define OTHERS PROXY SERVICE("HTTP1", "{address: '127.0.0.1:8002'}")
#define ROUTED                                                                                                                                    \
    DOCUMENTS "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r}\nspec:\n  parentRefs: [{group: '', kind: Service, " \
              "name: a}]\n"                                                                                                                       \
              "  rules: [{name: all, backendRefs: [{name: a, port: 80}]}]\n---\n"
#define GONE PROXY

static uint64_t snapshots(const struct loopback *world) {
    return metric_read(&world->far.metrics.snapshots_bound);
}

// A response whose head has gone down and whose body has begun.
static void download(struct loopback *world, struct client *client, unsigned position) {
    client_get(client, world, "GET a /x\n");
    loopback_settle(world);
    struct far_conn *conn = far_conn(&world->far, position);
    far_respond(conn, only_request(world, position), 200, "content-length: 6\n", NULL, false);
    far_body(conn, only_request(world, position), BYTES("abc"), false);
    assert_int_equal(client->stream->state, STREAM_RESPONSE);
}

static void rest(struct loopback *world, unsigned position) {
    far_body(far_conn(&world->far, position), only_request(world, position), BYTES("def"), true);
}

static void a_stream_with_its_answer_lets_go(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, ROUTED, NULL);
    download(&world, &client, 0);
    assert_non_null(client.stream->bound);
    loopback_apply(&world, GONE);
    loopback_settle(&world);
    assert_int_equal(snapshots(&world), 1);
    assert_null(client.stream->bound);
    assert_true(bytes_equal(client.stream->rule->label, BYTES("HTTPRoute/default/r: all")));
    rest(&world, 0);
    assert_true(client.ended);
    assert_string_equal(client.body.at, "abcdef");
    assert_string_equal(world.record.service, "default/a:80");
    assert_int_equal(world.record.end, OK);
    assert_int_equal(world.record.response_bytes, 6);
    client_dispose(&client);
    loopback_dispose(&world);
}

// Its cluster is gone too: it goes with the stream.
static void the_policy_that_it_began_with_ends_it(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, DOCUMENTS, NULL);
    download(&world, &client, 0);
    for (int i = 0; i < 3; i++)
        loopback_apply(&world, i % 2 == 0 ? GONE : OTHERS);
    loopback_settle(&world);
    assert_int_equal(snapshots(&world), 1);
    loopback_pass(&world, 8 * NS_PER_S);
    assert_true(client.was_reset);
    assert_int_equal(world.record.end, ERROR_REQUEST_TIMEOUT);
    assert_string_equal(world.record.policy, "TrafficPolicy/default/a: timeouts.idle");
    client_dispose(&client);
    loopback_dispose(&world);
}

// What it was told apart by, and the fields that its Proxy wants logged.
static void its_line_in_the_log_says_what_it_would_have_said(void **state) {
    (void)state;
    struct loopback_record records[2];
    for (int reloads = 0; reloads < 2; reloads++) {
        struct loopback world;
        struct client client;
        loopback_init(&world,
                      API "kind: Proxy\nmetadata: {name: p}\nspec:\n  listeners: [{name: outbound, role: Outbound, address: '127.0.0.1:15001'}]\n"
                          "  telemetry: {accessLog: {path: /dev/null, filter: All, headers: [x-tier, x-note], keys: [{type: Header, name: x-tenant}, "
                          "{type: Query, name: user}]}}\n---\n" SERVICE("HTTP1", ONE),
                      NULL);
        client_get(&client, &world, "GET a /x?user=ada\nx-tier: gold\nx-note: a b\nx-tenant: school\n");
        loopback_settle(&world);
        far_respond(far_conn(&world.far, 0), only_request(&world, 0), 200, "content-length: 3\n", NULL, false);
        for (int i = 0; i < reloads; i++)
            loopback_apply(&world, GONE);
        loopback_settle(&world);
        assert_int_equal(client.stream->keepsake != NULL, reloads);
        rest(&world, 0);
        assert_true(client.ended);
        records[reloads] = world.record;
        client_dispose(&client);
        loopback_dispose(&world);
    }
    assert_string_equal(records[1].headers, "x-tier=gold&x-note=a+b");
    assert_has(records[1].keys, "Header+x-tenant=");
    assert_has(records[1].keys, "&Query+user=");
    assert_string_equal(records[1].keys, records[0].keys);
    assert_string_equal(records[1].headers, records[0].headers);
}

// By the newest documents, which its endpoint is judged by.
static void an_endpoint_that_it_gets_ejected_is_said_to_be_so_by_its_policy(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, PROXY SERVICE("HTTP1", TWO) POLICY("  outlierDetection: {failureThreshold: 1}\n"), NULL);
    download(&world, &client, 0);
    loopback_apply(&world, PROXY SERVICE("HTTP1", TWO) POLICY("  outlierDetection: {failureThreshold: 1, ejectFor: 31s}\n"));
    loopback_settle(&world);
    assert_non_null(client.stream->keepsake);
    far_break(far_conn(&world.far, 0));
    assert_true(client.was_reset);
    assert_string_equal(world.record.ejected_by, "TrafficPolicy/default/a: outlierDetection: response_incomplete");
    client_dispose(&client);
    loopback_dispose(&world);
}

static void a_stream_without_an_answer_keeps_its_documents(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, DOCUMENTS, NULL);
    client_get(&client, &world, "GET a /x\n");
    loopback_settle(&world);
    loopback_apply(&world, OTHERS);
    loopback_settle(&world);
    assert_int_equal(snapshots(&world), 2);
    // As soon as it has one it lets go.
    far_respond(far_conn(&world.far, 0), only_request(&world, 0), 200, "content-length: 6\n", NULL, false);
    assert_int_equal(snapshots(&world), 1);
    assert_null(client.stream->bound);
    far_body(far_conn(&world.far, 0), only_request(&world, 0), BYTES("abcdef"), true);
    assert_true(client.ended);
    client_dispose(&client);
    loopback_dispose(&world);
}

static void streams_that_are_alike_share(void **state) {
    (void)state;
    struct loopback world;
    struct client clients[3];
    loopback_init(&world, DOCUMENTS, NULL);
    for (unsigned i = 0; i < 3; i++)
        download(&world, &clients[i], i);
    uint32_t chunks = world.far.check.loop.pools.used;
    loopback_apply(&world, OTHERS);
    loopback_settle(&world);
    assert_int_equal(snapshots(&world), 1);
    assert_ptr_equal(clients[0].stream->keepsake, clients[2].stream->keepsake);
    assert_int_equal(clients[0].stream->keepsake->references, 3);
    assert_in_range(world.far.check.loop.pools.used, chunks + 1, chunks + 2);
    for (unsigned i = 0; i < 3; i++)
        rest(&world, i);
    for (unsigned i = 0; i < 3; i++)
        client_dispose(&clients[i]);
    loopback_settle(&world);
    assert_int_equal(world.far.check.loop.pools.used, 0);
    loopback_dispose(&world);
}

static void a_long_stream_for_each_of_many_snapshots_keeps_none(void **state) {
    (void)state;
#define MANY 50
    struct loopback world;
    struct client clients[MANY];
    loopback_init(&world, DOCUMENTS, NULL);
    for (unsigned i = 0; i < MANY; i++) {
        download(&world, &clients[i], i);
        loopback_apply(&world, i % 2 == 0 ? PROXY SERVICE("HTTP1", TWO) IDLE : DOCUMENTS);
        loopback_settle(&world);
        assert_int_equal(snapshots(&world), 1);
    }
    for (unsigned i = 0; i < MANY; i++) {
        rest(&world, i);
        assert_true(clients[i].ended);
        client_dispose(&clients[i]);
    }
    loopback_dispose(&world);
}

// --- filters ---

static unsigned ends, ends_with_config, pieces;

static const void *configure(const struct filter_scope *scope, struct pool *pool) {
    (void)pool;
    return scope->role == FILTER_OUTBOUND ? scope->destination : NULL;
}

static void end(struct stream *stream, const void *config, void *state) {
    (void)stream;
    (void)state;
    ends++;
    ends_with_config += config != NULL;
}

static enum filter_result piece(struct stream *stream, const void *config, void *state, struct buffer *body, bool last) {
    (void)stream;
    (void)state;
    (void)body;
    (void)last;
    pieces++;
    assert_non_null(config);
    return FILTER_CONTINUE;
}

// The name is one that the chain has a place for.
static const struct filter_type with_config = {.name = "mirror", .configure = configure, .ops = {.end = end}};
static const struct filter_type without_config = {.name = "mirror", .ends_without_config = true, .configure = configure, .ops = {.end = end}};
static const struct filter_type of_requests = {
    .name = "mirror", .ends_without_config = true, .configure = configure, .ops = {.request_data = piece, .end = end}};
static const struct filter_type of_answers = {
    .name = "mirror", .ends_without_config = true, .configure = configure, .ops = {.response_data = piece, .end = end}};

// A download during which the documents change. Returns how many snapshots there are then.
static uint64_t snapshots_with(const struct filter_type *type) {
    const struct filter_type *const filters[] = {type, NULL};
    struct loopback world;
    struct client client;
    ends = ends_with_config = pieces = 0;
    loopback_init(&world, DOCUMENTS, filters);
    download(&world, &client, 0);
    loopback_apply(&world, OTHERS);
    loopback_settle(&world);
    uint64_t count = snapshots(&world);
    rest(&world, 0);
    assert_true(client.ended);
    assert_int_equal(ends, 1);
    loopback_settle(&world);
    assert_int_equal(snapshots(&world), 1);
    client_dispose(&client);
    loopback_dispose(&world);
    return count;
}

static void a_filter_that_needs_its_config_keeps_the_documents(void **state) {
    (void)state;
    assert_int_equal(snapshots_with(&with_config), 2);
    assert_int_equal(ends_with_config, 1);
    assert_int_equal(snapshots_with(&of_answers), 2);
    assert_int_equal(pieces, 2);
    assert_int_equal(snapshots_with(&without_config), 1);
    assert_int_equal(ends_with_config, 0);
    assert_int_equal(snapshots_with(&of_requests), 1); // it had no body
}

static void a_filter_reads_a_request_to_its_end(void **state) {
    (void)state;
    const struct filter_type *const filters[] = {&of_requests, NULL};
    struct loopback world;
    struct client client;
    pieces = 0;
    loopback_init(&world, DOCUMENTS, filters);
    client_open(&client, &world, "POST a /x\ncontent-length: 6\n");
    client_send(&client, BYTES("abc"), false);
    far_respond(far_conn(&world.far, 0), only_request(&world, 0), 200, "content-length: 2\n", NULL, false);
    loopback_apply(&world, OTHERS);
    loopback_settle(&world);
    assert_int_equal(snapshots(&world), 2);
    client_send(&client, BYTES("def"), true);
    assert_int_equal(pieces, 2);
    assert_int_equal(snapshots(&world), 1);
    far_body(far_conn(&world.far, 0), only_request(&world, 0), BYTES("ok"), true);
    assert_true(client.ended);
    client_dispose(&client);
    loopback_dispose(&world);
}

// How often something is counted in what is held for a service, by the newest documents.
static uint64_t counted(struct loopback *world, uint64_t *elsewhere) {
    const struct series_set *set = &world->far.upstream.series;
    uint64_t count = 0;
    LIST_EACH(&set->scopes, node, following) {
        const struct series_scope *scope = LIST_ENTRY(node, struct series_scope, link);
        for (const struct request_series *series = scope->first; series != NULL; series = series->next)
            for (int i = 0; i < DURATION_BUCKETS; i++)
                count += series->totals.buckets[i];
    }
    *elsewhere = 0;
    for (int family = 0; family < SERIES_FAMILIES; family++)
        for (int i = 0; i < DURATION_BUCKETS; i++)
            *elsewhere += set->overflow[family].buckets[i];
    return count;
}

// The first that ever counts there does so when its documents have gone, some reloads ago: what it was for is there still.
static void what_it_counts_stays_with_its_service(void **state) {
    (void)state;
    for (unsigned reloads = 1; reloads <= 3; reloads++) {
        for (unsigned rules = 0; rules < 2; rules++) {
            struct loopback world;
            struct client client;
            uint64_t elsewhere;
            loopback_init(&world, rules > 0 ? ROUTED : DOCUMENTS, NULL);
            download(&world, &client, 0);
            for (unsigned i = 0; i < reloads; i++) {
                loopback_apply(&world, rules > 0 ? ROUTED : OTHERS);
                loopback_settle(&world);
            }
            assert_int_equal(snapshots(&world), 1);
            assert_non_null(client.stream->keepsake);
            rest(&world, 0);
            assert_true(client.ended);
            client_dispose(&client);
            for (unsigned i = 0; i < 2; i++) {
                loopback_settle(&world);
                assert_int_equal(counted(&world, &elsewhere), 2); // a duration and an end
                assert_int_equal(elsewhere, 0);
                loopback_apply(&world, rules > 0 ? ROUTED : OTHERS);
            }
            loopback_apply(&world, GONE);
            loopback_settle(&world);
            assert_int_equal(counted(&world, &elsewhere), 0);
            assert_int_equal(elsewhere, 2);
            loopback_dispose(&world);
        }
    }
}

// Nor does one that has its documents with it, since it has no answer yet.
static void what_it_counts_by_old_documents_stays_too(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    uint64_t elsewhere;
    loopback_init(&world, ROUTED, NULL);
    client_get(&client, &world, "GET a /x\n");
    loopback_settle(&world);
    loopback_apply(&world, OTHERS); // without the rule
    loopback_settle(&world);
    assert_int_equal(snapshots(&world), 2);
    far_respond(far_conn(&world.far, 0), only_request(&world, 0), 200, "content-length: 0\n", NULL, true);
    assert_true(client.ended);
    client_dispose(&client);
    loopback_settle(&world);
    assert_int_equal(snapshots(&world), 1);
    assert_int_equal(counted(&world, &elsewhere), 1); // its end: the service is there
    assert_int_equal(elsewhere, 1);                   // its duration: the rule is not
    loopback_dispose(&world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stream_with_its_answer_lets_go),
        cmocka_unit_test(the_policy_that_it_began_with_ends_it),
        cmocka_unit_test(its_line_in_the_log_says_what_it_would_have_said),
        cmocka_unit_test(an_endpoint_that_it_gets_ejected_is_said_to_be_so_by_its_policy),
        cmocka_unit_test(a_stream_without_an_answer_keeps_its_documents),
        cmocka_unit_test(streams_that_are_alike_share),
        cmocka_unit_test(a_long_stream_for_each_of_many_snapshots_keeps_none),
        cmocka_unit_test(a_filter_that_needs_its_config_keeps_the_documents),
        cmocka_unit_test(a_filter_reads_a_request_to_its_end),
        cmocka_unit_test(what_it_counts_stays_with_its_service),
        cmocka_unit_test(what_it_counts_by_old_documents_stays_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
