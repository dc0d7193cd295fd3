// A try on its way through a worker: the request that a collector gets by each protocol, and what comes back of its answer.
#include "agent/export_call.h"

#include "unit/stream/stream_drive.h"

#include <stdio.h>

#define WORLD(protocol)                                                                                                          \
    API "kind: Proxy\nmetadata: {name: p}\nspec:\n  listeners: [{name: outbound, role: Outbound, address: '127.0.0.1:15001'}]\n" \
        "  limits: {bodyBytes: 1}\n  telemetry: {traces: {endpoint: 'http://a', protocol: " protocol                             \
        ", headers: [{name: authorization, value: key}]}}\n---\n" SERVICE("HTTP", ONE)

struct world {
    struct loopback loopback;
    struct export_call *call;
    struct otlp_sender_terms terms;
    unsigned over;
    struct export_call *under_way;
};

static void on_over(struct export_call *call) {
    struct world *world = call->user;
    world->over++;
}

static void world_init(struct world *world, const char *documents, enum otlp_protocol protocol, enum otlp_compression compression) {
    *world = (struct world){.terms = {.protocol = protocol, .compression = compression}};
    loopback_init(&world->loopback, documents, NULL);
    world->call =
        export_call_create(&world->loopback.far.check.loop.mailbox, OTLP_TRACES, &world->terms, BYTES("encoded"), 2 * NS_PER_S, on_over, world);
}

static void run(struct world *world) {
    export_call_run(world->call, &world->loopback.env, world->loopback.bound, &world->under_way);
    assert_int_equal(world->over, 0);
    loopback_settle(&world->loopback);
}

static void world_dispose(struct world *world) {
    assert_int_equal(world->over, 1);
    export_call_destroy(world->call);
    loopback_dispose(&world->loopback);
}

static void over_http_the_body_is_said_to_be_what_it_is(void **state) {
    (void)state;
    static const struct {
        const char *documents;
        enum otlp_protocol protocol;
        const char *type;
    } cases[] = {{WORLD("HTTPProtobuf"), OTLP_HTTP_PROTOBUF, "content-type: application/x-protobuf"},
                 {WORLD("HTTPJSON"), OTLP_HTTP_JSON, "content-type: application/json"}};
    for (size_t i = 0; i < 2; i++) {
        struct world world;
        world_init(&world, cases[i].documents, cases[i].protocol, i == 0 ? OTLP_COMPRESSION_GZIP : OTLP_COMPRESSION_NONE);
        run(&world);
        const char *text = received(&world.loopback, 0);
        assert_has(text, "head POST http a /v1/traces");
        assert_has(text, cases[i].type);
        assert_has(text, "authorization: key");
        assert_has(text, "OTel-OTLP-Exporter-");
        assert_has(text, "body 7 encoded"); // longer than clients' bodies may be
        assert_int_equal(has_text(text, "content-encoding: gzip"), i == 0);
        respond(&world.loopback, 0, 503, "retry-after: 7\ncontent-type: text/plain\ncontent-length: 4\n", "busy");
        loopback_settle(&world.loopback);
        assert_int_equal(world.call->answer.end, OK);
        assert_int_equal(world.call->answer.status, 503);
        assert_true(bytes_equal(world.call->answer.retry_after, BYTES("7")));
        assert_true(bytes_equal(world.call->answer.content_type, BYTES("text/plain")));
        assert_true(bytes_equal(world.call->answer.body, BYTES("busy")));
        world_dispose(&world);
    }
}

static void of_a_long_answer_the_front_is_kept(void **state) {
    (void)state;
    static char body[OTLP_ANSWER_BYTES_KEPT + 2];
    memset(body, 'x', sizeof body - 1);
    for (size_t more = 0; more < 2; more++) {
        struct world world;
        char head[64];
        world_init(&world, WORLD("HTTPProtobuf"), OTLP_HTTP_PROTOBUF, OTLP_COMPRESSION_NONE);
        run(&world);
        body[OTLP_ANSWER_BYTES_KEPT + more] = '\0';
        (void)snprintf(head, sizeof head, "content-length: %zu\n", strlen(body));
        respond(&world.loopback, 0, 200, head, body);
        body[OTLP_ANSWER_BYTES_KEPT + more] = 'x';
        loopback_settle(&world.loopback);
        assert_int_equal(world.call->answer.end, OK);
        assert_int_equal(world.call->answer.body.len, OTLP_ANSWER_BYTES_KEPT);
        assert_int_equal(world.call->answer.is_cut, more == 1);
        world_dispose(&world);
    }
}

