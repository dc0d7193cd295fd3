// Who the client is, as trusted proxies tell it: the last of x-forwarded-for that is none of them. Whatever else stands there never makes anybody another one.
#include "stream/forwarded_for.h"

#include "net/tcp.h"
#include "unit/stream/stream_drive.h"

#include <arpa/inet.h>

#define DOCUMENTS PROXY_WITH("  trustedProxies: [10.0.0.0/8, 'fd00::/8', 192.0.2.9]\n") SERVICE("HTTP1", ONE)

// What is told of a request with these lines by that peer; `chain` has room for 256.
static struct forwarded_for read_of(const char *peer, const char *lines, char *text, char *chain) {
    struct loopback world;
    struct client client;
    union address address = {0};
    char request[512];
    if (strchr(peer, ':') != NULL) {
        address.v6.sin6_family = AF_INET6;
        assert_int_equal(inet_pton(AF_INET6, peer, &address.v6.sin6_addr), 1);
    } else {
        address.v4.sin_family = AF_INET;
        assert_int_equal(inet_pton(AF_INET, peer, &address.v4.sin_addr), 1);
    }
    const struct stream_client from = {.address = &address};
    snprintf(request, sizeof request, "GET a /\n%s", lines);
    loopback_init(&world, DOCUMENTS, NULL);
    client_begin_as(&client, &world, loopback_listener(&world, "outbound"), &from, HTTP_1_1, request, true);
    loopback_settle(&world);
    struct forwarded_for forwarded = client.stream->forwarded;
    snprintf(chain, 256, "%.*s", BYTES_FORMAT(forwarded.chain));
    text[address_print_ip(stream_client_address(client.stream), text, ADDRESS_TEXT_MAX)] = '\0';
    respond(&world, 0, 204, "", NULL);
    client_dispose(&client);
    loopback_dispose(&world);
    return forwarded;
}

struct told {
    const char *lines, *client, *chain;
};

static void expect(const char *peer, const struct told *cases, size_t count) {
    for (size_t i = 0; i < count; i++) {
        char text[ADDRESS_TEXT_MAX], chain[256];
        struct forwarded_for forwarded = read_of(peer, cases[i].lines, text, chain);
        assert_true(forwarded.is_believed);
        assert_string_equal(text, cases[i].client);
        assert_string_equal(chain, cases[i].chain);
        assert_int_equal(forwarded.names_client, cases[i].chain[0] != '\0');
    }
}

static void the_last_that_is_no_trusted_proxy_is_the_client(void **state) {
    (void)state;
    static const struct told cases[] = {
        {"x-forwarded-for: 198.51.100.7\n", "198.51.100.7", "198.51.100.7"},
        {"x-forwarded-for: 198.51.100.7, 10.1.1.1\n", "198.51.100.7", "198.51.100.7, 10.1.1.1"},
        {"x-forwarded-for: 198.51.100.7, 10.1.1.1, 192.0.2.9,fd00::5\n", "198.51.100.7", "198.51.100.7, 10.1.1.1, 192.0.2.9,fd00::5"},
        {"x-forwarded-for: 2001:db8::1\n", "2001:db8::1", "2001:db8::1"},
        {"X-Forwarded-For: 198.51.100.7\nx-other: 1\nx-forwarded-for: 10.1.1.1\n", "198.51.100.7", "198.51.100.7, 10.1.1.1"},
        {"x-forwarded-for: 198.51.100.7:4711\n", "198.51.100.7", "198.51.100.7:4711"},
        {"x-forwarded-for: [2001:db8::1]:4711\n", "2001:db8::1", "[2001:db8::1]:4711"},
        {"x-forwarded-for: [2001:db8::1]\n", "2001:db8::1", "[2001:db8::1]"},
        {"x-forwarded-for: ::ffff:198.51.100.7\n", "198.51.100.7", "::ffff:198.51.100.7"},
        {"x-forwarded-for: , 198.51.100.7 ,\t, 10.1.1.1 ,\n", "198.51.100.7", "198.51.100.7 ,\t, 10.1.1.1 ,"},
        {"x-forwarded-for: 10.7.7.7, 10.1.1.1\n", "10.7.7.7", "10.7.7.7, 10.1.1.1"}, // trusted all along: the farthest
    };
    expect("10.0.0.1", cases, sizeof cases / sizeof cases[0]);
    expect("fd00::1", cases, 1);
    expect("::ffff:10.0.0.1", cases, 1);
}

