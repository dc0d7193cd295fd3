// The debug header: who is told what was decided, and that nobody else learns anything of it.
#include "unit/stream/stream_drive.h"

#include "stream/explanation.h"
#include "stream/debug_header.h"

#include <arpa/inet.h>

#define TRACED PROXY_WITH("  debug: {header: x-debug}\n") SERVICE("HTTP1", ONE)

static union address address_of(const char *text) {
    union address address = {.v4 = {.sin_family = AF_INET}};
    CHECK(inet_pton(AF_INET, text, &address.v4.sin_addr) == 1);
    return address;
}

// One request from there, answered with 200 where a server is asked. `seen`: what the server got of the field; `told`: what the answer has of it; NULL: nothing.
struct outcome {
    unsigned status;
    bool seen;
    char told[DEBUG_HEADER_BYTES_MAX + 1];
};

static struct outcome ask(struct loopback *world, const char *from, bool mesh, const char *request) {
    const union address address = address_of(from);
    const struct stream_client who = {.address = &address, .mesh = mesh};
    struct outcome outcome = {0};
    struct client client;
    client_begin_as(&client, world, loopback_listener(world, "outbound"), &who, HTTP_1_1, request, true);
    loopback_settle(world);
    if (client.status == 0) {
        outcome.seen = has_text(received(world, 0), "x-debug");
        respond(world, 0, 200, "content-length: 0\n", "");
    }
    const char *line = client.fields.at == NULL ? NULL : strstr(client.fields.at, "x-debug: ");
    if (line != NULL) {
        const size_t length = strcspn(line + strlen("x-debug: "), "\n");
        CHECK(length < sizeof outcome.told);
        memcpy(outcome.told, line + strlen("x-debug: "), length);
    }
    outcome.status = client.status;
    client_dispose(&client);
    return outcome;
}

static void whoever_is_on_this_machine_is_told(void **state) {
    (void)state;
    struct loopback world;
    loopback_init(&world, TRACED, NULL);
    const struct outcome outcome = ask(&world, "127.0.0.1", false, "GET a /\nx-debug: 1\n");
    assert_int_equal(outcome.status, 200);
    assert_true(outcome.seen);
    assert_string_equal(outcome.told,
                        "{\"proxy\":\"p\",\"listener\":\"outbound\",\"end\":\"ok\",\"service\":\"default/a:80\",\"filters\":[],\"left_out\":0,"
                        "\"attempts\":[{\"outcome\":\"answered\",\"endpoint\":\"127.0.0.1:8001\"}]}");
    loopback_dispose(&world);
}

static void whoever_does_not_ask_is_not_told(void **state) {
    (void)state;
    struct loopback world;
    loopback_init(&world, TRACED, NULL);
    assert_string_equal(ask(&world, "127.0.0.1", false, "GET a /\n").told, "");
    loopback_dispose(&world);
    loopback_init(&world, PROXY SERVICE("HTTP1", ONE), NULL);
    const struct outcome outcome = ask(&world, "127.0.0.1", false, "GET a /\nx-debug: 1\n");
    assert_string_equal(outcome.told, ""); // nothing is configured: a field as any other
    assert_true(outcome.seen);
    loopback_dispose(&world);
}

static void a_stranger_is_not_told_and_asks_nobody_further_on(void **state) {
    (void)state;
    struct loopback world;
    loopback_init(&world, TRACED, NULL);
    const struct outcome outcome = ask(&world, "10.0.0.1", false, "GET a /\nX-Debug: 1\nx-debug: 2\n");
    assert_int_equal(outcome.status, 200);
    assert_false(outcome.seen);
    assert_string_equal(outcome.told, "");
    loopback_dispose(&world);
}

static void nor_is_whoever_a_balancer_of_this_machine_speaks_for(void **state) {
    (void)state;
    struct loopback world;
    loopback_init(&world, TRACED, NULL);
    const struct outcome outcome = ask(&world, "127.0.0.1", false, "GET a /\nx-debug: 1\nx-forwarded-for: 192.0.2.1\n");
    assert_int_equal(outcome.status, 200);
    assert_false(outcome.seen);
    assert_string_equal(outcome.told, "");
    loopback_dispose(&world);
}

static void a_caller_of_the_mesh_is_told(void **state) {
    (void)state;
    struct loopback world;
    loopback_init(&world, TRACED, NULL);
    assert_true(has_text(ask(&world, "10.0.0.1", true, "GET a /\nx-debug: 1\n").told, "\"end\":\"ok\""));
    loopback_dispose(&world);
}

