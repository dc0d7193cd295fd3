// What a request is by a key: equal for requests that are alike in all parts, another for others, told apart from what is missing; and what the balancer makes of it.
#include "stream/request_key.h"

#include "unit/stream/stream_drive.h"

#include <arpa/inet.h>

#define HASH(name) "  loadBalancer: {type: RingHash, key: [{type: Header, name: " name "}]"

static const union address home = {.v4 = {.sin_family = AF_INET, .sin_port = 1, .sin_addr = {0x0500000a}}}; // 10.0.0.5

// False: a part is missing.
static bool hash_of(const struct request_key_part *parts, uint32_t count, const struct stream_client *from, const char *request, uint64_t *hash) {
    struct loopback world;
    struct client client;
    struct request_key_part copies[4];
    memcpy(copies, parts, count * sizeof *parts);
    const struct request_key key = {.parts = copies, .count = count};
    loopback_init(&world, PROXY SERVICE("HTTP1", ONE), NULL);
    client_begin_as(&client, &world, loopback_listener(&world, "outbound"), from, HTTP_1_1, request, true);
    bool found = request_key_hash(&key, client.stream, hash);
    loopback_settle(&world);
    respond(&world, 0, 204, "", NULL);
    client_dispose(&client);
    loopback_dispose(&world);
    return found;
}

static uint64_t hash_request(const struct request_key_part *parts, uint32_t count, const char *request) {
    uint64_t hash;
    const struct stream_client from = {.address = &home};
    assert_true(hash_of(parts, count, &from, request, &hash));
    return hash;
}

static void assert_missing(const struct request_key_part part, const char *request) {
    uint64_t hash;
    const struct stream_client from = {.address = &home};
    assert_false(hash_of(&part, 1, &from, request, &hash));
}

