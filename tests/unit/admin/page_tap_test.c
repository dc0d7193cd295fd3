// The page that the source answers by itself: what is refused, a reply that goes on, a reader that goes.
#include "one_admin.h"
#include "admin/tap_query.h"

static struct tap_question question;
static unsigned over, writable;

static void on_writable(struct admin_query *query) {
    assert_ptr_equal(query, client.asked);
    writable++;
}

static void on_over(struct admin_query *query) {
    assert_null(query->request);
    over++;
}

static const struct admin_open_reply calls = {.writable = on_writable, .over = on_over};

// A query that the source has, and goes on with; returns the connection that it came by.
static int ask_and_open(void) {
    int connection = client_connect(&client.admin_address);
    over = writable = 0;
    client.answer_later = true;
    client_send(&client, connection, "GET /tap?count=1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    while (client.asked == NULL)
        uv_run(&client.loop.uv, UV_RUN_NOWAIT);
    client.asked->open_reply = &calls;
    return connection;
}

static void a_bad_question_is_refused(void **state) {
    (void)state;
    client.tap.error = BYTES("count: 1 to 1000000 lines");
    const char *response = client_get(&client, "/tap?count=0");
    assert_int_equal(status_of(response), 400);
    assert_non_null(strstr(body_of(response), "\"error\": \"count: 1 to 1000000 lines\""));
    assert_int_equal(client.wants, ADMIN_WANT_TAP);
}

static void one_reader_too_many_is_refused(void **state) {
    (void)state;
    client.tap = (struct admin_tap){&question, BYTES("too many")};
    assert_int_equal(status_of(client_get(&client, "/tap")), 503);
}

static void who_asks_for_the_head_gets_no_more(void **state) {
    (void)state;
    client.tap = (struct admin_tap){&question, BYTES_NONE};
    const char *response = client_ask(&client, &client.admin_address, "HEAD /tap", "Host: localhost\r\n");
    assert_int_equal(status_of(response), 200);
    assert_non_null(strcasestr(response, "\r\nContent-Type: application/x-ndjson\r\n"));
    assert_string_equal(body_of(response), "");
}

static void a_reply_goes_on_until_the_source_ends_it(void **state) {
    (void)state;
    int connection = ask_and_open();
    struct admin_query *query = client.asked;
    admin_reply_open(query, TAP_TYPE_JSON);
    assert_int_equal(admin_reply_room(query), RPC_OPEN_REPLY_MAX);
    admin_reply_write(query, BYTES("{}\n"));
    admin_reply_write(query, BYTES("{\"a\":1}\n"));
    admin_reply_end(query);
    assert_int_equal(over, 0);
    while (over == 0)
        uv_run(&client.loop.uv, UV_RUN_NOWAIT);
    admin_query_done(query);
    assert_string_equal(body_of(client_receive(&client, connection)), "b\r\n{}\n{\"a\":1}\n\r\n0\r\n\r\n");
    assert_int_equal(over, 1);
    assert_int_equal(writable, 0);
}

static void a_reader_that_goes_is_told_and_the_query_stays_until_it_is_done(void **state) {
    (void)state;
    for (int is_open = 0; is_open <= 1; is_open++) {
        int connection = ask_and_open();
        struct admin_query *query = client.asked;
        if (is_open)
            admin_reply_open(query, TAP_TYPE_JSON);
        shutdown(connection, SHUT_RDWR);
        close(connection);
        if (!is_open) { // nobody looks before there is something to say
            for (int i = 0; i < 10; i++)
                uv_run(&client.loop.uv, UV_RUN_NOWAIT);
            assert_int_equal(over, 0);
            admin_reply_open(query, TAP_TYPE_JSON);
        }
        while (over == 0)
            uv_run(&client.loop.uv, UV_RUN_NOWAIT);
        client.asked = NULL;
        admin_query_done(query);
        assert_int_equal(over, 1);
    }
}

static void the_end_of_the_admin_is_the_end_of_its_readers(void **state) {
    (void)state;
    int connection = ask_and_open();
    struct admin_query *query = client.asked;
    admin_reply_open(query, TAP_TYPE_JSON);
    admin_close(client.admin);
    client.admin = NULL;
    assert_int_equal(over, 1);
    admin_query_done(query);
    close(connection);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_bad_question_is_refused),
        TEST(one_reader_too_many_is_refused),
        TEST(who_asks_for_the_head_gets_no_more),
        TEST(a_reply_goes_on_until_the_source_ends_it),
        TEST(a_reader_that_goes_is_told_and_the_query_stays_until_it_is_done),
        TEST(the_end_of_the_admin_is_the_end_of_its_readers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
