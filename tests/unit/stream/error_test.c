// Every way a request can end badly, as the table of errors says it: the status and body of an HTTP reply, the trailers-only reply of gRPC, Proxy-Status, and the `end`
// of the access log. Replies that cannot be made by an exchange alone are made by a failing stream.
#include "stream/error_reply.h"

#include "unit/stream/stream_drive.h"

#define GRPC "content-type: application/grpc\nte: trailers\n"

// --- the whole table ---

static const struct row {
    enum error error;
    unsigned status;
    int grpc;
    const char *proxy_status;
} table[] = {
    {ERROR_BAD_REQUEST, 400, 13, "http_request_error"},
    {ERROR_FRAMING_INVALID, 400, 13, "http_request_error"},
    {ERROR_UNAUTHENTICATED, 401, 16, "http_request_denied"},
    {ERROR_HEADER_TIMEOUT, 408, 4, "http_request_error"},
    {ERROR_BODY_TIMEOUT, 408, 4, "http_request_error"},
    {ERROR_BODY_TOO_LARGE, 413, 8, "http_request_error"},
    {ERROR_URI_TOO_LONG, 414, 13, "http_request_error"},
    {ERROR_HEADERS_TOO_LARGE, 431, 8, "http_request_error"},
    {ERROR_EXPECTATION, 417, 13, "http_request_error"},
    {ERROR_INTERNAL, 500, 13, "proxy_internal_error"},
    {ERROR_METHOD_UNKNOWN, 501, 12, "http_request_error"},
    {ERROR_VERSION_UNSUPPORTED, 505, 12, "http_request_error"},
    {ERROR_ROUTE_NOT_FOUND, 404, 12, "destination_not_found"},
    {ERROR_MISDIRECTED, 421, 14, "http_request_error"},
    {ERROR_BACKEND_INVALID, 500, 13, "proxy_configuration_error"},
    {ERROR_HOST_UNKNOWN, 502, 14, "destination_not_found"},
    {ERROR_CONNECT_REFUSED, 502, 14, "connection_refused"},
    {ERROR_TLS_FAILED, 502, 14, "tls_protocol_error"},
    {ERROR_IDENTITY_MISMATCH, 502, 14, "tls_certificate_error"},
    {ERROR_UPSTREAM_RESET, 502, 14, "connection_terminated"},
    {ERROR_RESPONSE_MALFORMED, 502, 13, "http_protocol_error"},
    {ERROR_UPGRADE_FAILED, 502, 13, "http_upgrade_failed"},
    {ERROR_LOOP, 502, 13, "proxy_loop_detected"},
    {ERROR_NO_ENDPOINT, 503, 14, "destination_unavailable"},
    {ERROR_POOL_FULL, 503, 14, "connection_limit_reached"},
    {ERROR_MEMORY_LIMIT, 503, 14, "connection_limit_reached"},
    {ERROR_DRAINING, 503, 14, "proxy_internal_response"},
    {ERROR_CONNECT_TIMEOUT, 504, 14, "connection_timeout"},
    {ERROR_REQUEST_TIMEOUT, 504, 4, "http_response_timeout"},
    {ERROR_TRY_TIMEOUT, 504, 4, "http_response_timeout"},
    {ERROR_DEADLINE_EXPIRED, 504, 4, "http_response_timeout"},
};
#define ROWS (sizeof table / sizeof table[0])

static const struct row *row_of(enum error error) {
    for (size_t i = 0; i < ROWS; i++)
        if (table[i].error == error)
            return &table[i];
    fail_msg("%s is not in the table", error_name(error));
    return NULL;
}

static void assert_proxy_status(const struct client *client, const struct row *row) {
    char expected[128];
    snprintf(expected, sizeof expected, "outrigger; error=%s", row->proxy_status);
    assert_has(client_field(client, "proxy-status"), expected);
    assert_has(client_field(client, "proxy-status"), error_name(row->error));
}

