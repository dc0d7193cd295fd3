// What the pages of figures show, as JSON that a machine reads and as text.
#include "one_admin.h"

static void assert_member(json_t *object, const char *name, const char *expected) {
    assert_non_null(json_object_get(object, name));
    assert_string_equal(json_string_value(json_object_get(object, name)), expected);
}

static void assert_number(json_t *object, const char *name, uint64_t expected) {
    assert_true(json_is_integer(json_object_get(object, name)));
    assert_int_equal(json_integer_value(json_object_get(object, name)), expected);
}

static void clusters_show_services_and_the_load_of_endpoints(void **state) {
    (void)state;
    struct admin_endpoint endpoints[] = {
        {.address = BYTES("10.0.0.5:15006"),
         .state = BYTES("available"),
         .tls = BYTES("Mesh"),
         .weight = 1,
         .active = 3,
         .ewma = 1500 * NS_PER_US,
         .connections = 2,
         .idle = 1,
         .connecting = 1,
         .requests = 1000,
         .failures = 7,
         .zone = BYTES("eu-1a"),
         .priority = 2},
        {.address = BYTES("10.0.0.6:15006"), .state = BYTES("available"), .tls = BYTES("None")},
    };
    struct admin_service services[] = {{.key = BYTES("school/courses:80"),
                                        .protocol = BYTES("HTTP"),
                                        .load_balancer = BYTES("PeakEWMA"),
                                        .waiting = 4,
                                        .retry_budget = 9,
                                        .endpoints = endpoints,
                                        .endpoint_count = 2}};
    client.figures.services = services;
    client.figures.service_count = 1;
    json_t *value = get_json("/clusters");
    assert_int_equal(client.wants, ADMIN_WANT_SERVICES);
    json_t *service = json_array_get(value, 0);
    assert_member(service, "service", "school/courses:80");
    assert_number(service, "waiting", 4);
    json_t *row = json_array_get(json_object_get(service, "endpoints"), 0);
    assert_member(row, "address", "10.0.0.5:15006");
    assert_number(row, "active", 3);
    assert_number(row, "ewma_us", 1500);
    assert_number(row, "connections", 2);
    assert_number(row, "failures", 7);
    assert_number(row, "priority", 2);
    assert_member(row, "zone", "eu-1a");
    assert_null(json_object_get(row, "region"));
    json_decref(value);

    const char *text = body_of(client_get(&client, "/clusters?format=text"));
    assert_non_null(strstr(text, "service: school/courses:80\n"));
    assert_non_null(strstr(text, "  10.0.0.5:15006  available  Mesh       1       3     1500            2"));
}

static void limits_show_value_use_and_high_water_mark(void **state) {
    (void)state;
    struct admin_limit limits[] = {
        {.name = BYTES("connections"),
         .scope = BYTES("listener/inbound"),
         .unit = BYTES("connections"),
         .description = BYTES("open at once"),
         .value = 10000,
         .known = ADMIN_LIMIT_ALL,
         .use = 12,
         .peak = 40,
         .hits = 2},
        {.name = BYTES("bodyBytes"), .scope = BYTES("listener/inbound"), .unit = BYTES("bytes")},
    };
    client.figures.limits = limits;
    client.figures.limit_count = 2;
    json_t *value = get_json("/limits");
    json_t *row = json_array_get(value, 0);
    assert_member(row, "limit", "connections");
    assert_number(row, "value", 10000);
    assert_number(row, "use", 12);
    assert_number(row, "peak", 40);
    assert_number(row, "hits", 2);
    row = json_array_get(value, 1);
    assert_true(json_is_null(json_object_get(row, "value"))); // no bound
    assert_true(json_is_null(json_object_get(row, "use")));   // not measured
    json_decref(value);
}

static void limits_tell_only_what_is_known(void **state) {
    (void)state;
    struct admin_limit limits[] = {
        {.name = BYTES("idleTimeout"), .scope = BYTES("process"), .unit = BYTES("ms"), .value = 5, .known = ADMIN_LIMIT_HITS, .hits = 3},
        {.name = BYTES("maxPending"),
         .scope = BYTES("service/a"),
         .unit = BYTES("requests"),
         .value = 8,
         .known = ADMIN_LIMIT_ALL,
         .one_of_many = true},
        {.name = BYTES("maxPending"),
         .scope = BYTES("service/b"),
         .unit = BYTES("requests"),
         .value = 8,
         .known = ADMIN_LIMIT_ALL,
         .peak = 1,
         .one_of_many = true},
    };
    client.figures.limits = limits;
    client.figures.limit_count = 3;
    json_t *value = get_json("/limits");
    assert_true(json_is_null(json_object_get(json_array_get(value, 0), "use")));
    assert_true(json_is_null(json_object_get(json_array_get(value, 0), "peak")));
    assert_number(json_array_get(value, 0), "hits", 3);
    assert_member(json_array_get(value, 1), "scope", "service/a");
    json_decref(value);
    // In the metrics one of thousands stands only once it was used.
    const char *text = body_of(client_ask(&client, &client.metrics_address, "GET /metrics", "Host: a\r\n"));
    assert_non_null(strstr(text, "\noutrigger_limit{limit=\"idleTimeout\",scope=\"process\"} 5\n"));
    assert_non_null(strstr(text, "\noutrigger_limit_hits_total{limit=\"idleTimeout\",scope=\"process\"} 3\n"));
    assert_null(strstr(text, "\noutrigger_limit_use{limit=\"idleTimeout\""));
    assert_null(strstr(text, "service/a"));
    assert_non_null(strstr(text, "\noutrigger_limit_use{limit=\"maxPending\",scope=\"service/b\"} 0\n"));
}

