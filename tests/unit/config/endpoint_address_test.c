// Addresses of endpoints in few bytes: what goes in comes out, and equal addresses are equal bytes.
#include "config/endpoint_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static struct sockaddr_storage v4(const char *ip, uint16_t port) {
    struct sockaddr_storage socket;
    memset(&socket, 0xaa, sizeof socket); // what lies beside the address must not matter
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
    assert_int_equal(inet_pton(AF_INET, ip, &in.sin_addr), 1);
    memcpy(&socket, &in, sizeof in);
    return socket;
}

static struct sockaddr_storage v6(const char *ip, uint16_t port) {
    struct sockaddr_storage socket = {0};
    struct sockaddr_in6 in = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    assert_int_equal(inet_pton(AF_INET6, ip, &in.sin6_addr), 1);
    memcpy(&socket, &in, sizeof in);
    return socket;
}

static void an_address_comes_back_as_it_went_in(void **state) {
    (void)state;
    struct sockaddr_storage from[] = {v4("10.0.0.5", 15006), v6("2001:db8::1", 80)};
    static const char *const texts[] = {"10.0.0.5:15006", "[2001:db8::1]:80"};
    static const socklen_t lengths[] = {sizeof(struct sockaddr_in), sizeof(struct sockaddr_in6)};
    for (int i = 0; i < 2; i++) {
        struct endpoint_address address = endpoint_address_of(&from[i]);
        char text[ENDPOINT_ADDRESS_TEXT_MAX];
        assert_int_equal(endpoint_address_print(&address, text), strlen(texts[i]));
        assert_string_equal(text, texts[i]);
        struct sockaddr_storage to;
        assert_int_equal(endpoint_address_to_socket(&address, &to), lengths[i]);
        assert_memory_equal(&to, &from[i], lengths[i]);
    }
}

static void equal_addresses_are_equal_bytes(void **state) {
    (void)state;
    struct sockaddr_storage from[] = {v4("10.0.0.5", 80), v4("10.0.0.5", 80), v4("10.0.0.5", 81), v6("::ffff:10.0.0.5", 80)};
    struct endpoint_address addresses[4];
    for (int i = 0; i < 4; i++)
        addresses[i] = endpoint_address_of(&from[i]);
    assert_true(bytes_equal(endpoint_address_bytes(&addresses[0]), endpoint_address_bytes(&addresses[1])));
    assert_false(bytes_equal(endpoint_address_bytes(&addresses[0]), endpoint_address_bytes(&addresses[2])));
    assert_false(bytes_equal(endpoint_address_bytes(&addresses[0]), endpoint_address_bytes(&addresses[3])));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_address_comes_back_as_it_went_in),
        cmocka_unit_test(equal_addresses_are_equal_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
