// From request to page: which listener has which, who is refused, figures that come later, commands, the end.
#include "one_admin.h"
#include "base/log.h"

static void list_names_the_pages_of_its_listener(void **state) {
    (void)state;
    const char *response = client_get(&client, "/?format=text");
    assert_int_equal(status_of(response), 200);
    assert_non_null(strstr(response, "POST    /drain "));
    assert_non_null(strstr(response, "GET     /metrics "));
    response = client_ask(&client, &client.metrics_address, "GET /?format=text", "Host: 10.0.0.1:15020\r\n");
    assert_int_equal(status_of(response), 200);
    assert_null(strstr(response, "/drain"));
    assert_non_null(strstr(response, "GET     /metrics "));
}

static void health_is_ok_while_the_process_works(void **state) {
    (void)state;
    client.ready = false;
    const char *response = client_ask(&client, &client.metrics_address, "GET /healthz", "Host: h\r\n");
    assert_int_equal(status_of(response), 200);
    assert_string_equal(body_of(response), "ok\n");
    assert_int_equal(client.collected, 0); // no worker is asked
}

static void readiness_is_the_sources_with_its_reason(void **state) {
    (void)state;
    const char *response = client_ask(&client, &client.metrics_address, "GET /readyz", "Host: h\r\n");
    assert_int_equal(status_of(response), 200);
    assert_string_equal(body_of(response), "ready\n");
    client.ready = false;
    response = client_ask(&client, &client.metrics_address, "GET /readyz", "Host: h\r\n");
    assert_int_equal(status_of(response), 503);
    assert_string_equal(body_of(response), "no certificate yet\n");
}

static void unknown_page_is_404_in_json(void **state) {
    (void)state;
    const char *response = client_get(&client, "/nothing");
    assert_int_equal(status_of(response), 404);
    assert_non_null(strcasestr(response, "\r\nContent-Type: application/json\r\n"));
    assert_non_null(strstr(body_of(response), "\"error\": "));
}

static void wrong_method_is_405_and_tells_the_right_ones(void **state) {
    (void)state;
    const char *response = client_get(&client, "/drain");
    assert_int_equal(status_of(response), 405);
    assert_non_null(strcasestr(response, "\r\nAllow: POST\r\n"));
    response = client_ask(&client, &client.admin_address, "DELETE /logging", "Host: localhost\r\n");
    assert_int_equal(status_of(response), 405);
    assert_non_null(strcasestr(response, "\r\nAllow: GET, HEAD, POST\r\n"));
    response = client_ask(&client, &client.metrics_address, "POST /metrics", "Host: h\r\nContent-Length: 0\r\n");
    assert_int_equal(status_of(response), 405);
    assert_non_null(strcasestr(response, "\r\nAllow: GET, HEAD\r\n"));
    assert_int_equal(client.command, ADMIN_NONE);
}

static void head_is_answered_like_get(void **state) {
    (void)state;
    const char *response = client_ask(&client, &client.admin_address, "HEAD /version", "Host: localhost\r\n");
    assert_int_equal(status_of(response), 200);
    assert_string_equal(body_of(response), "");
}

static void metrics_listener_changes_and_reveals_nothing(void **state) {
    (void)state;
    static const char *const hidden[] = {"GET /config", "GET /clusters", "GET /certs",    "GET /limits",   "GET /version",
                                         "POST /drain", "POST /reload",  "POST /logging", "POST /shutdown"};
    for (size_t i = 0; i < sizeof(hidden) / sizeof(*hidden); i++)
        assert_int_equal(status_of(client_ask(&client, &client.metrics_address, hidden[i], "Host: localhost\r\nContent-Length: 0\r\n")), 404);
    assert_int_equal(client.collected, 0);
}

static void foreign_host_is_refused_on_the_admin_listener(void **state) {
    (void)state;
    assert_int_equal(status_of(client_ask(&client, &client.admin_address, "GET /config", "Host: rebound.example\r\n")), 403);
    assert_int_equal(status_of(client_ask(&client, &client.admin_address, "POST /drain", "Host: rebound.example\r\nContent-Length: 0\r\n")), 403);
    assert_int_equal(client.collected, 0);
}