static void handshakes_are_exposed_by_side_and_failures_by_reason(void **state) {
    (void)state;
    struct tls_counters *tls = &client.figures.tls;
    metric_set(&tls->server.handshakes, 10);
    metric_set(&tls->server.resumed, 4);
    metric_set(&tls->client.failed[TLS_FAILURE_EXPIRED], 2);
    metric_set(&tls->tickets, 7);
    const char *text = body_of(client_ask(&client, &client.metrics_address, "GET /metrics", "Host: a\r\n"));
    assert_non_null(strstr(text, "\noutrigger_tls_handshakes_total{side=\"server\",kind=\"full\"} 6\n"));
    assert_non_null(strstr(text, "\noutrigger_tls_handshakes_total{side=\"server\",kind=\"resumed\"} 4\n"));
    assert_non_null(strstr(text, "\noutrigger_tls_failures_total{side=\"client\",reason=\"expired\"} 2\n"));
    assert_non_null(strstr(text, "\noutrigger_tls_failures_total{side=\"server\",reason=\"expired\"} 0\n"));
    assert_non_null(strstr(text, "\noutrigger_tls_tickets_total 7\n"));
}

static void limits_show_those_of_the_admin_listeners_too(void **state) {
    (void)state;
    json_t *value = get_json("/limits");
    assert_int_equal(json_array_size(value), 2);
    json_t *row = json_array_get(value, 0);
    assert_member(row, "scope", "listener/admin");
    assert_number(row, "value", RPC_CONNECTIONS_MAX);
    assert_number(row, "use", 1);
    assert_member(json_array_get(value, 1), "scope", "listener/metrics");
    json_decref(value);
}

static void certs_show_ids_and_ends_and_the_pending_error(void **state) {
    (void)state;
    int64_t now = (int64_t)(clock_wall_ns() / NS_PER_S);
    struct admin_certificate certificates[] = {
        {.role = BYTES("identity"),
         .id = BYTES("spiffe://school.local/ns/school/sa/courses"),
         .serial = BYTES("01:ff"),
         .file = BYTES("certs/courses.crt"),
         .not_before = 1767225599,
         .not_after = now + 7205},
        {.role = BYTES("trust bundle"), .id = BYTES("spiffe://school.local"), .not_before = 1767225599, .not_after = now - 1},
    };
    client.figures.identity = (struct admin_identity){.given = true,
                                                      .loaded = true,
                                                      .generation = 3,
                                                      .loaded_wall = UINT64_C(1767225599) * NS_PER_S,
                                                      .error = BYTES("the key does not fit the certificate"),
                                                      .certificates = certificates,
                                                      .certificate_count = 2};
    json_t *value = get_json("/certs");
    assert_member(value, "identity", "loaded");
    assert_member(value, "loaded_at", "2025-12-31T23:59:59Z");
    assert_member(value, "pending_error", "the key does not fit the certificate");
    json_t *rows = json_object_get(value, "certificates");
    assert_member(json_array_get(rows, 0), "id", "spiffe://school.local/ns/school/sa/courses");
    assert_member(json_array_get(rows, 0), "not_before", "2025-12-31T23:59:59Z");
    assert_memory_equal(json_string_value(json_object_get(json_array_get(rows, 0), "ends_in")), "2h", 2);
    assert_member(json_array_get(rows, 1), "ends_in", "has ended");
    json_decref(value);
}

