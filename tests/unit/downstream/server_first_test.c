// What is remembered of destinations whose server speaks first: by listener and address, for a while, in a table that does not grow.
#include "downstream/server_first.h"

#include <arpa/inet.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static union address address_of(uint32_t ip, uint16_t port) {
    union address address = {0};
    address.v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(ip)};
    return address;
}

static void a_destination_is_known_once_it_was_noted(void **state) {
    (void)state;
    struct server_first table = {0};
    union address db = address_of(0x0a000001, 3306), other = address_of(0x0a000001, 3307);
    assert_false(server_first_knows(&table, BYTES("out"), &db, 1));
    server_first_note(&table, BYTES("out"), &db, 1);
    assert_true(server_first_knows(&table, BYTES("out"), &db, 2));
    assert_false(server_first_knows(&table, BYTES("out"), &other, 2));
    assert_false(server_first_knows(&table, BYTES("in"), &db, 2));
    server_first_forget(&table, BYTES("out"), &other);
    assert_true(server_first_knows(&table, BYTES("out"), &db, 2));
    server_first_forget(&table, BYTES("out"), &db);
    assert_false(server_first_knows(&table, BYTES("out"), &db, 2));
}

static void it_is_forgotten_after_ten_minutes(void **state) {
    (void)state;
    struct server_first table = {0};
    union address db = address_of(0x0a000001, 3306);
    server_first_note(&table, BYTES("out"), &db, NS_PER_S);
    assert_true(server_first_knows(&table, BYTES("out"), &db, 600 * NS_PER_S));
    assert_false(server_first_knows(&table, BYTES("out"), &db, 601 * NS_PER_S));
}

static void more_than_it_holds_takes_the_places_of_others(void **state) {
    (void)state;
    struct server_first table = {0};
    unsigned known = 0;
    for (uint32_t i = 0; i < 10 * SERVER_FIRST_PLACES; i++) {
        union address address = address_of(0x0a000000 + i, 3306);
        server_first_note(&table, BYTES("out"), &address, 1);
        assert_true(server_first_knows(&table, BYTES("out"), &address, 2));
    }
    for (uint32_t i = 0; i < 10 * SERVER_FIRST_PLACES; i++) {
        union address address = address_of(0x0a000000 + i, 3306);
        known += server_first_knows(&table, BYTES("out"), &address, 2);
    }
    assert_in_range(known, SERVER_FIRST_PLACES / 2, SERVER_FIRST_PLACES);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_destination_is_known_once_it_was_noted),
        cmocka_unit_test(it_is_forgotten_after_ten_minutes),
        cmocka_unit_test(more_than_it_holds_takes_the_places_of_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
