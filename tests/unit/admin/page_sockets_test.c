// /listeners, /connections and /memory of figures that the test makes up; that what peers call themselves stays text.
#include "one_admin.h"
#include "base/block.h"

static const char *text_of(json_t *object, const char *name) {
    assert_true(json_is_string(json_object_get(object, name)));
    return json_string_value(json_object_get(object, name));
}

static json_int_t number_of(json_t *object, const char *name) {
    assert_true(json_is_integer(json_object_get(object, name)));
    return json_integer_value(json_object_get(object, name));
}

static struct listener_config listeners[] = {
    {.name = BYTES("admin"),
     .role = ROLE_INBOUND,
     .mtls = MTLS_STRICT,
     .address = {.text = BYTES("0.0.0.0:15006")},
     .forward_to = {.text = BYTES("127.0.0.1:8000")},
     .place = {"proxy.yaml", 7}},
    {.name = BYTES("outbound"), .role = ROLE_OUTBOUND, .address = {.text = BYTES("127.0.0.1:15001")}},
};
static struct service_config application = {.key = BYTES("app/admin")};
static struct snapshot snapshot;

static struct admin_limit limits[] = {
    {.name = BYTES("connections"), .scope = BYTES("listener/admin"), .value = 100, .known = ADMIN_LIMIT_ALL, .use = 3, .peak = 9, .hits = 1},
    {.name = BYTES("headers"), .scope = BYTES("listener/outbound"), .value = 7},
    {.name = BYTES("connections"), .scope = BYTES("listener/outbound"), .known = ADMIN_LIMIT_ALL, .use = 2, .peak = 2},
};

static void use_listeners(void) {
    listeners[0].service = &application;
    snapshot.proxy = (struct proxy_config){.listeners = listeners, .listener_count = 2, .admin = {.length = 1, .text = BYTES("127.0.0.1:15000")}};
    client.figures.config.snapshot = &snapshot;
    client.figures.limits = limits;
    client.figures.limit_count = 3;
    client.figures.listens = true;
}

// One of the documents may be called as ours is.
static void listeners_show_their_use_state_and_what_they_lead_to(void **state) {
    (void)state;
    use_listeners();
    json_t *list = get_json("/listeners");
    assert_int_equal(json_array_size(list), 3);
    json_t *inbound = json_array_get(list, 0);
    assert_string_equal(text_of(inbound, "role"), "Inbound");
    assert_string_equal(text_of(inbound, "state"), "listening");
    assert_string_equal(text_of(inbound, "protocol"), "mutual TLS with HTTP inside");
    assert_string_equal(text_of(inbound, "leads_to"), "127.0.0.1:8000");
    assert_string_equal(text_of(inbound, "service"), "app/admin");
    assert_string_equal(text_of(inbound, "place"), "proxy.yaml:7");
    assert_int_equal(number_of(inbound, "connections"), 3);
    assert_int_equal(number_of(inbound, "peak"), 9);
    assert_int_equal(number_of(inbound, "refused"), 1);
    assert_true(json_is_null(json_object_get(json_array_get(list, 1), "limit")));
    json_t *own = json_array_get(list, 2);
    assert_string_equal(text_of(own, "role"), "Admin");
    assert_int_equal(number_of(own, "connections"), 1); // this one
    json_decref(list);
}

static void a_draining_process_tells_clients_of_inbound_alone_to_go(void **state) {
    (void)state;
    use_listeners();
    client.figures.draining = true;
    json_t *list = get_json("/listeners");
    assert_string_equal(text_of(json_array_get(list, 0), "state"), "draining");
    assert_string_equal(text_of(json_array_get(list, 1), "state"), "listening");
    json_decref(list);
    client.figures.listens = false;
    list = get_json("/listeners");
    assert_string_equal(text_of(json_array_get(list, 0), "state"), "closed");
    json_decref(list);
}

