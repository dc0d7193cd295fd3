// Open replies: pieces, their bound, a reader that is slow, gone or in no hurry, the end.
#include "one_server.h"

#define TYPE BYTES("application/x-ndjson")

static int ask_and_open(const char *request) {
    int client = connect_client();
    reply_at_once = false;
    send_text(client, request);
    TURN_UNTIL(waiting != NULL);
    rpc_reply_open(waiting, 200, TYPE);
    return client;
}

// Writes lines of 1,000 bytes until the reply takes no more, and the socket neither. Returns how many.
static unsigned fill(void) {
    char line[1001];
    memset(line, '#', 999);
    line[999] = '\n';
    unsigned count = 0;
    for (unsigned idle = 0; idle < 10; idle++) {
        while (rpc_reply_room(waiting) >= 1000) {
            rpc_reply_write(waiting, bytes_from(line, 1000));
            count++;
            idle = 0;
        }
        turn();
    }
    return count;
}

static void pieces_follow_each_other_in_chunks_and_the_connection_is_kept(void **state) {
    (void)state;
    int client = ask_and_open("GET /tap HTTP/1.1\r\nHost: h\r\n\r\n");
    const char *response = receive(client, "\r\n\r\n"); // the head does not wait for a piece
    starts_with(response, "HTTP/1.1 200 OK\r\n");
    assert_non_null(strcasestr(response, "\r\nTransfer-Encoding: chunked\r\n"));
    assert_non_null(strcasestr(response, "\r\nContent-Type: application/x-ndjson\r\n"));
    rpc_reply_write(waiting, BYTES("one\n"));
    assert_string_equal(receive(client, "\n\r\n"), "4\r\none\n\r\n");
    rpc_reply_write(waiting, BYTES("two\n"));
    rpc_reply_write(waiting, BYTES("three\n"));
    assert_string_equal(receive(client, "three\n\r\n"), "a\r\ntwo\nthree\n\r\n");
    rpc_reply_write(waiting, BYTES("last\n"));
    rpc_reply_end(waiting);
    assert_string_equal(receive(client, "0\r\n\r\n"), "5\r\nlast\n\r\n0\r\n\r\n");
    assert_int_equal(cancelled + writables, 0);
    assert_int_equal(ended, 1);
    reply_at_once = true;
    send_text(client, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    starts_with(receive(client, "hello\n"), "HTTP/1.1 200 OK\r\n");
}

static void what_is_written_before_the_first_turn_is_not_lost(void **state) {
    (void)state;
    int client = ask_and_open("GET /tap HTTP/1.1\r\nHost: h\r\n\r\n");
    rpc_reply_write(waiting, BYTES("all\n"));
    rpc_reply_end(waiting);
    assert_non_null(strstr(receive(client, "0\r\n\r\n"), "\r\n\r\n4\r\nall\n\r\n0\r\n\r\n"));
}

static void an_old_client_gets_it_until_the_connection_ends(void **state) {
    (void)state;
    int client = ask_and_open("GET /tap HTTP/1.0\r\n\r\n");
    rpc_reply_write(waiting, BYTES("one\n"));
    const char *response = receive(client, "one\n");
    assert_null(strcasestr(response, "chunked"));
    assert_null(strcasestr(response, "content-length"));
    rpc_reply_write(waiting, BYTES("two\n"));
    rpc_reply_end(waiting);
    assert_string_equal(receive(client, NULL), "two\n");
}

static void a_client_that_does_not_read_has_its_bound_and_then_all_of_it(void **state) {
    (void)state;
    int client = ask_and_open("GET /tap HTTP/1.1\r\nHost: h\r\n\r\n");
    unsigned count = fill();
    assert_true(rpc_reply_room(waiting) < 1000);
    assert_true(loop.blocks.used * BLOCK_CAPACITY <= RPC_OPEN_REPLY_MAX + 2 * LIMIT_OUTPUT_BYTES);
    assert_true(count < 1000); // the system keeps little
    assert_int_equal(fill(), 0);
    unsigned before = writables;
    pass_time(3600 * NS_PER_S); // it may take as long as it likes
    assert_int_equal(cancelled, 0);
    assert_int_equal(writables, before);
    size_t length = 0, received = 0;
    while (length == 0 || memcmp(text + length - 5, "0\r\n\r\n", 5) != 0) {
        if (writables > before && waiting != NULL) {
            assert_true(rpc_reply_room(waiting) >= RPC_OPEN_REPLY_MAX / 2);
            rpc_reply_end(waiting);
            waiting = NULL;
            assert_int_equal(ended, 0);
        }
        ssize_t got = recv(client, text + length, 65536, MSG_DONTWAIT);
        assert_true(got != 0 && length + 65536 < TEXT_MAX);
        if (got > 0)
            length += (size_t)got;
        turn();
    }
    for (size_t i = 0; i < length; i++)
        received += text[i] == '#';
    assert_int_equal(received, count * 999);
    assert_int_equal(writables, before + 1);
    TURN_UNTIL(ended == 1);
}

static void who_takes_nothing_behind_the_end_is_dropped_in_time(void **state) {
    (void)state;
    ask_and_open("GET /tap HTTP/1.1\r\nHost: h\r\n\r\n");
    (void)fill();
    rpc_reply_end(waiting);
    for (int i = 0; i < 10; i++)
        turn();
    assert_int_equal(ended, 0); // not out yet
    pass_time(RPC_REQUEST_TIMEOUT + NS_PER_S);
    TURN_UNTIL(rpc_server_counters(server)->connections == 0);
    assert_int_equal(cancelled, 0);
    assert_int_equal(ended, 1);
}

// Whoever is told closes the server, as a process that ends does, and the client has all of it.
static void an_end_is_told_when_nothing_of_it_waits_any_more(void **state) {
    (void)state;
    static const int least = 1; // what the system keeps, so that the transport keeps more
    assert_int_equal(setsockopt(server_socket, SOL_SOCKET, SO_SNDBUF, &least, sizeof(least)), 0);
    int client = ask_and_open("GET /tap HTTP/1.0\r\n\r\n");
    const unsigned count = fill();
    unsigned received = 0;
    rpc_reply_end(waiting);
    for (ssize_t got = -1; got != 0;) {
        got = recv(client, text, 1000, MSG_DONTWAIT);
        for (ssize_t i = 0; i < got; i++)
            received += text[i] == '#';
        turn();
        if (ended > 0 && server != NULL) {
            rpc_server_close(server);
            server = NULL;
        }
    }
    assert_int_equal(received, count * 999);
    assert_int_equal(ended, 1);
    assert_int_equal(cancelled, 0);
}

static void one_that_is_hurried_has_the_deadline_of_any_as_long_as_it_takes_nothing(void **state) {
    (void)state;
    int client = ask_and_open("GET /tap HTTP/1.1\r\nHost: h\r\n\r\n");
    (void)fill();
    pass_time(3600 * NS_PER_S);
    loop_enter(&loop);
    rpc_reply_hurry(waiting);
    for (unsigned round = 0; round < 3; round++) { // it takes something in each
        pass_time(RPC_REQUEST_TIMEOUT - NS_PER_S);
        assert_int_equal(cancelled, 0);
        for (const unsigned before = writables; writables == before;) {
            (void)recv(client, text, 65536, MSG_DONTWAIT);
            turn();
        }
        (void)fill();
    }
    pass_time(RPC_REQUEST_TIMEOUT + NS_PER_S);
    assert_int_equal(cancelled, 1);
    TURN_UNTIL(rpc_server_counters(server)->connections == 0);
    assert_int_equal(ended, 0);
}

static void one_that_is_hurried_at_once_has_it_from_its_head_on(void **state) {
    (void)state;
    ask_and_open("GET /tap HTTP/1.1\r\nHost: h\r\n\r\n");
    rpc_reply_hurry(waiting);
    turn();
    assert_int_equal(cancelled, 0);
    pass_time(RPC_REQUEST_TIMEOUT + NS_PER_S);
    assert_int_equal(cancelled, 1);
}

static void a_client_that_goes_in_whatever_way_is_told_once(void **state) {
    (void)state;
    struct linger linger = {.l_onoff = 1};
    for (unsigned way = 0; way < 3; way++) {
        waiting = NULL;
        int client = ask_and_open("GET /tap HTTP/1.1\r\nHost: h\r\n\r\n");
        receive(client, "\r\n\r\n");
        if (way == 0)
            setsockopt(client, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
        if (way == 2)
            shutdown(client, SHUT_WR);
        else
            close_client(client);
        TURN_UNTIL(cancelled == way + 1);
        TURN_UNTIL(rpc_server_counters(server)->connections == 0);
    }
    assert_int_equal(cancelled, 3);
}

static void a_client_that_goes_between_the_last_piece_and_the_end_is_not_told(void **state) {
    (void)state;
    int client = ask_and_open("GET /tap HTTP/1.1\r\nHost: h\r\n\r\n");
    receive(client, "\r\n\r\n");
    rpc_reply_end(waiting);
    close_client(client);
    TURN_UNTIL(rpc_server_counters(server)->connections == 0);
    assert_int_equal(cancelled, 0);
    assert_int_equal(ended, 1);
}

static void an_open_reply_makes_no_room_for_others(void **state) {
    (void)state;
    int client = ask_and_open("GET /tap HTTP/1.1\r\nHost: h\r\n\r\n");
    struct rpc_request *opened = waiting;
    receive(client, "\r\n\r\n");
    for (unsigned i = 0; i < RPC_CONNECTIONS_MAX; i++)
        connect_client();
    TURN_UNTIL(rpc_server_counters(server)->accepted == RPC_CONNECTIONS_MAX + 1);
    rpc_server_stop_listening(server);
    rpc_reply_write(opened, BYTES("still\n"));
    assert_non_null(strstr(receive(client, "still\n"), "still\n"));
    assert_int_equal(cancelled, 0);
}

static void closing_the_server_ends_one_that_was_ended(void **state) {
    (void)state;
    ask_and_open("GET /tap HTTP/1.1\r\nHost: h\r\n\r\n");
    (void)fill();
    rpc_reply_end(waiting);
    rpc_server_close(server);
    server = NULL;
    assert_int_equal(ended, 1);
    assert_int_equal(cancelled, 0);
}

static void closing_the_server_cancels_it(void **state) {
    (void)state;
    int client = ask_and_open("GET /tap HTTP/1.1\r\nHost: h\r\n\r\n");
    receive(client, "\r\n\r\n");
    rpc_server_close(server);
    server = NULL;
    assert_int_equal(cancelled, 1);
}

// Both happen in one turn: it was answered, and is not cancelled any more.
static void an_answer_in_the_turn_of_the_deadline_counts(void **state) {
    (void)state;
    int client = connect_client();
    reply_at_once = false;
    send_text(client, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    TURN_UNTIL(waiting != NULL);
    skew += RPC_REQUEST_TIMEOUT + NS_PER_S;
    reply(waiting, 200);
    starts_with(receive(client, "hello\n"), "HTTP/1.1 200 OK\r\n");
    assert_int_equal(cancelled, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(pieces_follow_each_other_in_chunks_and_the_connection_is_kept),
        TEST(what_is_written_before_the_first_turn_is_not_lost),
        TEST(an_old_client_gets_it_until_the_connection_ends),
        TEST(a_client_that_does_not_read_has_its_bound_and_then_all_of_it),
        TEST(who_takes_nothing_behind_the_end_is_dropped_in_time),
        TEST(an_end_is_told_when_nothing_of_it_waits_any_more),
        TEST(one_that_is_hurried_has_the_deadline_of_any_as_long_as_it_takes_nothing),
        TEST(one_that_is_hurried_at_once_has_it_from_its_head_on),
        TEST(a_client_that_goes_in_whatever_way_is_told_once),
        TEST(a_client_that_goes_between_the_last_piece_and_the_end_is_not_told),
        TEST(an_open_reply_makes_no_room_for_others),
        TEST(closing_the_server_ends_one_that_was_ended),
        TEST(closing_the_server_cancels_it),
        TEST(an_answer_in_the_turn_of_the_deadline_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