// The breakers of endpoints stand behind all filters.
static void a_breaker_that_refuses_where_an_endpoint_is_picked_is_told(void **state) {
    (void)state;
    static const char *const modes[] = {"Enforce", "DryRun"};
    for (size_t i = 0; i < 2; i++) {
        char documents[2048], step[256];
        struct loopback world;
        snprintf(documents, sizeof documents,
                 TRACED POLICY("  retry: {disabled: true}\n  circuitBreaker: {scope: Endpoint, failureThreshold: 1, openFor: 60s, mode: %s}\n"),
                 modes[i]);
        loopback_init(&world, documents, NULL);
        const union address address = address_of("127.0.0.1");
        const struct stream_client who = {.address = &address};
        struct client client = {0};
        for (unsigned asked = 0; asked < 2; asked++) {
            client_begin_as(&client, &world, loopback_listener(&world, "outbound"), &who, HTTP_1_1, "GET a /\nx-debug: 1\n", true);
            loopback_settle(&world);
            if (client.status == 0)
                far_respond(far_conn(&world.far, 0), far_conn(&world.far, 0)->server.last, 500, "content-length: 0\n", "", true);
            assert_int_equal(client.status, asked == 1 && i == 0 ? 503 : 500);
            snprintf(
                step, sizeof step,
                "{\"filter\":\"breaker\",\"outcome\":\"%s\",\"policy\":\"TrafficPolicy/default/a\",\"rule\":\"circuitBreaker\",\"reason\":\"open\"}",
                i == 0 ? "refused" : "would refuse");
            assert_int_equal(has_text(client.fields.at, step), asked == 1);
            client_dispose(&client);
        }
        loopback_dispose(&world);
    }
}

static void an_error_is_told_too(void **state) {
    (void)state;
    struct loopback world;
    loopback_init(&world, TRACED, NULL);
    const struct outcome outcome = ask(&world, "127.0.0.1", false, "GET nobody /\nx-debug: 1\n");
    assert_int_equal(outcome.status, 502);
    assert_string_equal(outcome.told, "{\"proxy\":\"p\",\"listener\":\"outbound\",\"end\":\"host_unknown\",\"filters\":[],\"left_out\":0}");
    loopback_dispose(&world);
}

// ---- room

static enum filter_result decide(struct stream *stream, const void *config, void *state) {
    (void)config;
    (void)state;
    char reason[200];
    memset(reason, '"', sizeof reason);
    stream_fail(stream, ERROR_BAD_REQUEST, bytes_from(reason, sizeof reason));
    return FILTER_REPLIED;
}

static const void *configure(const struct filter_scope *scope, struct pool *pool) {
    (void)scope;
    return pool_alloc(pool, 1);
}

static enum filter_result pass(struct stream *stream, const void *config, void *state) {
    (void)config;
    (void)state;
    char text[600];
    memset(text, 'x', sizeof text);
    explain_depends(stream, bytes_from(text, sizeof text), BYTES("\x01\xff\xc3\xa9"));
    return FILTER_CONTINUE;
}

static void what_has_no_room_is_left_out_whole(void **state) {
    (void)state;
    static const struct filter_type deadline = {.name = "deadline", .configure = configure, .ops = {.decide = pass}};
    static const struct filter_type limit = {.name = "rate_limit", .configure = configure, .ops = {.decide = pass}};
    static const struct filter_type redirect = {.name = "redirect", .configure = configure, .ops = {.decide = pass}};
    static const struct filter_type rewrite = {.name = "rewrite", .configure = configure, .ops = {.decide = pass}};
    static const struct filter_type fault = {.name = "fault", .configure = configure, .ops = {.decide = decide}};
    static const struct filter_type *const types[] = {&deadline, &limit, &redirect, &rewrite, &fault, NULL};
    struct loopback world;
    loopback_init(&world, TRACED, types);
    const struct outcome outcome = ask(&world, "127.0.0.1", false, "GET a /\nx-debug: 1\n");
    assert_int_equal(outcome.status, 400);
    assert_true(strlen(outcome.told) <= DEBUG_HEADER_BYTES_MAX);
    assert_true(has_text(outcome.told, "\"filter\":\"deadline\",\"outcome\":\"depends\""));
    assert_true(has_text(outcome.told, "\\u0001????")); // ASCII alone
    assert_false(has_text(outcome.told, "\"redirect\"") || has_text(outcome.told, "\"rewrite\""));
    assert_true(has_text(outcome.told, "\"filter\":\"fault\",\"outcome\":\"refused\"")); // it is shorter
    assert_true(has_text(outcome.told, "],\"left_out\":2}"));
    loopback_dispose(&world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whoever_is_on_this_machine_is_told),
        cmocka_unit_test(whoever_does_not_ask_is_not_told),
        cmocka_unit_test(a_stranger_is_not_told_and_asks_nobody_further_on),
        cmocka_unit_test(nor_is_whoever_a_balancer_of_this_machine_speaks_for),
        cmocka_unit_test(a_caller_of_the_mesh_is_told),
        cmocka_unit_test(a_breaker_that_refuses_where_an_endpoint_is_picked_is_told),
        cmocka_unit_test(an_error_is_told_too),
        cmocka_unit_test(what_has_no_room_is_left_out_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
