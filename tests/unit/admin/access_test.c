// Who may ask: which Hosts are this machine, and what a change has to show.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "admin/access.h"
#include "http/headers.h"

static void only_names_of_this_machine_are_loopback(void **state) {
    (void)state;
    static const char *const good[] = {"localhost",   "LOCALHOST:15000", "127.0.0.1",   "127.0.0.1:15000",
                                       "127.9.8.7:1", "[::1]",           "[::1]:15000", "[0:0:0:0:0:0:0:1]:80"};
    static const char *const bad[] = {"",
                                      "evil.example",
                                      "localhost.evil.example",
                                      "127.0.0.1.evil.example",
                                      "10.0.0.1",
                                      "0.0.0.0",
                                      "[::]",
                                      "[::1",
                                      "::1",
                                      "[::1]x",
                                      "127.1",
                                      "localhost:",
                                      "localhost:x",
                                      "localhost:99999",
                                      "127.0.0.1:80:80",
                                      "[fe80::1]",
                                      "localhost@evil.com",
                                      "2130706433",
                                      "0177.0.0.1",
                                      "[::ffff:10.0.0.1]"};
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
        assert_true(host_is_loopback(bytes_from_text(good[i])));
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_false(host_is_loopback(bytes_from_text(bad[i])));
    assert_false(host_is_loopback(bytes_from("127.0.0.1\0.evil", 15)));
    assert_false(host_is_loopback(BYTES_NONE));
}

static struct pool_source pools;
static struct pool pool;
static struct fields fields;
static union address peer;
static struct rpc_request request;

static int begin(void **state) {
    (void)state;
    pool_source_init(&pools, 1);
    pool_init(&pool, &pools);
    fields_init(&fields, &pool);
    peer.any.sa_family = AF_INET;
    request = (struct rpc_request){.authority = BYTES("localhost"), .fields = &fields, .peer = &peer};
    return 0;
}

static int end(void **state) {
    (void)state;
    pool_dispose(&pool);
    pool_source_dispose(&pools);
    return 0;
}

static void foreign_host_may_not_even_read(void **state) {
    (void)state;
    assert_null(admin_access_refused(&request, false, BYTES_NONE));
    request.authority = BYTES("rebound.example:15000");
    assert_non_null(admin_access_refused(&request, false, BYTES_NONE));
    assert_non_null(admin_access_refused(&request, true, BYTES_NONE));
}

static void web_pages_may_not_change_anything(void **state) {
    (void)state;
    fields_add(&fields, BYTES("Origin"), BYTES("http://localhost"));
    assert_null(admin_access_refused(&request, false, BYTES_NONE));
    assert_non_null(admin_access_refused(&request, true, BYTES_NONE));
}

static void change_needs_the_token_where_there_is_one(void **state) {
    (void)state;
    struct bytes token = BYTES("s3cret");
    static const char *const bad[] = {"s3cret", "Bearer", "Bearer ", "Bearer s3cre", "Bearer s3crets", "Bearer S3CRET", "Basic s3cret"};
    assert_null(admin_access_refused(&request, true, BYTES_NONE));
    assert_null(admin_access_refused(&request, false, token));
    assert_non_null(admin_access_refused(&request, true, token));
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        fields_set_known(&fields, FIELD_AUTHORIZATION, bytes_from_text(bad[i]));
        assert_non_null(admin_access_refused(&request, true, token));
    }
    fields_set_known(&fields, FIELD_AUTHORIZATION, BYTES("bearer s3cret"));
    assert_null(admin_access_refused(&request, true, token));
}

static void unix_socket_is_guarded_by_its_mode_alone(void **state) {
    (void)state;
    peer.any.sa_family = AF_UNIX;
    request.authority = BYTES("anything");
    assert_null(admin_access_refused(&request, true, BYTES("s3cret")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_names_of_this_machine_are_loopback),
        cmocka_unit_test_setup_teardown(foreign_host_may_not_even_read, begin, end),
        cmocka_unit_test_setup_teardown(web_pages_may_not_change_anything, begin, end),
        cmocka_unit_test_setup_teardown(change_needs_the_token_where_there_is_one, begin, end),
        cmocka_unit_test_setup_teardown(unix_socket_is_guarded_by_its_mode_alone, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