static struct snapshot *small_snapshot(void) {
    static struct listener_config listeners[2];
    static struct endpoint_config endpoint;
    static struct service_config service, *services[1] = {&service};
    static struct snapshot snapshot;
    listeners[0] = (struct listener_config){.name = BYTES("inbound"),
                                            .role = ROLE_INBOUND,
                                            .address.text = BYTES("0.0.0.0:15006"),
                                            .forward_to.text = BYTES("127.0.0.1:8000"),
                                            .mtls = MTLS_STRICT,
                                            .place = {"proxy.yaml", 7}};
    listeners[1] = (struct listener_config){.name = BYTES("outbound"), .role = ROLE_OUTBOUND, .address.text = BYTES("127.0.0.1:15001")};
    static const struct endpoint_traits traits = {.tls = TLS_MESH};
    endpoint = (struct endpoint_config){.address = {.ip = {10, 0, 0, 5}, .port = 15006, .version = 4}, .weight = 1, .traits = &traits};
    service = (struct service_config){
        .key = BYTES("school/courses:80"), .protocol = PROTOCOL_HTTP, .endpoints = &endpoint, .endpoint_count = 1, .place = {"courses.yaml", 1}};
    service.traffic.connections.connect_timeout = NS_PER_S;
    service.traffic.policy = BYTES("school/courses");
    snapshot = (struct snapshot){.references = 1, .generation = 5, .services = services, .service_count = 1};
    snapshot.proxy = (struct proxy_config){
        .namespace_name = BYTES("school"), .name = BYTES("courses-1"), .workers = 1, .listeners = listeners, .listener_count = 2};
    return &snapshot;
}

static void config_shows_the_last_good_set_and_pending_errors(void **state) {
    (void)state;
    static const char *const errors[] = {"a.yaml:3: Proxy/school/a: spec.workers: must be 0 to 16", "b.yaml:1: no such kind"};
    static const char *const paths[] = {"/etc/outrigger"};
    client.figures.config = (struct admin_config){.snapshot = small_snapshot(),
                                                  .loaded_wall = UINT64_C(1767225599) * NS_PER_S,
                                                  .paths = paths,
                                                  .path_count = 1,
                                                  .errors = errors,
                                                  .error_count = 2};
    json_t *value = get_json("/config");
    assert_number(value, "generation", 5);
    assert_member(value, "accepted_at", "2025-12-31T23:59:59Z");
    assert_int_equal(json_array_size(json_object_get(value, "pending_errors")), 2);
    json_t *listeners = json_object_get(json_object_get(value, "proxy"), "listeners");
    assert_member(json_array_get(listeners, 0), "mtls", "Strict");
    assert_member(json_array_get(listeners, 0), "place", "proxy.yaml:7");
    assert_null(json_object_get(json_array_get(listeners, 1), "place"));
    json_t *service = json_array_get(json_object_get(value, "services"), 0);
    assert_member(service, "service", "school/courses:80");
    assert_member(json_object_get(service, "traffic"), "connect_timeout", "1s");
    assert_member(json_object_get(service, "traffic"), "policy", "school/courses");
    assert_member(json_array_get(json_object_get(service, "endpoints"), 0), "tls", "Mesh");
    json_decref(value);

    const char *text = body_of(client_get(&client, "/config?format=text"));
    assert_non_null(strstr(text, "pending errors:\n  a.yaml:3: Proxy/school/a: spec.workers: must be 0 to 16\n  b.yaml:1: no such kind\n"));
}

static void config_before_any_was_accepted_shows_the_errors(void **state) {
    (void)state;
    static const char *const errors[] = {"no Proxy document"};
    client.figures.config = (struct admin_config){.errors = errors, .error_count = 1};
    json_t *value = get_json("/config");
    assert_number(value, "generation", 0);
    assert_true(json_is_null(json_object_get(value, "accepted_at")));
    assert_null(json_object_get(value, "proxy"));
    json_decref(value);
}

// Accept in several lines is one list (RFC 9110 section 5.3).
static void what_is_accepted_may_stand_in_several_lines(void **state) {
    (void)state;
    client.figures.config = (struct admin_config){.snapshot = small_snapshot()};
    static const char *const fields[] = {"Host: a\r\nAccept: text/plain;q=0.5\r\nX: application/json\r\naccept: application/openmetrics-text\r\n",
                                         "Host: a\r\nAccept: application/openmetrics-text\r\nX: application/json\r\naccept: text/plain;q=0.5\r\n"};
    for (int i = 0; i < 2; i++) {
        const char *response = client_ask(&client, &client.metrics_address, "GET /metrics", fields[i]);
        assert_non_null(strcasestr(response, "\r\nContent-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n"));
    }
}