static void assert_http_reply(struct loopback *world, const struct client *client, enum error error) {
    const struct row *row = row_of(error);
    char status[32];
    assert_true(client->done && client->ended && !client->was_reset);
    assert_int_equal(client->status, row->status);
    assert_string_equal(client_field(client, "content-type"), "application/problem+json");
    snprintf(status, sizeof status, "\"status\":%u,", row->status);
    assert_has(client->body.at, status);
    assert_has(client->body.at, error_name(error));
    assert_proxy_status(client, row);
    assert_int_equal(world->record.count, 1);
    assert_int_equal(world->record.end, error);
    assert_int_equal(world->record.status, row->status);
    assert_int_equal(world->record.response_bytes, client->body.len);
}

static void assert_grpc_reply(struct loopback *world, const struct client *client, enum error error) {
    const struct row *row = row_of(error);
    char code[16];
    assert_true(client->done && client->ended && !client->was_reset);
    assert_int_equal(client->status, 200);
    assert_string_equal(client_field(client, "content-type"), "application/grpc");
    snprintf(code, sizeof code, "%d", row->grpc);
    assert_string_equal(client_field(client, "grpc-status"), code);
    assert_has(client_field(client, "grpc-message"), error_name(error));
    assert_int_equal(client->body.len, 0); // trailers only: one head that ends the response
    assert_int_equal(client->trailers.len, 0);
    assert_proxy_status(client, row);
    assert_int_equal(world->record.end, error);
    assert_int_equal(world->record.grpc_status, row->grpc);
}

static void each_error_has_its_reply(void **state) {
    (void)state;
    for (size_t i = 0; i < 2 * ROWS; i++) {
        struct loopback world;
        struct client client;
        bool grpc = i % 2 == 1;
        loopback_init(&world, PROXY SERVICE("HTTP1", ONE), NULL);
        world.far.mode = FAR_WAIT;
        client_open(&client, &world, grpc ? "POST a /s/m\n" GRPC : "POST a /\n");
        check_loop_turn(&world.far.check);
        stream_fail(client.stream, table[i / 2].error, BYTES("because"));
        loopback_settle(&world);
        if (grpc)
            assert_grpc_reply(&world, &client, table[i / 2].error);
        else
            assert_http_reply(&world, &client, table[i / 2].error);
        assert_string_equal(world.record.detail, "because");
        client_dispose(&client);
        loopback_dispose(&world);
    }
}

static void errors_that_only_layers_tell_each_other_become_rows(void **state) {
    (void)state;
    static const struct {
        enum error error, end;
    } others[] = {
        {ERROR_REFUSED_STREAM, ERROR_UPSTREAM_RESET},
        {ERROR_CANCELLED, ERROR_INTERNAL},
        {ERROR_CONNECTION_CLOSED, ERROR_UPSTREAM_RESET},
        {ERROR_CONNECTION_RESET, ERROR_UPSTREAM_RESET},
        {ERROR_PROTOCOL, ERROR_RESPONSE_MALFORMED},
        {ERROR_FLOOD, ERROR_RESPONSE_MALFORMED},
        {ERROR_NO_MEMORY, ERROR_MEMORY_LIMIT},
        {ERROR_IO, ERROR_INTERNAL},
        {ERROR_FULL, ERROR_INTERNAL},
    };
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        assert_false(error_is_end(others[i].error));
        assert_int_equal(error_end(others[i].error), others[i].end);
    }
    for (int number = 0; number < ERROR_COUNT; number++) {
        enum error error = (enum error)(-1 - number);
        assert_true(error_is_end(error_end(error)));
        assert_true(!error_is_end(error) || error_end(error) == error);
    }
}

// Whoever tells a stream of it: a filter or an attempt, or the client's connection.
static void a_stream_ends_with_a_row_whatever_it_is_told(void **state) {
    (void)state;
    for (int number = 0; number < 2 * ERROR_COUNT; number++) {
        struct loopback world;
        struct client client;
        enum error error = (enum error)(-1 - number / 2);
        loopback_init(&world, PROXY SERVICE("HTTP1", ONE), NULL);
        world.far.mode = FAR_WAIT;
        client_open(&client, &world, "POST a /\n");
        check_loop_turn(&world.far.check);
        if (number % 2 == 0)
            stream_fail(client.stream, error, BYTES_NONE);
        else
            stream_on_failed(client.stream, error);
        loopback_settle(&world);
        assert_true(client.done);
        assert_int_equal(world.record.end, error_end(error));
        assert_int_equal(world.record.status, error_status(error_end(error)));
        client_dispose(&client);
        loopback_dispose(&world);
    }
}