static void grpc_has_its_status_in_trailers_or_in_the_head(void **state) {
    (void)state;
    for (int trailers = 0; trailers < 2; trailers++) {
        struct world world;
        world_init(&world, WORLD("GRPC"), OTLP_GRPC, OTLP_COMPRESSION_GZIP);
        run(&world);
        const char *text = received(&world.loopback, 0);
        assert_has(text, "/opentelemetry.proto.collector.trace.v1.TraceService/Export");
        assert_has(text, "content-type: application/grpc");
        assert_has(text, "grpc-timeout: 2000m");
        assert_has(text, "grpc-encoding: gzip");
        assert_has(text, "te-trailers");
        struct far_conn *conn = far_conn(&world.loopback.far, 0);
        if (trailers) {
            far_respond(conn, only_request(&world.loopback, 0), 200, "content-type: application/grpc\n", "", false);
            far_trailers(conn, only_request(&world.loopback, 0), "grpc-status: 14\ngrpc-message: why\ngrpc-status-details-bin: AA\n");
        } else {
            far_respond(conn, only_request(&world.loopback, 0), 200, "grpc-status: 14\ngrpc-message: why\ngrpc-status-details-bin: AA\n", "", true);
        }
        loopback_settle(&world.loopback);
        assert_int_equal(world.call->answer.end, OK);
        assert_true(bytes_equal(world.call->answer.grpc_status, BYTES("14")));
        assert_true(bytes_equal(world.call->answer.grpc_message, BYTES("why")));
        assert_true(bytes_equal(world.call->answer.grpc_details, BYTES("AA")));
        world_dispose(&world);
    }
}

static void one_that_is_cancelled_is_over_at_once(void **state) {
    (void)state;
    struct world world;
    world_init(&world, WORLD("HTTPProtobuf"), OTLP_HTTP_PROTOBUF, OTLP_COMPRESSION_NONE);
    run(&world);
    assert_has(received(&world.loopback, 0), "head POST http a /v1/traces");
    assert_ptr_equal(world.under_way, world.call);
    export_call_cancel(world.call);
    assert_null(world.under_way);
    loopback_settle(&world.loopback);
    assert_int_equal(world.call->answer.end, ERROR_CANCELLED);
    assert_int_equal(world.loopback.env.subrequest_count, 0);
    world_dispose(&world);
}

static void what_cannot_be_sent_comes_back_all_the_same(void **state) {
    (void)state;
    struct world world;
    world_init(&world, PROXY, OTLP_HTTP_PROTOBUF, OTLP_COMPRESSION_NONE);
    run(&world);
    assert_int_equal(world.call->answer.end, ERROR_NO_ENDPOINT); // these documents send nothing
    world_dispose(&world);
    world_init(&world, WORLD("HTTPProtobuf"), OTLP_HTTP_PROTOBUF, OTLP_COMPRESSION_NONE);
    world.loopback.env.refuses_streams = true;
    run(&world);
    assert_int_equal(world.call->answer.end, ERROR_MEMORY_LIMIT);
    world_dispose(&world);
    world_init(&world, WORLD("HTTPProtobuf"), OTLP_HTTP_PROTOBUF, OTLP_COMPRESSION_NONE);
    run(&world);
    loopback_pass(&world.loopback, 3 * NS_PER_S); // nobody answers
    loopback_settle(&world.loopback);
    assert_int_equal(world.call->answer.end, ERROR_REQUEST_TIMEOUT);
    world_dispose(&world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(over_http_the_body_is_said_to_be_what_it_is),    cmocka_unit_test(of_a_long_answer_the_front_is_kept),
        cmocka_unit_test(grpc_has_its_status_in_trailers_or_in_the_head), cmocka_unit_test(one_that_is_cancelled_is_over_at_once),
        cmocka_unit_test(what_cannot_be_sent_comes_back_all_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