static void each_part_is_what_it_says(void **state) {
    (void)state;
    static const struct {
        struct request_key_part part;
        const char *request, *same, *other;
    } cases[] = {
        {{KEY_HEADER, BYTES_OF("x-tenant")}, "GET a /1\nX-Tenant: acme\n", "POST a /2\nx-tenant: acme\nother: 1\n", "GET a /1\nx-tenant: acm\n"},
        {{KEY_HEADER, BYTES_OF("x-tenant")},
         "GET a /1\nx-tenant: a\nx-tenant: b\n",
         "GET a /2\nx-tenant: a\nx-tenant: b\n",
         "GET a /1\nx-tenant: a\n"},
        {{KEY_HEADER, BYTES_OF("Host")}, "GET a /1\n", "GET A.:80 /2\n", "GET a:81 /1\n"},
        {{KEY_COOKIE, BYTES_OF("sid")}, "GET a /\ncookie: a=1; sid=77; b=2\n", "GET a /\ncookie: b=1\ncookie: sid=77\n", "GET a /\ncookie: sid=78\n"},
        {{KEY_QUERY, BYTES_OF("user")}, "GET a /x?user=7&z=1\n", "GET a /y?a=2&us%65r=%37\n", "GET a /x?user=8&z=1\n"},
        {{KEY_PATH}, "GET a /x?1\n", "POST a /x?2\n", "GET a /y?1\n"},
        {{KEY_METHOD}, "GET a /x\n", "GET a /y\n", "PUT a /x\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t hash = hash_request(&cases[i].part, 1, cases[i].request);
        assert_true(hash_request(&cases[i].part, 1, cases[i].same) == hash);
        assert_true(hash_request(&cases[i].part, 1, cases[i].other) != hash);
    }
}

static void what_is_missing_is_told_apart(void **state) {
    (void)state;
    assert_missing((struct request_key_part){KEY_HEADER, BYTES("x-tenant")}, "GET a /\nx-tenants: a\n");
    assert_missing((struct request_key_part){KEY_COOKIE, BYTES("sid")}, "GET a /\ncookie: sid; sidd=1; xsid=2\n");
    assert_missing((struct request_key_part){KEY_COOKIE, BYTES("sid")}, "GET a /\n");
    assert_missing((struct request_key_part){KEY_QUERY, BYTES("user")}, "GET a /user=7?users=7\n");
    assert_missing((struct request_key_part){KEY_QUERY, BYTES("user")}, "GET a /\n");
    assert_missing((struct request_key_part){KEY_IDENTITY}, "GET a /\n");
    // What is there and empty is not missing.
    const struct request_key_part empty[] = {{KEY_HEADER, BYTES("x-tenant")}, {KEY_QUERY, BYTES("user")}};
    (void)hash_request(empty, 2, "GET a /?user\nx-tenant: \n");
}

// Parts are in their order, and nothing moves from one to the next.
static void parts_are_kept_apart(void **state) {
    (void)state;
    const struct request_key_part parts[] = {{KEY_HEADER, BYTES("x")}, {KEY_HEADER, BYTES("y")}};
    const struct request_key_part turned[] = {{KEY_HEADER, BYTES("y")}, {KEY_HEADER, BYTES("x")}};
    uint64_t hash = hash_request(parts, 2, "GET a /\nx: 1\nx: 2\ny: 3\n");
    assert_true(hash_request(parts, 2, "GET a /\nx: 1\ny: 2\ny: 3\n") != hash);
    assert_true(hash_request(parts, 2, "GET a /\nx: 12\ny: 3\n") != hash);
    assert_true(hash_request(turned, 2, "GET a /\nx: 1\nx: 2\ny: 3\n") != hash);
}

static uint64_t hash_address(const char *text) {
    union address address = {0};
    const struct stream_client from = {.address = &address};
    const struct request_key_part part = {KEY_CLIENT_ADDRESS, BYTES_NONE};
    uint64_t hash;
    bool is_v6 = strchr(text, ':') != NULL;
    address.any.sa_family = is_v6 ? AF_INET6 : AF_INET;
    void *ip = is_v6 ? (void *)&address.v6.sin6_addr : (void *)&address.v4.sin_addr;
    assert_int_equal(inet_pton(address.any.sa_family, text, ip), 1);
    assert_true(hash_of(&part, 1, &from, "GET a /\n", &hash));
    return hash;
}

static void clients_of_ipv6_count_by_their_64(void **state) {
    (void)state;
    assert_true(hash_address("2001:db8:0:1::1") == hash_address("2001:db8:0:1:ffff::2"));
    assert_true(hash_address("2001:db8:0:1::1") != hash_address("2001:db8:0:2::1"));
    assert_true(hash_address("10.0.0.5") != hash_address("10.0.0.6"));
    assert_true(hash_address("::ffff:10.0.0.5") == hash_address("10.0.0.5"));
    assert_true(hash_address("::ffff:10.0.0.6") != hash_address("10.0.0.5"));
}

static uint64_t guarded(struct client *client, const struct request_key_part *parts, uint32_t count) {
    struct request_key_part copies[2];
    memcpy(copies, parts, count * sizeof *parts);
    const struct request_key key = {.parts = copies, .count = count};
    uint64_t hash;
    assert_true(request_key_hash_guarded(&key, client->stream, &hash));
    return hash;
}

// A connection keeps the hash of its client's address. It is what it would be without; of an address that a proxy names, and behind another part, nothing is kept.
static void the_hash_of_an_address_is_kept_by_its_connection(void **state) {
    (void)state;
    static const struct request_key_part address[] = {{KEY_CLIENT_ADDRESS}}, method_first[] = {{KEY_METHOD}, {KEY_CLIENT_ADDRESS}},
                                         address_first[] = {{KEY_CLIENT_ADDRESS}, {KEY_METHOD}};
    struct loopback world;
    struct client client;
    uint64_t kept = 0, unguarded;
    const struct stream_client from = {.address = &home, .address_hash = &kept};
    loopback_init(&world, PROXY SERVICE("HTTP1", ONE), NULL);
    client_begin_as(&client, &world, loopback_listener(&world, "outbound"), &from, HTTP_1_1, "GET a /\n", true);
    client.stream->client.address_hash = NULL;
    const uint64_t alone = guarded(&client, address, 1), behind = guarded(&client, method_first, 2), before = guarded(&client, address_first, 2);
    client.stream->client.address_hash = &kept;
    struct request_key_part part = address[0];
    assert_true(request_key_hash(&(struct request_key){.parts = &part, .count = 1}, client.stream, &unguarded));
    assert_true(guarded(&client, method_first, 2) == behind);
    assert_true(kept == 0);
    assert_true(guarded(&client, address, 1) == alone);
    assert_true(kept == alone);
    assert_true(guarded(&client, address, 1) == alone);
    assert_true(guarded(&client, address_first, 2) == before);
    assert_true(guarded(&client, method_first, 2) == behind);
    client.stream->forwarded.names_client = true;
    client.stream->forwarded.client = (union address){.v4 = {.sin_family = AF_INET, .sin_addr = {0x0600000a}}};
    assert_true(guarded(&client, address, 1) != alone);
    client.stream->forwarded.names_client = false;
    assert_true(kept == alone);
    loopback_settle(&world);
    respond(&world, 0, 204, "", NULL);
    client_dispose(&client);
    loopback_dispose(&world);
}

static void identities_are_told_apart(void **state) {
    (void)state;
    const struct request_key_part part = {KEY_IDENTITY, BYTES_NONE};
    const struct spiffe_id ids[] = {{.text = BYTES("spiffe://a/b")}, {.text = BYTES("spiffe://a/c")}};
    uint64_t hashes[2];
    for (int i = 0; i < 2; i++) {
        const struct stream_client from = {.address = &home, .identity = &ids[i]};
        assert_true(hash_of(&part, 1, &from, "GET a /\n", &hashes[i]));
    }
    assert_true(hashes[0] != hashes[1]);
}

// Proxies of all versions must agree: this number never changes.
static void the_hash_is_the_same_for_ever(void **state) {
    (void)state;
    const struct request_key_part part = {KEY_HEADER, BYTES("x-tenant")};
    assert_true(hash_request(&part, 1, "GET a /\nx-tenant: acme\n") == UINT64_C(0xa19efd2637c92403));
}

#define THREE TWO ", {address: '127.0.0.1:8003'}"

// The port of the n-th connection's server.
static uint16_t port_of(struct loopback *world, unsigned position) {
    return far_conn(&world->far, position)->port;
}

static void requests_of_one_key_go_to_one_endpoint_and_retries_to_another(void **state) {
    (void)state;
    struct loopback world;
    loopback_init(&world, PROXY SERVICE("HTTP1", THREE) POLICY(HASH("x-tenant") "}\n"), NULL);
    uint16_t port = 0;
    for (int i = 0; i < 10; i++) {
        struct client client;
        client_get(&client, &world, "GET a /\nx-tenant: acme\n");
        loopback_settle(&world);
        port = port_of(&world, 0);
        struct owner_stream *last = far_request(far_conn(&world.far, 0), 0);
        while (last->next != NULL)
            last = last->next;
        far_respond(far_conn(&world.far, 0), last, 204, "", NULL, true);
        assert_int_equal(client.status, 204);
        client_dispose(&client);
    }
    assert_int_equal(world.far.count, 1);
    // It is gone: the next on the ring has the request, and keeps the key.
    far_break(far_conn(&world.far, 0));
    fake_upstream_port(&world.far, (uint16_t)(port % 10), FAR_REFUSE);
    uint16_t next = 0;
    for (int i = 0; i < 3; i++) {
        struct client client;
        client_get(&client, &world, "GET a /\nx-tenant: acme\n");
        loopback_settle(&world);
        unsigned newest = world.far.count - 1;
        assert_int_not_equal(port_of(&world, newest), port);
        assert_true(next == 0 || port_of(&world, newest) == next);
        next = port_of(&world, newest);
        struct owner_stream *last = far_request(far_conn(&world.far, newest), 0);
        while (last->next != NULL)
            last = last->next;
        far_respond(far_conn(&world.far, newest), last, 204, "", NULL, true);
        assert_int_equal(client.status, 204);
        assert_int_equal(world.record.attempts, i == 0 ? 2 : 1); // then it is avoided
        client_dispose(&client);
    }
    loopback_dispose(&world);
}

static void without_the_key_a_request_goes_anywhere_or_nowhere(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, PROXY SERVICE("HTTP1", THREE) POLICY(HASH("x-tenant") "}\n"), NULL);
    client_get(&client, &world, "GET a /\n");
    loopback_settle(&world);
    respond(&world, 0, 204, "", NULL);
    assert_int_equal(client.status, 204);
    client_dispose(&client);
    loopback_dispose(&world);
    loopback_init(&world, PROXY SERVICE("HTTP1", THREE) POLICY(HASH("x-tenant") ", ifMissing: Reject}\n"), NULL);
    client_get(&client, &world, "GET a /\n");
    loopback_settle(&world);
    assert_int_equal(client.status, 400);
    assert_int_equal(world.far.count, 0);
    assert_string_equal(error_name(world.record.end), "bad_request");
    assert_has(client.fields.at, "TrafficPolicy/default/a: loadBalancer.ifMissing");
    client_dispose(&client);
    client_get(&client, &world, "GET a /\nx-tenant: acme\n");
    loopback_settle(&world);
    respond(&world, 0, 204, "", NULL);
    assert_int_equal(client.status, 204);
    client_dispose(&client);
    loopback_dispose(&world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_part_is_what_it_says),
        cmocka_unit_test(what_is_missing_is_told_apart),
        cmocka_unit_test(parts_are_kept_apart),
        cmocka_unit_test(clients_of_ipv6_count_by_their_64),
        cmocka_unit_test(the_hash_of_an_address_is_kept_by_its_connection),
        cmocka_unit_test(identities_are_told_apart),
        cmocka_unit_test(the_hash_is_the_same_for_ever),
        cmocka_unit_test(requests_of_one_key_go_to_one_endpoint_and_retries_to_another),
        cmocka_unit_test(without_the_key_a_request_goes_anywhere_or_nowhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