static void ends_that_are_only_logged_have_no_reply(void **state) {
    (void)state;
    assert_int_equal(error_status(ERROR_CLIENT_GONE), 0);
    assert_int_equal(error_grpc_status(ERROR_CLIENT_GONE), 1);
    assert_int_equal(error_status(ERROR_RESPONSE_INCOMPLETE), 0);
    assert_int_equal(error_grpc_status(ERROR_RESPONSE_INCOMPLETE), 14);
}

static void a_detail_cannot_break_out_of_its_quotes(void **state) {
    (void)state;
    for (int grpc = 0; grpc < 2; grpc++) {
        struct loopback world;
        struct client client;
        loopback_init(&world, PROXY SERVICE("HTTP1", ONE), NULL);
        client_open(&client, &world, grpc ? "POST a /\n" GRPC : "POST a /\n");
        check_loop_turn(&world.far.check);
        stream_fail(client.stream, ERROR_UNAUTHENTICATED, BYTES("a\"b\\c\r\nd\x7f\xc3\xa4%41"));
        loopback_settle(&world);
        const char *text = grpc ? client_field(&client, "grpc-message") : client.body.at;
        assert_has(text, "a'b'c''d'''");
        assert_has_not(text, grpc ? "%" : "\\");
        client_dispose(&client);
        loopback_dispose(&world);
    }
}

static void a_reply_to_head_has_a_length_and_no_body(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, PROXY SERVICE("HTTP1", ONE), NULL);
    client_get(&client, &world, "HEAD unknown /\n");
    loopback_settle(&world);
    assert_int_equal(client.status, 502);
    assert_int_equal(client.body.len, 0);
    assert_true(client.done && client.ended);
    client_dispose(&client);
    loopback_dispose(&world);
}

// --- what exchanges really end with ---

enum cause {
    UNKNOWN_HOST,
    REFUSED,
    NOT_IN_TIME,
    NO_WEIGHT,
    QUEUE_FULL,
    BROKEN,
    NONSENSE,
    REFUSED_STREAM,
    LOOPED,
    SLOW_TRY,
    SILENT,
    SLOW_BODY,
    LARGE_BODY,
    LARGE_LENGTH,
    BAD_PATH,
    BROKEN_REQUEST,
    CAUSES
};

static const enum error ends[CAUSES] = {
    [UNKNOWN_HOST] = ERROR_HOST_UNKNOWN,      [REFUSED] = ERROR_CONNECT_REFUSED,       [NOT_IN_TIME] = ERROR_CONNECT_TIMEOUT,
    [NO_WEIGHT] = ERROR_NO_ENDPOINT,          [QUEUE_FULL] = ERROR_POOL_FULL,          [BROKEN] = ERROR_UPSTREAM_RESET,
    [NONSENSE] = ERROR_RESPONSE_MALFORMED,    [REFUSED_STREAM] = ERROR_UPSTREAM_RESET, [LOOPED] = ERROR_LOOP,
    [SLOW_TRY] = ERROR_TRY_TIMEOUT,           [SILENT] = ERROR_REQUEST_TIMEOUT,        [SLOW_BODY] = ERROR_BODY_TIMEOUT,
    [LARGE_BODY] = ERROR_BODY_TOO_LARGE,      [LARGE_LENGTH] = ERROR_BODY_TOO_LARGE,   [BAD_PATH] = ERROR_BAD_REQUEST,
    [BROKEN_REQUEST] = ERROR_FRAMING_INVALID,
};

