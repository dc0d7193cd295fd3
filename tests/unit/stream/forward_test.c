// What a request and its response gain and lose on their way: ids, Via, who the caller is, words of the mesh that nobody else may say, canonical paths, and the protocol
// that is spoken to the far side.
#include "unit/stream/stream_drive.h"

#define DOCUMENTS PROXY SERVICE("HTTP", ONE)

static const union address somewhere = {.v4 = {.sin_family = AF_INET}};
static const struct spiffe_id caller = {.text = {"spiffe://school.local/ns/school/sa/courses", 42}};

static const struct stream_client stranger = {.address = &somewhere};
static const struct stream_client proxy_of_ours = {
    .address = &somewhere,
    .identity = &caller,
    .secure = true,
    .mesh = true,
    .forwarded_cert = {"By=spiffe://school.local/us;URI=spiffe://school.local/ns/school/sa/courses", 74},
};

static void begin(struct client *client, struct loopback *world, const char *listener, const struct stream_client *from, enum http_version version,
                  const char *request) {
    client_begin_as(client, world, loopback_listener(world, listener), from, version, request, true);
    loopback_settle(world);
}

static void finish(struct client *client, struct loopback *world) {
    respond(world, 0, 204, "", NULL);
    assert_int_equal(client->status, 204);
    client_dispose(client);
    loopback_dispose(world);
}

static bool is_uuid(const char *text) {
    for (int i = 0; i < 36; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? text[i] != '-' : strchr("0123456789abcdef", text[i]) == NULL || text[i] == '\0')
            return false;
    }
    return text[36] == '\0' && text[14] == '4' && strchr("89ab", text[19]) != NULL;
}

static void an_id_is_made_where_there_is_none(void **state) {
    (void)state;
    char first[64];
    for (int i = 0; i < 2; i++) {
        struct loopback world;
        struct client client;
        loopback_init(&world, DOCUMENTS, NULL);
        if (i > 0)
            rng_init(&world.far.check.loop.rng, 77);
        begin(&client, &world, "outbound", &stranger, HTTP_1_1, "GET a /\n");
        assert_has(received(&world, 0), "X-Request-Id: ");
        finish(&client, &world);
        assert_true(is_uuid(world.record.request_id));
        if (i == 0)
            strcpy(first, world.record.request_id);
        else
            assert_string_not_equal(first, world.record.request_id);
    }
}

static void an_id_that_is_there_is_kept(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, DOCUMENTS, NULL);
    begin(&client, &world, "outbound", &stranger, HTTP_1_1, "GET a /\nx-request-id: mine\n");
    assert_has(received(&world, 0), "x-request-id: mine\n");
    assert_has_not(received(&world, 0), "X-Request-Id: ");
    finish(&client, &world);
    assert_string_equal(world.record.request_id, "mine");
}

static void via_says_what_was_received(void **state) {
    (void)state;
    static const struct {
        enum http_version version;
        const char *via;
    } cases[] = {{HTTP_1_0, "Via: 1.0 outrigger\n"}, {HTTP_1_1, "Via: 1.1 outrigger\n"}, {HTTP_2, "Via: 2 outrigger\n"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct loopback world;
        struct client client;
        loopback_init(&world, DOCUMENTS, NULL);
        begin(&client, &world, "outbound", &stranger, cases[i].version, "GET a /\nvia: 1.1 before\n");
        assert_has(received(&world, 0), "via: 1.1 before\n");
        assert_has(received(&world, 0), cases[i].via);
        finish(&client, &world);
    }
}

static void only_many_meetings_with_ourselves_are_a_loop(void **state) {
    (void)state;
    for (int meetings = 23; meetings < 26; meetings++) {
        struct loopback world;
        struct client client;
        struct text request = {0};
        text_format(&request, "GET a /\nvia: 1.1 other, 1.1 notoutrigger");
        for (int i = 0; i < meetings; i++)
            text_format(&request, i == 10 ? "\nvia: 2 outrigger" : ", 1.1 outrigger");
        text_format(&request, "\n");
        loopback_init(&world, DOCUMENTS, NULL);
        begin(&client, &world, "outbound", &stranger, HTTP_1_1, request.at);
        text_dispose(&request);
        if (meetings < 24) {
            finish(&client, &world);
            continue;
        }
        assert_int_equal(client.status, 502);
        assert_int_equal(world.record.end, ERROR_LOOP);
        client_dispose(&client);
        loopback_dispose(&world);
    }
}

// --- who the caller is ---

static void what_a_client_says_of_certificates_is_taken_off(void **state) {
    (void)state;
    static const char *const listeners[] = {"outbound", "inbound"};
    for (int i = 0; i < 2; i++) {
        struct loopback world;
        struct client client;
        loopback_init(&world, DOCUMENTS, NULL);
        begin(&client, &world, listeners[i], &stranger, HTTP_1_1,
              "GET a /\nx-forwarded-client-cert: URI=spiffe://school.local/ns/x/sa/admin\nX-Forwarded-Client-Cert: Hash=1\n");
        assert_has_not(received(&world, 0), "spiffe:");
        assert_has_not(received(&world, 0), "Hash=1");
        finish(&client, &world);
    }
}

static void the_application_is_told_who_calls(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, DOCUMENTS, NULL);
    begin(&client, &world, "inbound", &proxy_of_ours, HTTP_2, "GET a /\nx-forwarded-client-cert: URI=spiffe://school.local/ns/x/sa/admin\n");
    assert_has(received(&world, 0), "URI=spiffe://school.local/ns/school/sa/courses\n");
    assert_has_not(received(&world, 0), "admin");
    finish(&client, &world);
}