static void web_page_cannot_drain(void **state) {
    (void)state;
    const char *response =
        client_ask(&client, &client.admin_address, "POST /drain", "Host: 127.0.0.1\r\nOrigin: http://evil.example\r\nContent-Length: 0\r\n");
    assert_int_equal(status_of(response), 403);
    assert_int_equal(client.command, ADMIN_NONE);
}

static void changes_need_the_token(void **state) {
    (void)state;
    const char *response = client_ask(&client, &client.admin_address, "POST /drain", "Host: localhost\r\nContent-Length: 0\r\n");
    assert_int_equal(status_of(response), 401);
    assert_non_null(strstr(response, "\r\nWWW-Authenticate: Bearer\r\n"));
    assert_non_null(strstr(response, "spec.admin.tokenFile"));
    assert_int_equal(client.command, ADMIN_NONE);
    assert_int_equal(status_of(client_ask(&client, &client.admin_address, "POST /drain", CHANGE_FIELDS)), 202);
    assert_int_equal(client.command, ADMIN_DRAIN);
    assert_int_equal(status_of(client_get(&client, "/version")), 200);
}

static void without_a_token_no_change_is_taken(void **state) {
    (void)state;
    unlink(client.token_file);
    client.token_file[0] = '\0';
    const char *response = client_ask(&client, &client.admin_address, "POST /drain", CHANGE_FIELDS);
    assert_int_equal(status_of(response), 403);
    assert_null(strstr(response, "WWW-Authenticate"));
    assert_non_null(strstr(response, "spec.admin.tokenFile"));
    assert_int_equal(client.command, ADMIN_NONE);
    assert_int_equal(status_of(client_get(&client, "/version")), 200);
}

static void commands_are_told_to_the_source(void **state) {
    (void)state;
    client.figures.state = BYTES("draining");
    const char *response = client_ask(&client, &client.admin_address, "POST /drain", CHANGE_FIELDS);
    assert_int_equal(status_of(response), 202);
    assert_non_null(strstr(response, "\"state\": \"draining\""));
    assert_int_equal(client.command, ADMIN_DRAIN);
    assert_int_equal(status_of(client_ask(&client, &client.admin_address, "POST /shutdown", CHANGE_FIELDS)), 202);
    assert_int_equal(client.command, ADMIN_SHUTDOWN);
}

static void reload_tells_whether_the_documents_were_accepted(void **state) {
    (void)state;
    static const char *const errors[] = {"a.yaml:3: Proxy/school/a: spec.workers: must be 0 to 16"};
    const char *response = client_ask(&client, &client.admin_address, "POST /reload", CHANGE_FIELDS);
    assert_int_equal(status_of(response), 200);
    assert_non_null(strstr(response, "\"result\": \"accepted\""));
    assert_int_equal(client.command, ADMIN_RELOAD);
    client.figures.config.errors = errors;
    client.figures.config.error_count = 1;
    response = client_ask(&client, &client.admin_address, "POST /reload", CHANGE_FIELDS);
    assert_int_equal(status_of(response), 422);
    assert_non_null(strstr(response, errors[0]));
}

static void level_of_the_log_is_shown_and_set(void **state) {
    (void)state;
    enum log_level before = log_get_level();
    log_set_level(LOG_ERROR);
    assert_non_null(strstr(client_get(&client, "/logging"), "\"level\": \"error\""));
    const char *response = client_ask(&client, &client.admin_address, "POST /logging?level=warn", CHANGE_FIELDS);
    assert_int_equal(status_of(response), 200);
    assert_int_equal(log_get_level(), LOG_WARN);
    assert_int_equal(status_of(client_ask(&client, &client.admin_address, "POST /logging?level=loud", CHANGE_FIELDS)), 400);
    assert_int_equal(log_get_level(), LOG_WARN);
    log_set_level(before);
}