static const char *documents_for(enum cause cause) {
    switch (cause) {
    case NO_WEIGHT:
        return PROXY SERVICE("HTTP2", "{address: '127.0.0.1:8001', weight: 0}");
    case QUEUE_FULL:
        return PROXY SERVICE("HTTP2", ONE) POLICY("  connections: {maxPending: 0}\n");
    case SLOW_TRY:
        return PROXY SERVICE("HTTP2", ONE) POLICY("  timeouts: {backendRequest: 2s}\n");
    case LARGE_BODY:
    case LARGE_LENGTH:
        return PROXY_WITH("  limits: {bodyBytes: 1Ki}\n") SERVICE("HTTP2", ONE);
    default:
        return PROXY SERVICE("HTTP2", ONE);
    }
}

static void request_text(char *text, size_t size, enum cause cause, bool grpc) {
    int length = snprintf(text, size, "POST %s %s\n%s%s", cause == UNKNOWN_HOST ? "nobody" : "a", cause == BAD_PATH ? "/a/..;/b" : "/s/m",
                          grpc ? GRPC : "", cause == LARGE_LENGTH ? "content-length: 1025\n" : "");
    if (cause != LOOPED)
        return;
    length += snprintf(text + length, size - (size_t)length, "via: 1.1 outrigger");
    for (int i = 0; i < 30; i++)
        length += snprintf(text + length, size - (size_t)length, ", 1.1 outrigger");
    snprintf(text + length, size - (size_t)length, "\n");
}

static void make_it_happen(struct loopback *world, struct client *client, enum cause cause) {
    static char much[2000];
    switch (cause) {
    case BROKEN:
        client_end(client, NULL);
        far_break(far_conn(&world->far, 0));
        break;
    case NONSENSE:
        client_end(client, NULL);
        far_conn(&world->far, 0)->raw = true;
        far_send(far_conn(&world->far, 0), "220 mail.example.org ESMTP\r\n");
        break;
    case REFUSED_STREAM:
        client_end(client, NULL);
        for (unsigned i = 0; i < 2; i++) {
            struct far_conn *conn = far_conn(&world->far, 0);
            far_reset(conn, far_request(conn, i), ERROR_REFUSED_STREAM);
            loopback_pass(world, NS_PER_S);
        }
        break;
    case SLOW_TRY:
        client_end(client, NULL);
        loopback_pass(world, 2 * NS_PER_S);
        break;
    case SILENT:
        client_end(client, NULL);
        loopback_pass(world, 301 * NS_PER_S);
        break;
    case SLOW_BODY:
        client_send(client, BYTES("x"), false);
        loopback_pass(world, 61 * NS_PER_S);
        break;
    case LARGE_BODY:
        client_send(client, bytes_from(much, 1024), false);
        assert_int_equal(client->status, 0);
        client_send(client, bytes_from(much, 1), false);
        break;
    case BROKEN_REQUEST:
        client_send(client, BYTES("x"), false);
        client_fail(client, ERROR_FRAMING_INVALID);
        break;
    default:
        client_end(client, NULL);
        loopback_pass(world, 10 * NS_PER_S);
        break;
    }
}

static void each_cause_ends_as_the_table_says(void **state) {
    (void)state;
    for (int i = 0; i < 2 * CAUSES; i++) {
        enum cause cause = (enum cause)(i / 2);
        bool grpc = i % 2 == 1;
        if (grpc && cause == SLOW_BODY)
            continue; // a call that streams may be silent for longer
        struct loopback world;
        struct client client;
        char request[2048];
        loopback_init(&world, documents_for(cause), NULL);
        world.far.mode = cause == REFUSED ? FAR_REFUSE : cause == NOT_IN_TIME ? FAR_WAIT : FAR_ACCEPT;
        request_text(request, sizeof request, cause, grpc);
        client_open(&client, &world, request);
        loopback_settle(&world);
        make_it_happen(&world, &client, cause);
        if (grpc)
            assert_grpc_reply(&world, &client, ends[cause]);
        else
            assert_http_reply(&world, &client, ends[cause]);
        client_dispose(&client);
        loopback_dispose(&world);
    }
}

// --- a response that has begun ---