static void trailers_cannot_say_it_either(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, DOCUMENTS, NULL);
    client_open(&client, &world, "POST a /\n");
    client_send(&client, BYTES("x"), false);
    client_end(&client, "x-forwarded-client-cert: URI=spiffe://a/b\noutrigger-refused: draining\nx-sum: 1\n");
    assert_has(received(&world, 0), "end\nx-sum: 1\n");
    assert_has_not(received(&world, 0), "spiffe:");
    assert_has_not(received(&world, 0), "outrigger-refused");
    struct far_conn *conn = far_conn(&world.far, 0);
    far_respond(conn, only_request(&world, 0), 200, "", "y", false);
    far_trailers(conn, only_request(&world, 0), "outrigger-protocol: 2\nx-sum: 2\n");
    assert_string_equal(client.trailers.at, "x-sum: 2\n");
    client_dispose(&client);
    loopback_dispose(&world);
}

// RFC 9110 section 7.6.2.
static void an_options_request_is_forwarded_as_often_as_it_says(void **state) {
    (void)state;
    static const struct {
        const char *request;
        const char *forwarded; // NULL: not at all
    } requests[] = {{"OPTIONS a /\nmax-forwards: 0\n", NULL},
                    {"OPTIONS a *\nMax-Forwards: 0\n", NULL},
                    {"OPTIONS a /\nmax-forwards: 1\n", "max-forwards: 0\n"},
                    {"OPTIONS a /\nmax-forwards: 10\n", "max-forwards: 9\n"},
                    {"OPTIONS a /\nmax-forwards: -1\n", "max-forwards: -1\n"},
                    {"OPTIONS a /\nmax-forwards: many\n", "max-forwards: many\n"},
                    {"GET a /\nmax-forwards: 0\n", "max-forwards: 0\n"}};
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        struct loopback world;
        struct client client;
        loopback_init(&world, PROXY SERVICE("HTTP1", ONE), NULL);
        client_get(&client, &world, requests[i].request);
        loopback_settle(&world);
        assert_int_equal(world.far.count, requests[i].forwarded != NULL);
        if (requests[i].forwarded != NULL) {
            assert_has(received(&world, 0), requests[i].forwarded);
            respond(&world, 0, 200, "", NULL);
        } else {
            assert_has(client_field(&client, "allow"), "OPTIONS");
        }
        assert_int_equal(client.status, 200);
        assert_true(client.ended);
        assert_int_equal(world.record.end, OK);
        client_dispose(&client);
        loopback_dispose(&world);
    }
}

// --- words of the mesh ---

static void words_of_the_mesh_are_taken_off_on_all_ways(void **state) {
    (void)state;
    static const struct stream_client *const clients[] = {&stranger, &proxy_of_ours};
    for (int i = 0; i < 2; i++) {
        struct loopback world;
        struct client client;
        loopback_init(&world, DOCUMENTS, NULL);
        begin(&client, &world, "inbound", clients[i], HTTP_2,
              "GET a /\noutrigger-protocol: 2\nOutrigger-Refused: draining\noutrigger-anything: x\nx-outrigger: kept\n");
        assert_has_not(received(&world, 0), "outrigger-");
        assert_has_not(received(&world, 0), "Outrigger-");
        assert_has(received(&world, 0), "x-outrigger: kept\n");
        respond(&world, 0, 200, "outrigger-refused: draining\noutrigger-other: 1\nx-kept: 1\n", NULL);
        assert_int_equal(client.status, 200);
        assert_null(client_field(&client, "outrigger-refused"));
        assert_null(client_field(&client, "outrigger-other"));
        assert_non_null(client_field(&client, "x-kept"));
        client_dispose(&client);
        loopback_dispose(&world);
    }
}

static void a_refusal_is_marked_for_proxies_of_ours_alone(void **state) {
    (void)state;
    static const struct stream_client *const clients[] = {&stranger, &proxy_of_ours};
    for (int i = 0; i < 2; i++) {
        struct loopback world;
        struct client client;
        loopback_init(&world, DOCUMENTS, NULL);
        world.far.mode = FAR_REFUSE;
        begin(&client, &world, "inbound", clients[i], HTTP_2, "GET a /\n");
        loopback_pass(&world, NS_PER_S);
        assert_int_equal(client.status, 502);
        if (i == 0)
            assert_null(client_field(&client, "outrigger-refused"));
        else
            assert_string_equal(client_field(&client, "outrigger-refused"), "connect_refused");
        client_dispose(&client);
        loopback_dispose(&world);
    }
}