static void connections_show_both_sides_and_how_many_there_are(void **state) {
    (void)state;
    struct admin_connection clients[] = {{.worker = 1,
                                          .number = 17,
                                          .listener = BYTES("inbound"),
                                          .peer = BYTES("10.0.0.7:5000"),
                                          .state = BYTES("open"),
                                          .protocol = BYTES("HTTP/2"),
                                          .alpn = BYTES("outrigger/1"),
                                          .identity = BYTES("spiffe://school.local/ns/school/sa/courses"),
                                          .tls = true,
                                          .age = 1500 * NS_PER_MS,
                                          .streams = 2,
                                          .bytes_in = 100,
                                          .bytes_out = 200}};
    struct admin_connection endpoints[] = {{.number = 1, .peer = BYTES("10.0.0.8:80"), .state = BYTES("connecting")}};
    client.figures.clients = (struct admin_connections){.rows = clients, .count = 1, .total = 5000};
    client.figures.endpoints = (struct admin_connections){.rows = endpoints, .count = 1, .total = 1};
    json_t *value = get_json("/connections");
    assert_int_equal(client.wants, ADMIN_WANT_CONNECTIONS);
    json_t *side = json_object_get(value, "clients");
    assert_int_equal(number_of(side, "total"), 5000);
    assert_int_equal(number_of(side, "shown"), 1);
    json_t *row = json_array_get(json_object_get(side, "connections"), 0);
    assert_string_equal(text_of(row, "id"), "1-17");
    assert_string_equal(text_of(row, "identity"), "spiffe://school.local/ns/school/sa/courses");
    assert_string_equal(text_of(row, "alpn"), "outrigger/1");
    assert_int_equal(number_of(row, "age_ms"), 1500);
    assert_int_equal(number_of(row, "bytes_out"), 200);
    row = json_array_get(json_object_get(json_object_get(value, "endpoints"), "connections"), 0);
    assert_true(json_is_null(json_object_get(row, "service"))); // it is gone
    assert_true(json_is_null(json_object_get(row, "age_ms")));  // not made yet
    json_decref(value);
}

static void threat_32_what_peers_are_called_is_text_and_no_page_is_markup(void **state) {
    (void)state;
    struct admin_connection hostile = {.listener = BYTES("<script>alert(1)</script>"),
                                       .peer = BYTES("\"}\r\n\r\nHTTP/1.1 200"),
                                       .state = BYTES("open"),
                                       .identity = BYTES("spiffe://\xff<img>\x1b[2J")};
    client.figures.clients = (struct admin_connections){.rows = &hostile, .count = 1, .total = 1};
    json_t *value = get_json("/connections");
    json_t *row = json_array_get(json_object_get(json_object_get(value, "clients"), "connections"), 0);
    assert_string_equal(text_of(row, "listener"), "<script>alert(1)</script>");
    assert_string_equal(text_of(row, "peer"), "\"}\r\n\r\nHTTP/1.1 200");
    json_decref(value);
    const char *const targets[] = {"/connections", "/connections?format=text"};
    for (int i = 0; i < 2; i++) {
        const char *response = client_get(&client, targets[i]);
        assert_non_null(strstr(response, "X-Content-Type-Options: nosniff\r\n"));
        assert_null(strstr(response, "text/html"));
        assert_null(strchr(body_of(response), '\x1b'));
        assert_null(strchr(body_of(response), '\r'));
    }
}

static void memory_shows_what_each_worker_holds_and_what_is_shed(void **state) {
    (void)state;
    struct worker_metrics metrics = {0};
    metric_set(&metrics.blocks_used, 2);
    metric_set(&metrics.h2_bytes_used, 4096);
    const struct worker_metrics *workers[] = {&metrics, &metrics};
    client.figures.worker_count = 2;
    client.figures.memory = (struct admin_memory){
        .workers = workers, .resident = 6000000, .budget_limit = 1000, .budget_use = 900, .budget_peak = 950, .budget_percent = 80, .level = 2};
    json_t *value = get_json("/memory");
    assert_int_equal(number_of(value, "resident_bytes"), 6000000);
    json_t *budget = json_object_get(value, "budget");
    assert_int_equal(number_of(budget, "use_bytes"), 900);
    assert_string_equal(text_of(budget, "sheds"), "free lists, idle connections");
    assert_int_equal(json_array_size(json_object_get(value, "workers")), 2);
    json_t *row = json_array_get(json_object_get(value, "workers"), 1);
    assert_int_equal(number_of(row, "worker"), 1);
    assert_int_equal(number_of(row, "blocks_used_bytes"), 2 * BLOCK_SIZE);
    assert_int_equal(number_of(row, "http2_used_bytes"), 4096);
    json_decref(value);
    client.figures.memory.budget_limit = 0;
    value = get_json("/memory");
    assert_true(json_is_null(json_object_get(json_object_get(value, "budget"), "limit_bytes")));
    json_decref(value);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(listeners_show_their_use_state_and_what_they_lead_to, begin, end),
        cmocka_unit_test_setup_teardown(a_draining_process_tells_clients_of_inbound_alone_to_go, begin, end),
        cmocka_unit_test_setup_teardown(connections_show_both_sides_and_how_many_there_are, begin, end),
        cmocka_unit_test_setup_teardown(threat_32_what_peers_are_called_is_text_and_no_page_is_markup, begin, end),
        cmocka_unit_test_setup_teardown(memory_shows_what_each_worker_holds_and_what_is_shed, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