static void figures_may_come_later(void **state) {
    (void)state;
    client.answer_later = true;
    int connection = client_connect(&client.admin_address);
    client_send(&client, connection, "GET /limits HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    while (client.asked == NULL)
        uv_run(&client.loop.uv, UV_RUN_NOWAIT);
    assert_int_equal(client.wants, ADMIN_WANT_LIMITS);
    for (int i = 0; i < 10; i++)
        uv_run(&client.loop.uv, UV_RUN_NOWAIT);
    client_answer(&client, client.asked);
    assert_int_equal(status_of(client_receive(&client, connection)), 200);
}

static void figures_for_a_client_that_is_gone_are_dropped(void **state) {
    (void)state;
    struct linger linger = {.l_onoff = 1};
    client.answer_later = true;
    int connection = client_connect(&client.admin_address);
    client_send(&client, connection, "GET /limits HTTP/1.1\r\nHost: localhost\r\n\r\n");
    while (client.asked == NULL)
        uv_run(&client.loop.uv, UV_RUN_NOWAIT);
    setsockopt(connection, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    close(connection);
    while (client.asked->request != NULL)
        uv_run(&client.loop.uv, UV_RUN_NOWAIT);
    client_answer(&client, client.asked);
    client.answer_later = false;
    assert_int_equal(status_of(client_get(&client, "/limits")), 200);
}

static void admin_may_be_closed_while_figures_are_awaited(void **state) {
    (void)state;
    client.answer_later = true;
    int connection = client_connect(&client.admin_address);
    client_send(&client, connection, "GET /clusters HTTP/1.1\r\nHost: localhost\r\n\r\n");
    while (client.asked == NULL)
        uv_run(&client.loop.uv, UV_RUN_NOWAIT);
    admin_close(client.admin);
    client.admin = NULL;
    for (int i = 0; i < 10; i++)
        uv_run(&client.loop.uv, UV_RUN_NOWAIT);
    client_answer(&client, client.asked);
    assert_string_equal(client_receive(&client, connection), "");
}

// Once each, with what it was, and how it ended; reading is no change, unless it is refused.
static void changes_are_told_with_their_result(void **state) {
    (void)state;
    const enum log_level before = log_get_level();
    client_ask(&client, &client.admin_address, "GET /logging", "Host: localhost\r\n");
    assert_int_equal(client.changes, 0);
    client_ask(&client, &client.admin_address, "GET /logging", "Host: evil.example\r\n");
    assert_string_equal(client.changed, "/logging  403 127.0.0.1");
    client_ask(&client, &client.admin_address, "POST /nowhere", CHANGE_FIELDS);
    assert_string_equal(client.changed, "/nowhere  404 127.0.0.1");
    client_ask(&client, &client.admin_address, "POST /logging?level=warn&token=secret", CHANGE_FIELDS);
    assert_string_equal(client.changed, "/logging level=warn&token=REDACTED 200 127.0.0.1");
    client_ask(&client, &client.admin_address, "POST /logging?level=loud", CHANGE_FIELDS);
    assert_string_equal(client.changed, "/logging level=loud 400 127.0.0.1");
    client_ask(&client, &client.admin_address, "POST /drain", "Host: localhost\r\nContent-Length: 0\r\n");
    assert_string_equal(client.changed, "/drain  401 127.0.0.1");
    client_ask(&client, &client.admin_address, "POST /drain", CHANGE_FIELDS);
    assert_string_equal(client.changed, "/drain  202 127.0.0.1");
    assert_int_equal(client.changes, 6);
    log_set_level(before);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void) {
    log_set_level(LOG_WARN);
    const struct CMUnitTest tests[] = {
        TEST(list_names_the_pages_of_its_listener),
        TEST(health_is_ok_while_the_process_works),
        TEST(readiness_is_the_sources_with_its_reason),
        TEST(unknown_page_is_404_in_json),
        TEST(wrong_method_is_405_and_tells_the_right_ones),
        TEST(head_is_answered_like_get),
        TEST(metrics_listener_changes_and_reveals_nothing),
        TEST(foreign_host_is_refused_on_the_admin_listener),
        TEST(web_page_cannot_drain),
        cmocka_unit_test_setup_teardown(changes_need_the_token, begin, end),
        cmocka_unit_test_setup_teardown(without_a_token_no_change_is_taken, begin, end),
        TEST(commands_are_told_to_the_source),
        TEST(reload_tells_whether_the_documents_were_accepted),
        TEST(level_of_the_log_is_shown_and_set),
        TEST(figures_may_come_later),
        TEST(figures_for_a_client_that_is_gone_are_dropped),
        TEST(admin_may_be_closed_while_figures_are_awaited),
        TEST(changes_are_told_with_their_result),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