static void a_response_that_breaks_off_is_cut(void **state) {
    (void)state;
    static const char *const protocols[] = {PROXY SERVICE("HTTP1", ONE), PROXY SERVICE("HTTP2", ONE)};
    for (int i = 0; i < 2; i++) {
        struct loopback world;
        struct client client;
        loopback_init(&world, protocols[i], NULL);
        client_get(&client, &world, "GET a /\n");
        loopback_settle(&world);
        far_respond(far_conn(&world.far, 0), only_request(&world, 0), 200, "", "part", false);
        far_break(far_conn(&world.far, 0));
        assert_string_equal(client.body.at, "part");
        assert_true(client.was_reset && client.done);
        assert_int_equal(client.reset_error, ERROR_RESPONSE_INCOMPLETE);
        assert_int_equal(world.record.end, ERROR_RESPONSE_INCOMPLETE);
        assert_int_equal(world.record.status, 200);
        assert_int_equal(metric_read(&world.far.metrics.streams_reset_upstream), 1);
        client_dispose(&client);
        loopback_dispose(&world);
    }
}

static void a_grpc_response_that_breaks_off_ends_with_a_status(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, PROXY SERVICE("HTTP2", ONE), NULL);
    const struct stream_client from = {.address = &(union address){.v4 = {.sin_family = AF_INET}}};
    client_begin_as(&client, &world, loopback_listener(&world, "outbound"), &from, HTTP_2, "POST a /s/m\n" GRPC, true);
    loopback_settle(&world);
    far_respond(far_conn(&world.far, 0), only_request(&world, 0), 200, "content-type: application/grpc\n", "part", false);
    far_break(far_conn(&world.far, 0));
    assert_true(client.done && client.ended && !client.was_reset);
    assert_has(client.trailers.at, "14\n");
    assert_has(client.trailers.at, "response_incomplete");
    assert_int_equal(world.record.end, ERROR_RESPONSE_INCOMPLETE);
    assert_int_equal(world.record.grpc_status, 14);
    client_dispose(&client);
    loopback_dispose(&world);
}

static void a_body_over_the_limit_behind_an_answer_cuts_it(void **state) {
    (void)state;
    static char much[2000];
    struct loopback world;
    struct client client;
    loopback_init(&world, PROXY_WITH("  limits: {bodyBytes: 1Ki}\n") SERVICE("HTTP2", ONE), NULL);
    client_open(&client, &world, "POST a /\n");
    loopback_settle(&world);
    far_respond(far_conn(&world.far, 0), only_request(&world, 0), 200, "", NULL, false);
    assert_int_equal(client.status, 200);
    client_send(&client, bytes_from(much, sizeof much), false);
    assert_true(client.was_reset);
    assert_int_equal(world.record.end, ERROR_BODY_TOO_LARGE);
    client_dispose(&client);
    loopback_dispose(&world);
}

static void a_client_that_goes_is_answered_nothing(void **state) {
    (void)state;
    for (int answered = 0; answered < 2; answered++) {
        struct loopback world;
        struct client client;
        loopback_init(&world, PROXY SERVICE("HTTP2", ONE), NULL);
        client_get(&client, &world, "GET a /\n");
        loopback_settle(&world);
        if (answered)
            far_respond(far_conn(&world.far, 0), only_request(&world, 0), 200, "", "part", false);
        client_fail(&client, ERROR_CLIENT_GONE);
        assert_true(client.done && client.was_reset);
        assert_int_equal(client.status, answered ? 200 : 0);
        assert_int_equal(world.record.end, ERROR_CLIENT_GONE);
        assert_true(only_request(&world, 0)->has_failed); // upstream is told at once
        assert_int_equal(metric_read(&world.far.metrics.streams_reset_client), 1);
        struct endpoint *endpoint = fake_upstream_cluster(&world.far, "default/a:80")->endpoints[0];
        assert_int_equal(endpoint->links->failures, 0);
        assert_int_equal(endpoint->in_flight, 0);
        client_dispose(&client);
        loopback_dispose(&world);
    }
}