// Each is what a client wrote before the balancer added the client's address, or what a broken balancer wrote.
static void what_was_written_before_the_client_changes_nothing(void **state) {
    (void)state;
    static const struct told cases[] = {
        {"x-forwarded-for: 127.0.0.1, 198.51.100.7\n", "198.51.100.7", "198.51.100.7"},
        {"x-forwarded-for: 10.0.0.1, 198.51.100.7\n", "198.51.100.7", "198.51.100.7"}, // as if it were a proxy
        {"x-forwarded-for: 10.0.0.1\nx-forwarded-for: 198.51.100.7, 10.1.1.1\n", "198.51.100.7", "198.51.100.7, 10.1.1.1"},
        {"x-forwarded-for: ';drop, \"a, 198.51.100.7\n", "198.51.100.7", "198.51.100.7"},
        {"forwarded: for=203.0.113.1\nx-forwarded-for: 198.51.100.7\n", "198.51.100.7", "198.51.100.7"},
        {"x-real-ip: 203.0.113.1\nx-forwarded-for: 198.51.100.7\n", "198.51.100.7", "198.51.100.7"},
    };
    expect("10.0.0.1", cases, sizeof cases / sizeof cases[0]);
}

// Nobody is known behind an entry that is none: then the client is who is known last.
static void an_entry_that_is_no_address_ends_the_reading(void **state) {
    (void)state;
    static const char *const wrong[] = {"unknown",
                                        "_hidden",
                                        "a.example",
                                        "198.51.100",
                                        "198.51.100.256",
                                        "0198.51.100.7",
                                        "0x7f.0.0.1",
                                        "198.51.100.7:",
                                        "2130706433",
                                        "[::1",
                                        "[198.51.100.7]",
                                        "[::1]4711",
                                        "198.51.100.7:123456",
                                        "198.51.100.7:http",
                                        "fe80::1%eth0",
                                        "198.51.100.7/32",
                                        "198.51.100.7 10.0.0.1",
                                        "*",
                                        "[]"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char lines[256];
        snprintf(lines, sizeof lines, "x-forwarded-for: 203.0.113.1, %s\n", wrong[i]);
        expect("10.0.0.1", &(struct told){lines, "10.0.0.1", ""}, 1);
        snprintf(lines, sizeof lines, "x-forwarded-for: 203.0.113.1, %s, 10.1.1.1\n", wrong[i]);
        expect("10.0.0.1", &(struct told){lines, "10.1.1.1", "10.1.1.1"}, 1);
    }
    static const struct told nothing[] = {{"", "10.0.0.1", ""}, {"x-forwarded-for: \n", "10.0.0.1", ""}, {"x-forwarded-for: ,,\n", "10.0.0.1", ""}};
    expect("10.0.0.1", nothing, sizeof nothing / sizeof nothing[0]);
}

static void a_peer_that_is_not_trusted_tells_nothing(void **state) {
    (void)state;
    static const char *const peers[] = {"11.0.0.1", "192.0.2.8", "2001:db8::1", "::10.0.0.1"};
    for (size_t i = 0; i < sizeof peers / sizeof peers[0]; i++) {
        char text[ADDRESS_TEXT_MAX], chain[256];
        struct forwarded_for forwarded = read_of(peers[i], "x-forwarded-for: 198.51.100.7\n", text, chain);
        assert_false(forwarded.is_believed || forwarded.names_client);
        assert_string_equal(text, peers[i]);
        assert_string_equal(chain, "");
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_that_is_no_trusted_proxy_is_the_client),
        cmocka_unit_test(what_was_written_before_the_client_changes_nothing),
        cmocka_unit_test(an_entry_that_is_no_address_ends_the_reading),
        cmocka_unit_test(a_peer_that_is_not_trusted_tells_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