// What the first application spoke is spoken to the last: version 1.0, or names in the case that HTTP/1 knows.
static void the_far_application_is_spoken_to_as_the_near_one_spoke(void **state) {
    (void)state;
    static const struct {
        const char *request;
        const char *name;
    } cases[] = {{"GET a /\noutrigger-protocol: 1.0\nx-custom-name: v\n", "X-Custom-Name: v\n"},
                 {"GET a /\noutrigger-protocol: 1.1\nx-custom-name: v\n", "X-Custom-Name: v\n"},
                 {"GET a /\nx-custom-name: v\n", "X-Custom-Name: v\n"},
                 {"GET a /\noutrigger-protocol: 2\nx-custom-name: v\n", "x-custom-name: v\n"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct loopback world;
        struct client client;
        loopback_init(&world, DOCUMENTS, NULL);
        world.far.mode = FAR_RAW;
        begin(&client, &world, "inbound", &proxy_of_ours, HTTP_2, cases[i].request);
        const char *sent = far_sent(far_conn(&world.far, 0));
        assert_has(sent, i == 0 ? "GET / HTTP/1.0\r\n" : "GET / HTTP/1.1\r\n");
        char line[64];
        snprintf(line, sizeof line, "\r\n%.*s\r\n", (int)strlen(cases[i].name) - 1, cases[i].name);
        assert_has(sent, line);
        far_send(far_conn(&world.far, 0), "HTTP/1.1 204 No Content\r\n\r\n");
        client_dispose(&client);
        loopback_dispose(&world);
    }
}

// --- paths ---

static void paths_go_on_in_their_canonical_form(void **state) {
    (void)state;
    static const struct {
        const char *sent, *received;
    } cases[] = {
        {"GET a /a/../b/./c\n", "/b/c "}, {"GET a /%61%7e\n", "/a~ "}, {"GET a /a%2fb//c?x=/../y\n", "/a%2Fb//c?x=/../y "}, {"OPTIONS a *\n", "* "}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct loopback world;
        struct client client;
        loopback_init(&world, DOCUMENTS, NULL);
        begin(&client, &world, "outbound", &stranger, HTTP_1_1, cases[i].sent);
        assert_has(received(&world, 0), cases[i].received);
        finish(&client, &world);
    }
}

static void paths_that_can_be_read_in_two_ways_are_refused(void **state) {
    (void)state;
    static const char *const requests[] = {"GET a /../x\n", "GET a /a/..;/b\n", "GET a /a\\b\n", "GET a /%00\n",
                                           "GET a /%5c\n",  "GET a /%zz\n",     "GET a /a#b\n"};
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        struct loopback world;
        struct client client;
        loopback_init(&world, DOCUMENTS, NULL);
        begin(&client, &world, "outbound", &stranger, HTTP_1_1, requests[i]);
        assert_int_equal(client.status, 400);
        assert_int_equal(world.far.count, 0);
        client_dispose(&client);
        loopback_dispose(&world);
    }
}

// --- which protocol ---

static void the_protocol_toward_an_endpoint_is_that_of_its_port(void **state) {
    (void)state;
    static const struct {
        const char *documents, *request;
        const char *version;
    } cases[] = {
        {PROXY SERVICE("HTTP", ONE), "GET a /\n", " 11 "},
        {PROXY SERVICE("HTTP", ONE), "POST a /s/m\ncontent-type: application/grpc+proto\nte: trailers\n", " 20 "},
        {PROXY SERVICE("HTTP1", ONE), "POST a /s/m\ncontent-type: application/grpc\nte: trailers\n", " 11 "},
        {PROXY SERVICE("HTTP2", ONE), "GET a /\n", " 20 "},
        {PROXY SERVICE("GRPC", ONE), "POST a /s/m\ncontent-type: application/grpc\nte: trailers\n", " 20 "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct loopback world;
        struct client client;
        loopback_init(&world, cases[i].documents, NULL);
        begin(&client, &world, "outbound", &stranger, HTTP_1_1, cases[i].request);
        assert_has(received(&world, 0), cases[i].version);
        finish(&client, &world);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_id_is_made_where_there_is_none),
        cmocka_unit_test(an_id_that_is_there_is_kept),
        cmocka_unit_test(via_says_what_was_received),
        cmocka_unit_test(only_many_meetings_with_ourselves_are_a_loop),
        cmocka_unit_test(what_a_client_says_of_certificates_is_taken_off),
        cmocka_unit_test(the_application_is_told_who_calls),
        cmocka_unit_test(trailers_cannot_say_it_either),
        cmocka_unit_test(an_options_request_is_forwarded_as_often_as_it_says),
        cmocka_unit_test(words_of_the_mesh_are_taken_off_on_all_ways),
        cmocka_unit_test(a_refusal_is_marked_for_proxies_of_ours_alone),
        cmocka_unit_test(the_far_application_is_spoken_to_as_the_near_one_spoke),
        cmocka_unit_test(paths_go_on_in_their_canonical_form),
        cmocka_unit_test(paths_that_can_be_read_in_two_ways_are_refused),
        cmocka_unit_test(the_protocol_toward_an_endpoint_is_that_of_its_port),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
