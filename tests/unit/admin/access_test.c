// Who may ask: which Hosts are this machine, and what a change has to show.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "admin/access.h"
#include "admin_client.h"
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

static char token_file[64];

static unsigned status_for(bool changes) {
    return admin_access_check(&request, changes, token_file[0] == '\0' ? NULL : token_file).status;
}

static void authorize(const char *value) {
    fields_set_known(&fields, FIELD_AUTHORIZATION, bytes_from_text(value));
}

static int begin_with_token(void **state) {
    write_token(token_file, sizeof(token_file), "s3cret\n");
    return begin(state);
}

static int end_with_token(void **state) {
    unlink(token_file);
    token_file[0] = '\0';
    return end(state);
}

static void foreign_host_may_not_even_read(void **state) {
    (void)state;
    authorize("Bearer s3cret");
    assert_int_equal(status_for(false), 0);
    request.authority = BYTES("rebound.example:15000");
    assert_int_equal(status_for(false), 403);
    assert_int_equal(status_for(true), 403);
}

static void web_pages_may_not_change_anything(void **state) {
    (void)state;
    authorize("Bearer s3cret");
    fields_add(&fields, BYTES("Origin"), BYTES("http://localhost"));
    assert_int_equal(status_for(false), 0);
    assert_int_equal(status_for(true), 403);
}

static unsigned fetched(const char *site, const char *destination) {
    fields_remove_name(&fields, BYTES("sec-fetch-site"));
    fields_remove_name(&fields, BYTES("sec-fetch-dest"));
    fields_add(&fields, BYTES("Sec-Fetch-Site"), bytes_from_text(site));
    fields_add(&fields, BYTES("Sec-Fetch-Dest"), bytes_from_text(destination));
    return status_for(false);
}

static void web_pages_of_other_sites_are_given_nothing(void **state) {
    (void)state;
    assert_int_equal(fetched("cross-site", "empty"), 403);
    assert_int_equal(fetched("cross-site", "image"), 403);
    assert_int_equal(fetched("same-site", "iframe"), 403);
    assert_int_equal(fetched("cross-site", "document"), 0); // a link that somebody follows
    assert_int_equal(fetched("none", "document"), 0);       // typed by a person
    assert_int_equal(fetched("same-origin", "empty"), 0);
}

static void change_needs_the_token(void **state) {
    (void)state;
    static const char *const bad[] = {"s3cret",        "Bearer",       "Bearer ",      "Bearer s3cre",        "Bearer s3crets",
                                      "Bearer S3CRET", "Basic s3cret", "Bearers3cret", "Bearer s3cret s3cret"};
    assert_int_equal(status_for(false), 0);
    assert_int_equal(status_for(true), 401);
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        authorize(bad[i]);
        assert_int_equal(status_for(true), 401);
    }
    authorize("bearer s3cret");
    assert_int_equal(status_for(true), 0);
}

static void another_token_counts_as_soon_as_it_is_in_the_file(void **state) {
    (void)state;
    authorize("Bearer s3cret");
    assert_int_equal(status_for(true), 0);
    unlink(token_file);
    write_token(token_file, sizeof(token_file), "changed");
    assert_int_equal(status_for(true), 401);
    authorize("Bearer changed");
    assert_int_equal(status_for(true), 0);
}

static void where_there_is_no_token_no_change_is_taken(void **state) {
    (void)state;
    authorize("Bearer s3cret");
    unlink(token_file);
    assert_int_equal(status_for(true), 403); // it is gone
    write_token(token_file, sizeof(token_file), " \n\n");
    assert_int_equal(status_for(true), 403); // nobody may guess an empty one
    authorize("Bearer ");
    assert_int_equal(status_for(true), 401);
    unlink(token_file);
    token_file[0] = '\0';
    assert_int_equal(status_for(true), 403);
    assert_int_equal(status_for(false), 0);
}

static void unix_socket_is_guarded_by_its_mode_alone(void **state) {
    (void)state;
    peer.any.sa_family = AF_UNIX;
    request.authority = BYTES("anything");
    assert_int_equal(status_for(true), 0);
    assert_int_equal(admin_access_check(&request, true, NULL).status, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_names_of_this_machine_are_loopback),
        cmocka_unit_test_setup_teardown(foreign_host_may_not_even_read, begin_with_token, end_with_token),
        cmocka_unit_test_setup_teardown(web_pages_may_not_change_anything, begin_with_token, end_with_token),
        cmocka_unit_test_setup_teardown(web_pages_of_other_sites_are_given_nothing, begin_with_token, end_with_token),
        cmocka_unit_test_setup_teardown(change_needs_the_token, begin_with_token, end_with_token),
        cmocka_unit_test_setup_teardown(another_token_counts_as_soon_as_it_is_in_the_file, begin_with_token, end_with_token),
        cmocka_unit_test_setup_teardown(where_there_is_no_token_no_change_is_taken, begin_with_token, end_with_token),
        cmocka_unit_test_setup_teardown(unix_socket_is_guarded_by_its_mode_alone, begin_with_token, end_with_token),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