static void a_request_without_a_head_is_answered_too(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, PROXY, NULL);
    const struct stream_client from = {.address = &(union address){.v4 = {.sin_family = AF_INET}}};
    client_begin_as(&client, &world, loopback_listener(&world, "outbound"), &from, HTTP_1_1, NULL, true);
    client_fail(&client, ERROR_URI_TOO_LONG);
    assert_http_reply(&world, &client, ERROR_URI_TOO_LONG);
    client_dispose(&client);
    loopback_dispose(&world);
}

// Whatever was to be said, and whichever way it would have ended: no status was sent, and none of it is `ok`.
static void a_head_that_cannot_be_sent_is_no_success(void **state) {
    (void)state;
    static const struct {
        const char *request;
        const char *body; // of upstream's answer; NULL: it has none
        const char *trailers;
    } exchanges[] = {
        {"GET a /\n", NULL, NULL},
        {"GET a /\n", "text", NULL},
        {"POST a /\n" GRPC, NULL, "grpc-status: 0\n"},
        {"OPTIONS a /\nmax-forwards: 0\n", NULL, NULL},
    };
    static const enum error errors[] = {ERROR_INTERNAL, ERROR_CLIENT_GONE};
    for (size_t i = 0; i < 2 * sizeof exchanges / sizeof exchanges[0]; i++) {
        size_t which = i / 2;
        struct loopback world;
        struct client client;
        loopback_init(&world, PROXY SERVICE("HTTP2", ONE), NULL);
        client_get(&client, &world, exchanges[which].request);
        client.head_error = errors[i % 2];
        loopback_settle(&world);
        if (world.far.count > 0) {
            struct far_conn *conn = far_conn(&world.far, 0);
            struct owner_stream *request = only_request(&world, 0);
            bool end = exchanges[which].body == NULL && exchanges[which].trailers == NULL;
            far_respond(conn, request, 200, "", NULL, end);
            if (exchanges[which].trailers != NULL)
                far_trailers(conn, request, exchanges[which].trailers);
            else if (!end)
                far_body(conn, request, bytes_from_text(exchanges[which].body), true);
        }
        assert_true(client.done);
        assert_int_equal(world.record.end, errors[i % 2]);
        assert_int_equal(world.record.status, 0);
        assert_int_equal(world.record.response_bytes, 0);
        assert_int_equal(metric_read(&world.far.metrics.streams_reset_client), i % 2);
        client_dispose(&client);
        loopback_dispose(&world);
    }
}

static void an_error_reply_that_cannot_be_sent_keeps_its_error(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, PROXY SERVICE("HTTP1", ONE), NULL);
    client_get(&client, &world, "GET nobody /\n");
    client.head_error = ERROR_CLIENT_GONE;
    loopback_settle(&world);
    assert_true(client.done);
    assert_int_equal(world.record.end, ERROR_HOST_UNKNOWN);
    assert_int_equal(world.record.status, 0);
    assert_int_equal(world.record.response_bytes, 0);
    client_dispose(&client);
    loopback_dispose(&world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_error_has_its_reply),
        cmocka_unit_test(errors_that_only_layers_tell_each_other_become_rows),
        cmocka_unit_test(a_stream_ends_with_a_row_whatever_it_is_told),
        cmocka_unit_test(ends_that_are_only_logged_have_no_reply),
        cmocka_unit_test(a_detail_cannot_break_out_of_its_quotes),
        cmocka_unit_test(a_reply_to_head_has_a_length_and_no_body),
        cmocka_unit_test(each_cause_ends_as_the_table_says),
        cmocka_unit_test(a_response_that_breaks_off_is_cut),
        cmocka_unit_test(a_grpc_response_that_breaks_off_ends_with_a_status),
        cmocka_unit_test(a_body_over_the_limit_behind_an_answer_cuts_it),
        cmocka_unit_test(a_client_that_goes_is_answered_nothing),
        cmocka_unit_test(a_request_without_a_head_is_answered_too),
        cmocka_unit_test(a_head_that_cannot_be_sent_is_no_success),
        cmocka_unit_test(an_error_reply_that_cannot_be_sent_keeps_its_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
