// Whole requests and whole replies: what is taken, what is refused, what is waited for.
#include "one_server.h"

static void request_comes_whole_with_path_query_host_and_body(void **state) {
    (void)state;
    int client = connect_client();
    send_text(client, "POST /drain?a=1&b=2 HTTP/1.1\r\nHost: localhost:15000\r\nContent-Length: 10\r\n\r\n01234");
    assert_int_equal(requests, 0);
    send_text(client, "56789");
    const char *response = receive(client, "hello\n");
    assert_string_equal(seen, "POST /drain?a=1&b=2 localhost:15000|0123456789");
    starts_with(response, "HTTP/1.1 200 OK\r\n");
    assert_non_null(strcasestr(response, "\r\nContent-Length: 6\r\n"));
    assert_non_null(strcasestr(response, "\r\nContent-Type: text/plain\r\n"));
    assert_non_null(strcasestr(response, "\r\nX-Test: 1\r\n"));
    assert_non_null(strcasestr(response, "\r\nDate: "));
    assert_non_null(strcasestr(response, "\r\nX-Content-Type-Options: nosniff\r\n"));
}

static void body_in_chunks_is_put_together(void **state) {
    (void)state;
    int client = connect_client();
    send_text(client, "POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    send_text(client, "4\r\ndefg\r\n0\r\n\r\n");
    starts_with(receive(client, "hello\n"), "HTTP/1.1 200 OK\r\n");
    assert_string_equal(seen, "POST /x? h|abcdefg");
}

static void body_of_the_greatest_size_passes(void **state) {
    (void)state;
    int client = connect_client();
    char *request = malloc(RPC_BODY_MAX + 256);
    int length = sprintf(request, "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n", RPC_BODY_MAX);
    memset(request + length, 'b', RPC_BODY_MAX);
    request[length + RPC_BODY_MAX] = '\0';
    send_text(client, request);
    starts_with(receive(client, "hello\n"), "HTTP/1.1 200 OK\r\n");
    assert_int_equal(strlen(strchr(seen, '|') + 1), RPC_BODY_MAX);
    free(request);
}

static void body_in_small_pieces_takes_little_memory(void **state) {
    (void)state;
    int client = connect_client();
    char piece[301];
    memset(piece, 'p', 300);
    piece[300] = '\0';
    send_text(client, "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 60000\r\n\r\n");
    for (int i = 0; i < 199; i++)
        send_text(client, piece);
    assert_int_equal(requests, 0);
    assert_true(loop.blocks.used <= 60000 / BLOCK_CAPACITY + 2);
    send_text(client, piece);
    starts_with(receive(client, "hello\n"), "HTTP/1.1 200 OK\r\n");
    assert_int_equal(strlen(strchr(seen, '|') + 1), 60000);
}

static void reply_may_come_later(void **state) {
    (void)state;
    int client = connect_client();
    reply_at_once = false;
    send_text(client, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    TURN_UNTIL(waiting != NULL);
    for (int i = 0; i < 10; i++)
        turn();
    reply(waiting, 404);
    starts_with(receive(client, "hello\n"), "HTTP/1.1 404 Not Found\r\n");
    assert_int_equal(cancelled, 0);
}

static void connection_is_kept_for_the_next_request(void **state) {
    (void)state;
    int client = connect_client();
    for (unsigned i = 1; i <= 3; i++) {
        send_text(client, "GET /again HTTP/1.1\r\nHost: h\r\n\r\n");
        starts_with(receive(client, "hello\n"), "HTTP/1.1 200 OK\r\n");
        assert_int_equal(requests, i);
    }
    assert_int_equal(rpc_server_counters(server)->accepted, 1);
    assert_int_equal(rpc_server_counters(server)->requests, 3);
}

static void pipelined_requests_are_answered_one_after_the_other(void **state) {
    (void)state;
    int client = connect_client();
    reply_at_once = false;
    send_text(client, "GET /1 HTTP/1.1\r\nHost: h\r\n\r\nPOST /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nok"
                      "GET /3 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    TURN_UNTIL(requests == 1);
    for (int i = 0; i < 10; i++)
        turn();
    assert_int_equal(requests, 1);
    assert_string_equal(seen, "GET /1? h|");
    reply(waiting, 200);
    TURN_UNTIL(requests == 2);
    assert_string_equal(seen, "POST /2? h|ok");
    reply(waiting, 201);
    TURN_UNTIL(requests == 3);
    reply(waiting, 202);
    const char *response = receive(client, NULL);
    const char *second = strstr(response, "HTTP/1.1 201 ");
    assert_non_null(second);
    assert_non_null(strstr(second, "HTTP/1.1 202 "));
    starts_with(response, "HTTP/1.1 200 ");
}

static void head_tells_the_length_and_sends_no_body(void **state) {
    (void)state;
    int client = connect_client();
    reply_size = 100000;
    send_text(client, "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_non_null(strcasestr(receive(client, "\r\n\r\n"), "\r\nContent-Length: 100000\r\n"));
    send_text(client, "HEAD / HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    const char *response = receive(client, NULL);
    starts_with(strstr(response, "\r\n\r\n") + 4, "HTTP/1.1 200 OK\r\n");
}

static void long_reply_reaches_a_slow_client_whole(void **state) {
    (void)state;
    int client = connect_client_with(65536);
    reply_size = 3 * 1024 * 1024;
    send_text(client, "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    size_t length = 0, got;
    while ((got = (size_t)recv(client, text, 65536, MSG_DONTWAIT)) != 0) {
        if (got != (size_t)-1)
            length += got;
        uv_run(&loop.uv, UV_RUN_NOWAIT);
    }
    assert_true(length > reply_size && length < reply_size + 1000);
    assert_true(loop.blocks.used_peak < 1000); // the reply, once, and little besides
}

static void too_long_body_is_refused_before_it_is_read(void **state) {
    (void)state;
    int client = connect_client();
    send_text(client, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 65537\r\nExpect: 100-continue\r\n\r\n");
    const char *response = receive(client, NULL);
    starts_with(response, "HTTP/1.1 413 ");
    assert_non_null(strcasestr(response, "\r\nConnection: close\r\n"));
    assert_int_equal(requests, 0);
}

static void too_long_body_of_unknown_length_is_refused(void **state) {
    (void)state;
    int client = connect_client();
    char chunk[1024 + 16];
    memset(chunk, 'c', sizeof(chunk));
    memcpy(chunk, "400\r\n", 5);
    memcpy(chunk + 5 + 1024, "\r\n", 3);
    send_text(client, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 65; i++)
        send_text(client, chunk);
    starts_with(receive(client, NULL), "HTTP/1.1 413 ");
    assert_int_equal(requests, 0);
}

static void expectation_is_met_before_the_body(void **state) {
    (void)state;
    int client = connect_client();
    send_text(client, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    assert_string_equal(receive(client, "\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
    send_text(client, "ok");
    starts_with(receive(client, "hello\n"), "HTTP/1.1 200 OK\r\n");
    assert_string_equal(seen, "POST /? h|ok");
}

static void malformed_request_gets_400_and_the_connection_ends(void **state) {
    (void)state;
    static const char *const requests_malformed[] = {
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET /#x HTTP/1.1\r\nHost: h\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    };
    for (size_t i = 0; i < sizeof(requests_malformed) / sizeof(*requests_malformed); i++) {
        int client = connect_client();
        send_text(client, requests_malformed[i]);
        starts_with(receive(client, NULL), "HTTP/1.1 400 ");
    }
    assert_int_equal(requests, 0);
}

static void garbage_ends_the_connection_and_disturbs_nobody(void **state) {
    (void)state;
    int good = connect_client(), bad = connect_client();
    send_text(bad, "\x16\x03\x01\x02\x01\xff\xfe\r\n\r\n");
    receive(bad, NULL);
    send_text(good, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    starts_with(receive(good, "hello\n"), "HTTP/1.1 200 OK\r\n");
}

static void client_that_is_gone_cancels_its_request_once(void **state) {
    (void)state;
    int client = connect_client();
    struct linger linger = {.l_onoff = 1};
    reply_at_once = false;
    send_text(client, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    TURN_UNTIL(waiting != NULL);
    setsockopt(client, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    close_client(client);
    TURN_UNTIL(cancelled == 1);
    TURN_UNTIL(rpc_server_counters(server)->connections == 0);
    assert_int_equal(cancelled, 1);
}

static void client_that_half_closed_gets_its_answer(void **state) {
    (void)state;
    int client = connect_client();
    reply_at_once = false;
    send_text(client, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    shutdown(client, SHUT_WR);
    TURN_UNTIL(waiting != NULL);
    for (int i = 0; i < 10; i++)
        turn();
    assert_int_equal(cancelled, 0);
    reply(waiting, 200);
    starts_with(receive(client, NULL), "HTTP/1.1 200 OK\r\n");
    TURN_UNTIL(rpc_server_counters(server)->connections == 0);
}

static void client_that_leaves_in_the_middle_of_a_request_is_forgotten(void **state) {
    (void)state;
    int client = connect_client();
    send_text(client, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc");
    close_client(client);
    TURN_UNTIL(rpc_server_counters(server)->connections == 0);
    assert_int_equal(requests, 0);
    assert_int_equal(cancelled, 0);
}

static void slow_request_is_ended_after_its_deadline(void **state) {
    (void)state;
    int client = connect_client();
    send_text(client, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc");
    pass_time(RPC_REQUEST_TIMEOUT - NS_PER_S);
    assert_int_equal(rpc_server_counters(server)->connections, 1);
    pass_time(RPC_REQUEST_TIMEOUT + NS_PER_S);
    starts_with(receive(client, NULL), "HTTP/1.1 408 ");
    assert_int_equal(requests, 0);
}

static void connection_that_sends_nothing_is_closed(void **state) {
    (void)state;
    int client = connect_client();
    TURN_UNTIL(rpc_server_counters(server)->connections == 1);
    pass_time(RPC_REQUEST_TIMEOUT + NS_PER_S);
    assert_string_equal(receive(client, NULL), "");
}

static void idle_connection_is_kept_longer_and_then_closed(void **state) {
    (void)state;
    int client = connect_client();
    send_text(client, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    receive(client, "hello\n");
    pass_time(RPC_REQUEST_TIMEOUT + NS_PER_S);
    assert_int_equal(rpc_server_counters(server)->connections, 1);
    pass_time(RPC_IDLE_TIMEOUT + NS_PER_S);
    assert_string_equal(receive(client, NULL), "");
}

static void handler_that_does_not_answer_is_cancelled_and_the_client_told(void **state) {
    (void)state;
    int client = connect_client();
    reply_at_once = false;
    send_text(client, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    TURN_UNTIL(waiting != NULL);
    pass_time(RPC_REQUEST_TIMEOUT + NS_PER_S);
    assert_int_equal(cancelled, 1);
    starts_with(receive(client, NULL), "HTTP/1.1 503 ");
}

static void client_that_does_not_take_its_reply_is_dropped(void **state) {
    (void)state;
    int client = connect_client_with(4096);
    reply_size = 16 * 1024 * 1024; // more than the system's buffers take
    send_text(client, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    TURN_UNTIL(requests == 1);
    assert_int_equal(rpc_server_counters(server)->connections, 1);
    pass_time(RPC_REQUEST_TIMEOUT + NS_PER_S);
    TURN_UNTIL(rpc_server_counters(server)->connections == 0);
    assert_int_equal(cancelled, 0); // it had been answered
}

static void idle_connections_make_room_for_new_ones(void **state) {
    (void)state;
    for (unsigned i = 0; i < RPC_CONNECTIONS_MAX; i++)
        connect_client();
    TURN_UNTIL(rpc_server_counters(server)->connections == RPC_CONNECTIONS_MAX);
    send_text(clients[0], "GET / HTTP/1.1\r\nHost: h\r\n\r\n"); // used last: not the one to go
    receive(clients[0], "hello\n");
    int client = connect_client();
    send_text(client, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    starts_with(receive(client, "hello\n"), "HTTP/1.1 200 OK\r\n");
    assert_string_equal(receive(clients[1], NULL), "");
    send_text(clients[0], "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    starts_with(receive(clients[0], "hello\n"), "HTTP/1.1 200 OK\r\n");
    assert_int_equal(rpc_server_counters(server)->refused, 0);
}

static void slow_clients_make_room_for_new_ones(void **state) {
    (void)state;
    for (unsigned i = 0; i < RPC_CONNECTIONS_MAX; i++) {
        send_text(connect_client(), "GET /readyz HTTP/1.1\r\nX-Slow: ");
        TURN_UNTIL(rpc_server_counters(server)->connections == i + 1);
        pass_time(0); // what it has sent is read
    }
    for (unsigned i = 0; i < 2; i++) {
        int client = connect_client();
        send_text(client, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        starts_with(receive(client, "hello\n"), "HTTP/1.1 200 OK\r\n");
    }
    assert_int_equal(rpc_server_counters(server)->refused, 0);
    send_text(clients[RPC_CONNECTIONS_MAX - 1], "1\r\nHost: h\r\n\r\n"); // the last of them is still there
    starts_with(receive(clients[RPC_CONNECTIONS_MAX - 1], "hello\n"), "HTTP/1.1 200 OK\r\n");
}

static void slow_readers_make_room_for_new_ones(void **state) {
    (void)state;
    reply_size = 400000;
    for (unsigned i = 0; i < RPC_CONNECTIONS_MAX; i++) {
        send_text(connect_client_with(4096), "GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n");
        TURN_UNTIL(requests == i + 1);
    }
    assert_string_equal(receive(connect_client(), NULL), ""); // they have only begun
    assert_int_equal(rpc_server_counters(server)->refused, 1);
    pass_time(RPC_REPLY_PATIENCE);
    reply_size = 0;
    const int client = connect_client();
    send_text(client, "GET /readyz HTTP/1.1\r\nHost: h\r\n\r\n");
    starts_with(receive(client, "hello\n"), "HTTP/1.1 200 OK\r\n");
    assert_int_equal(rpc_server_counters(server)->refused, 1);
}

static void replies_that_nobody_takes_are_bounded_in_memory(void **state) {
    (void)state;
    reply_size = 12 << 20;
    for (unsigned i = 0; i < 5; i++) {
        send_text(connect_client_with(4096), "GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n");
        TURN_UNTIL(requests == i + 1);
    }
    TURN_UNTIL(rpc_server_counters(server)->connections == 2);
    assert_true(loop.blocks.used_peak * BLOCK_CAPACITY < 2 * RPC_UNREAD_MAX);
    // Those that went are those that had waited longest; who takes his reply gets it.
    size_t length = 0, got;
    while (length < reply_size && (got = (size_t)recv(clients[4], text, 65536, MSG_DONTWAIT)) != 0) {
        length += got == (size_t)-1 ? 0 : got;
        turn();
    }
    assert_true(length >= reply_size);
}

static void more_connections_than_the_bound_are_refused_while_all_are_busy(void **state) {
    (void)state;
    reply_at_once = false;
    for (unsigned i = 0; i < RPC_CONNECTIONS_MAX; i++) {
        send_text(connect_client(), "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        TURN_UNTIL(requests == i + 1);
    }
    int client = connect_client();
    assert_string_equal(receive(client, NULL), "");
    assert_int_equal(rpc_server_counters(server)->refused, 1);
    assert_int_equal(rpc_server_counters(server)->connections_peak, RPC_CONNECTIONS_MAX);
    reply(waiting, 200);
    starts_with(receive(clients[RPC_CONNECTIONS_MAX - 1], "hello\n"), "HTTP/1.1 200 OK\r\n");
}

static void closing_cancels_what_waits_and_closes_all(void **state) {
    (void)state;
    int busy = connect_client(), idle = connect_client();
    reply_at_once = false;
    send_text(busy, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    TURN_UNTIL(waiting != NULL);
    rpc_server_close(server);
    server = NULL;
    assert_int_equal(cancelled, 1);
    assert_string_equal(receive(busy, NULL), "");
    receive(idle, NULL);
}

static void old_version_gets_an_answer_and_the_end(void **state) {
    (void)state;
    int client = connect_client();
    send_text(client, "GET /old HTTP/1.0\r\n\r\n");
    const char *response = receive(client, NULL);
    assert_string_equal(strstr(response, "\r\n\r\n"), "\r\n\r\nhello\n");
    assert_string_equal(seen, "GET /old? |");
}

static void unix_socket_is_served_and_seen_as_one(void **state) {
    (void)state;
    struct sockaddr_un path = {.sun_family = AF_UNIX};
    char reason[256];
    int listening;
    snprintf(path.sun_path, sizeof(path.sun_path), "/tmp/outrigger-rpc-test-%d.sock", (int)getpid());
    assert_int_equal(tcp_listen((const struct sockaddr *)&path, sizeof(path), &listening, reason, sizeof(reason)), OK);
    struct rpc_server *local = rpc_server_open(&loop, listening, &handler, &loop);
    int client = socket(AF_UNIX, SOCK_STREAM, 0);
    clients[client_count++] = client;
    assert_int_equal(connect(client, (const struct sockaddr *)&path, sizeof(path)), 0);
    reply_at_once = false;
    send_text(client, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    TURN_UNTIL(waiting != NULL);
    assert_int_equal(waiting->peer->any.sa_family, AF_UNIX);
    reply(waiting, 200);
    starts_with(receive(client, "hello\n"), "HTTP/1.1 200 OK\r\n");
    rpc_server_close(local);
    unlink(path.sun_path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(request_comes_whole_with_path_query_host_and_body),
        TEST(body_in_chunks_is_put_together),
        TEST(body_of_the_greatest_size_passes),
        TEST(body_in_small_pieces_takes_little_memory),
        TEST(reply_may_come_later),
        TEST(connection_is_kept_for_the_next_request),
        TEST(pipelined_requests_are_answered_one_after_the_other),
        TEST(head_tells_the_length_and_sends_no_body),
        TEST(long_reply_reaches_a_slow_client_whole),
        TEST(too_long_body_is_refused_before_it_is_read),
        TEST(too_long_body_of_unknown_length_is_refused),
        TEST(expectation_is_met_before_the_body),
        TEST(malformed_request_gets_400_and_the_connection_ends),
        TEST(garbage_ends_the_connection_and_disturbs_nobody),
        TEST(client_that_is_gone_cancels_its_request_once),
        TEST(client_that_half_closed_gets_its_answer),
        TEST(client_that_leaves_in_the_middle_of_a_request_is_forgotten),
        TEST(slow_request_is_ended_after_its_deadline),
        TEST(connection_that_sends_nothing_is_closed),
        TEST(idle_connection_is_kept_longer_and_then_closed),
        TEST(handler_that_does_not_answer_is_cancelled_and_the_client_told),
        TEST(client_that_does_not_take_its_reply_is_dropped),
        TEST(idle_connections_make_room_for_new_ones),
        TEST(slow_clients_make_room_for_new_ones),
        TEST(slow_readers_make_room_for_new_ones),
        TEST(replies_that_nobody_takes_are_bounded_in_memory),
        TEST(more_connections_than_the_bound_are_refused_while_all_are_busy),
        TEST(closing_cancels_what_waits_and_closes_all),
        TEST(old_version_gets_an_answer_and_the_end),
        TEST(unix_socket_is_served_and_seen_as_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