static void metrics_are_one_page_with_every_family_once(void **state) {
    (void)state;
    struct series_row row = {
        .facts = {.family = SERIES_HTTP_SERVER, .method = 1, .status = 200}, .service = BYTES("school/courses:80"), .totals = {.buckets = {1}}};
    struct series_row end = {
        .facts = {.family = SERIES_ENDS, .direction = REQUEST_INBOUND}, .service = BYTES("school/courses:80"), .totals = {.buckets = {1}}};
    struct series_row *rows[] = {&row, &end};
    struct admin_limit limits[] = {
        {.name = BYTES("connections"), .scope = BYTES("listener/inbound"), .value = 10, .known = ADMIN_LIMIT_ALL, .use = 1},
        {.name = BYTES("bufferBlocks"), .known = ADMIN_LIMIT_USE, .use = 7}, // that has none
    };
    // Roots of two makers may have one number.
    struct admin_certificate certificates[] = {
        {.role = BYTES("identity"), .id = BYTES("spiffe://a/b"), .not_after = 1767225599},
        {.role = BYTES("trust bundle"), .id = BYTES("a"), .serial = BYTES("01"), .not_after = 1767225600},
        {.role = BYTES("trust bundle"), .id = BYTES("a"), .serial = BYTES("01"), .not_after = 1767225500},
    };
    metric_set(&client.figures.workers.retries_for_code, 17);
    client.figures.ready = true;
    client.figures.worker_count = 2;
    client.figures.process = (struct process_figures){.started = 1700000000 * NS_PER_S, .descriptors = 9};
    client.figures.series = (struct series_rows){.items = rows, .count = 2};
    client.figures.limits = limits;
    client.figures.limit_count = 2;
    client.figures.identity = (struct admin_identity){.given = true, .certificates = certificates, .certificate_count = 3};
    client.figures.config = (struct admin_config){.snapshot = small_snapshot(), .error_count = 3};
    const char *response = client_ask(&client, &client.metrics_address, "GET /metrics", "Host: 10.0.0.1:15020\r\n");
    assert_int_equal(status_of(response), 200);
    assert_non_null(strcasestr(response, "\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
    static const char *const lines[] = {
        "\noutrigger_ready 1\n",
        "\noutrigger_workers 2\n",
        "\noutrigger_config_generation 5\n",
        "\noutrigger_config_pending_errors 3\n",
        "\noutrigger_identity_not_after_timestamp_seconds{identity=\"spiffe://a/b\"} 1767225599\n",
        "\noutrigger_retries_total{reason=\"code\"} 17\n",
        "\noutrigger_request_ends_total{direction=\"inbound\",service=\"school/courses:80\",end=\"ok\"} 1\n",
        "\noutrigger_limit{limit=\"connections\",scope=\"listener/inbound\"} 10\n",
        "\noutrigger_limit_use{limit=\"connections\",scope=\"listener/metrics\"} 1\n",
        "\noutrigger_limit_use{limit=\"bufferBlocks\"} 7\n",
        "\noutrigger_trust_root_not_after_timestamp_seconds{trust_domain=\"a\",serial=\"01\"} 1767225500\n",
        "\nprocess_cpu_seconds_total ",
        "\nprocess_open_fds 9\n",
        "\nprocess_resident_memory_bytes ",
        "\nprocess_start_time_seconds 1700000000\n",
    };
    assert_non_null(strstr(response, "\nhttp_server_request_duration_seconds_count{service=\"school/courses:80\",http_request_method=\"GET\","
                                     "url_scheme=\"http\",http_response_status_code=\"200\"} 1\n"));
    assert_non_null(strstr(response, "\noutrigger_build_info{version=\"" OUTRIGGER_VERSION "\"} 1\n"));
    for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++)
        assert_non_null(strstr(response, lines[i]));
    assert_null(strstr(response, "outrigger_limit{limit=\"bufferBlocks\""));
    const char *root = strstr(response, "\noutrigger_trust_root_not_after_timestamp_seconds{");
    assert_non_null(root);
    assert_null(strstr(root + 1, "\noutrigger_trust_root_not_after_timestamp_seconds{"));
    for (enum metric metric = 0; metric < METRIC_COUNT; metric++) {
        char type[128];
        snprintf(type, sizeof(type), "\n# TYPE %s ", metric_family(metric)->name);
        const char *found = strstr(response, type);
        assert_non_null(found);
        assert_null(strstr(found + 1, type));
    }
}

static void version_names_the_program_and_its_libraries(void **state) {
    (void)state;
    json_t *value = get_json("/version");
    assert_member(value, "outrigger", OUTRIGGER_VERSION);
    assert_non_null(json_object_get(value, "openssl"));
    json_decref(value);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(clusters_show_services_and_the_load_of_endpoints),
        TEST(limits_show_value_use_and_high_water_mark),
        TEST(limits_tell_only_what_is_known),
        TEST(handshakes_are_exposed_by_side_and_failures_by_reason),
        TEST(limits_show_those_of_the_admin_listeners_too),
        TEST(certs_show_ids_and_ends_and_the_pending_error),
        TEST(config_shows_the_last_good_set_and_pending_errors),
        TEST(config_before_any_was_accepted_shows_the_errors),
        TEST(metrics_are_one_page_with_every_family_once),
        TEST(what_is_accepted_may_stand_in_several_lines),
        TEST(version_names_the_program_and_its_libraries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
