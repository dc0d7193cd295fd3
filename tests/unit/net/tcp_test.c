// The TCP transport on real sockets keeps the contract of net/transport.h: half-closed connections, resets while reading and while paused, answers that came
// before a reset, output that the peer takes in parts, connections that cannot be made.
#include "base/limits.h"

#include "unit/net/socket_drive.h"

#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/un.h>

// As much memory as the test says, and how often it was asked.
struct scarce {
    int64_t room;
    unsigned looks;
};

struct world {
    struct loop loop;
    struct user user;
    int far;
    struct scarce scarce;
};

static void world_init(struct world *world) {
    memset(world, 0, sizeof *world);
    int pair[2];
    loop_init(&world->loop, world);
    connected_pair(pair);
    world->far = pair[1];
    assert_int_equal(tcp_adopt(&world->loop, pair[0], &user_handler, &world->user, &world->user.transport), OK);
}

static void read_start(struct world *world) {
    world->user.inside_call = true;
    world->user.transport->ops->read_start(world->user.transport);
    world->user.inside_call = false;
}

static void world_dispose(struct world *world) {
    if (world->user.transport != NULL)
        user_close(&world->loop, &world->user, false);
    if (world->far >= 0)
        close(world->far);
    assert_int_equal(world->loop.blocks.used, 0);
    loop_dispose(&world->loop);
    free(world->user.text);
}

static void far_close_hard(struct world *world) {
    close_hard(world->far);
    world->far = -1;
}

// Waits until the far end has something to read, and reads it.
static ssize_t far_receive(struct world *world, char *text, size_t size) {
    ssize_t got = -1;
    RUN_UNTIL(&world->loop, (got = receive_now(world->far, text, size)) >= 0 || errno != EAGAIN);
    return got;
}

static void bytes_go_both_ways(void **state) {
    (void)state;
    struct world world;
    char text[16];
    struct metric_cell total_in = {7}, total_out = {0};
    world_init(&world);
    world.user.transport->total_in = &total_in;
    world.user.transport->total_out = &total_out;
    read_start(&world);
    send_text(world.far, "hello");
    RUN_UNTIL(&world.loop, world.user.length == 5);
    assert_true(user_has(&world.user, "hello"));
    user_send(&world.user, "world");
    assert_int_equal(far_receive(&world, text, sizeof text), 5);
    assert_memory_equal(text, "world", 5);
    assert_int_equal(world.user.transport->bytes_in, 5);
    assert_int_equal(world.user.transport->bytes_out, 5);
    assert_int_equal(metric_read(&total_in), 12);
    assert_int_equal(metric_read(&total_out), 5);
    world_dispose(&world);
}

static void look_at_scarce(struct loop *loop) {
    struct world *world = loop->receiver;
    world->scarce.looks++;
    memory_room_set(&loop->room, world->scarce.room);
}

static void without_room_nothing_is_read_until_there_is_some(void **state) {
    (void)state;
    struct world world;
    world_init(&world);
    world.loop.look = look_at_scarce;
    world.loop.room.left = 0;
    read_start(&world);
    send_text(world.far, "hello");
    RUN_UNTIL(&world.loop, world.scarce.looks > 0);
    const unsigned looks = world.scarce.looks;
    run_idle(&world.loop);
    assert_int_equal(world.user.pieces, 0);
    assert_int_equal(world.scarce.looks, looks); // it is not asked again and again
    loop_give_room(&world.loop);
    run_idle(&world.loop);
    assert_int_equal(world.user.pieces, 0);

    memory_room_set(&world.loop.room, BLOCK_SIZE);
    loop_give_room(&world.loop);
    RUN_UNTIL(&world.loop, world.user.length == 5);
    assert_true(user_has(&world.user, "hello"));
    world_dispose(&world);
}

static void without_room_an_end_waits_and_a_reset_does_not(void **state) {
    (void)state;
    for (int reset = 0; reset < 2; reset++) {
        struct world world;
        world_init(&world);
        world.loop.look = look_at_scarce;
        world.loop.room.left = 0;
        world.user.transport->reset_after_bytes = true;
        read_start(&world);
        send_text(world.far, "last");
        RUN_UNTIL(&world.loop, world.scarce.looks > 0);
        reset ? far_close_hard(&world) : shutdown(world.far, SHUT_WR);
        run_idle(&world.loop);
        assert_int_equal(world.user.ended, reset);
        if (!reset) {
            memory_room_set(&world.loop.room, MEMORY_ROOM_ENDLESS);
            loop_give_room(&world.loop);
            RUN_UNTIL(&world.loop, world.user.ended == 1);
        }
        assert_int_equal(world.user.ended_error[0], reset ? ERROR_CONNECTION_RESET : ERROR_CONNECTION_CLOSED);
        assert_true(user_has(&world.user, "last"));
        world_dispose(&world);
    }
}

static void one_that_waits_for_room_may_be_closed(void **state) {
    (void)state;
    struct world world;
    world_init(&world);
    world.loop.look = look_at_scarce;
    world.loop.room.left = 0;
    read_start(&world);
    send_text(world.far, "hello");
    RUN_UNTIL(&world.loop, world.scarce.looks > 0);
    user_close(&world.loop, &world.user, false);
    assert_true(list_is_empty(&world.loop.thirsty));
    world_dispose(&world);
}

static void while_memory_is_short_a_read_takes_one_block(void **state) {
    (void)state;
    enum { TOTAL = 8 * BLOCK_SIZE };
    struct world world;
    world_init(&world);
    world.loop.blocks.is_short = true;
    world.loop.blocks.free_max = 0;
    char *all = calloc(1, TOTAL);
    assert_int_equal(send(world.far, all, TOTAL, 0), TOTAL);
    read_start(&world);
    RUN_UNTIL(&world.loop, world.user.length == TOTAL);
    assert_int_equal(world.loop.blocks.used_peak, 1);
    free(all);
    world_dispose(&world);
}

static void where_memory_is_limited_the_system_keeps_little_of_an_answer(void **state) {
    (void)state;
    enum { BYTES_KEPT = 32768, TOTAL = 64 << 20 };
    struct world world;
    memset(&world, 0, sizeof world);
    int pair[2];
    loop_init(&world.loop, &world);
    world.loop.socket_bytes = BYTES_KEPT;
    connected_pair(pair);
    world.far = pair[1];
    assert_int_equal(tcp_adopt(&world.loop, pair[0], &user_handler, &world.user, &world.user.transport), OK);
    char *all = calloc(1, TOTAL);
    buffer_append(&world.user.transport->out, bytes_from(all, TOTAL));
    world.user.inside_call = true;
    world.user.transport->ops->flush(world.user.transport);
    world.user.inside_call = false;
    run_idle(&world.loop);
    int unsent = 0;
    assert_int_equal(ioctl(pair[0], SIOCOUTQNSD, &unsent), 0);
    // The system looks when it begins another of its own buffers, of up to 64 KiB each.
    assert_true(unsent > 0 && unsent <= BYTES_KEPT + 2 * 65536);
    free(all);
    user_close(&world.loop, &world.user, true);
    world_dispose(&world);
}

static void nothing_is_read_before_read_start(void **state) {
    (void)state;
    struct world world;
    world_init(&world);
    send_text(world.far, "hello");
    run_idle(&world.loop);
    assert_int_equal(world.user.pieces, 0);
    read_start(&world);
    RUN_UNTIL(&world.loop, world.user.length == 5);
    world_dispose(&world);
}

// A FIN is no abort: our side goes on until we end it.
static void a_half_closed_connection_still_sends(void **state) {
    (void)state;
    struct world world;
    char text[16];
    world_init(&world);
    read_start(&world);
    send_text(world.far, "request");
    shutdown(world.far, SHUT_WR);
    RUN_UNTIL(&world.loop, world.user.ended == 1);
    assert_int_equal(world.user.ended_error[0], ERROR_CONNECTION_CLOSED);
    assert_true(user_has(&world.user, "request"));
    run_idle(&world.loop);
    user_send(&world.user, "answer");
    assert_int_equal(far_receive(&world, text, sizeof text), 6);
    world.user.transport->ops->shutdown(world.user.transport);
    assert_int_equal(far_receive(&world, text, sizeof text), 0);
    run_idle(&world.loop);
    assert_int_equal(world.user.ended, 1);
    world_dispose(&world);
}

static void an_orderly_end_is_told_only_behind_the_bytes_before_it(void **state) {
    (void)state;
    struct world world;
    world_init(&world);
    send_text(world.far, "last words");
    shutdown(world.far, SHUT_WR);
    run_idle(&world.loop);
    assert_int_equal(world.user.ended, 0);
    read_start(&world);
    RUN_UNTIL(&world.loop, world.user.ended == 1);
    assert_true(user_has(&world.user, "last words"));
    world_dispose(&world);
}

// libuv polls by level: an end that nobody reads, or that was told already, would wake the loop for ever.
static void an_end_is_no_reason_to_wake_twice(void **state) {
    (void)state;
    enum { UNREAD, PAUSED, TOLD, BOTH_ENDED, CASES };
    for (int i = 0; i < CASES; i++) {
        struct world world;
        world_init(&world);
        if (i != UNREAD)
            read_start(&world);
        if (i == PAUSED)
            world.user.transport->ops->read_stop(world.user.transport);
        send_text(world.far, "last words");
        shutdown(world.far, SHUT_WR);
        if (i == BOTH_ENDED)
            world.user.transport->ops->shutdown(world.user.transport);
        run_idle(&world.loop);
        assert_int_equal(world.user.ended, i == TOLD || i == BOTH_ENDED);
        struct pollfd ready = {.fd = uv_backend_fd(&world.loop.uv), .events = POLLIN};
        assert_int_equal(poll(&ready, 1, 0), 0);
        world_dispose(&world);
    }
}

// Else somebody would send a request on a connection whose end has come already.
static void an_end_right_behind_the_last_bytes_is_told_in_the_same_turn(void **state) {
    (void)state;
    struct world world;
    world_init(&world);
    read_start(&world);
    send_text(world.far, "last words");
    shutdown(world.far, SHUT_WR);
    RUN_UNTIL(&world.loop, world.user.length > 0);
    assert_int_equal(world.user.ended, 1);
    assert_int_equal(world.user.ended_error[0], ERROR_CONNECTION_CLOSED);
    world_dispose(&world);
}

static void a_break_after_the_end_is_told_too(void **state) {
    (void)state;
    struct world world;
    world_init(&world);
    read_start(&world);
    shutdown(world.far, SHUT_WR);
    RUN_UNTIL(&world.loop, world.user.ended == 1);
    far_close_hard(&world);
    RUN_UNTIL(&world.loop, world.user.ended == 2);
    assert_int_equal(world.user.ended_error[0], ERROR_CONNECTION_CLOSED);
    assert_int_equal(world.user.ended_error[1], ERROR_CONNECTION_RESET);
    world_dispose(&world);
}

static void a_reset_is_noticed_while_reading_is_off(void **state) {
    (void)state;
    struct world world;
    world_init(&world);
    read_start(&world);
    send_text(world.far, "first");
    RUN_UNTIL(&world.loop, world.user.length == 5);
    world.user.transport->ops->read_stop(world.user.transport);
    send_text(world.far, "unread");
    run_idle(&world.loop);
    far_close_hard(&world);
    RUN_UNTIL(&world.loop, world.user.ended == 1);
    assert_int_equal(world.user.ended_error[0], ERROR_CONNECTION_RESET);
    assert_true(user_has(&world.user, "first"));
    world_dispose(&world);
}

static void with_reset_after_bytes_a_reset_waits_for_the_bytes_before_it(void **state) {
    (void)state;
    struct world world;
    world_init(&world);
    world.user.transport->reset_after_bytes = true;
    read_start(&world);
    world.user.transport->ops->read_stop(world.user.transport);
    send_text(world.far, "answer");
    run_idle(&world.loop);
    far_close_hard(&world);
    run_idle(&world.loop);
    assert_int_equal(world.user.ended, 0);
    read_start(&world);
    RUN_UNTIL(&world.loop, world.user.ended == 1);
    assert_true(user_has(&world.user, "answer"));
    assert_int_equal(world.user.ended_error[0], ERROR_CONNECTION_RESET);
    world_dispose(&world);
}

static void with_reset_after_bytes_a_reset_behind_nothing_is_told_at_once(void **state) {
    (void)state;
    struct world world;
    world_init(&world);
    world.user.transport->reset_after_bytes = true;
    read_start(&world);
    world.user.transport->ops->read_stop(world.user.transport);
    far_close_hard(&world);
    RUN_UNTIL(&world.loop, world.user.ended == 1);
    assert_int_equal(world.user.ended_error[0], ERROR_CONNECTION_RESET);
    world_dispose(&world);
}

// A server that refuses an upload answers and closes without reading: the answer must not get lost with the reset that follows.
static void an_early_answer_is_read_before_the_reset(void **state) {
    (void)state;
    struct world world;
    world_init(&world);
    world.user.transport->reset_after_bytes = true;
    read_start(&world);
    static char megabyte[1 << 20];
    for (int i = 0; i < 8; i++)
        buffer_append(&world.user.transport->out, bytes_from(megabyte, sizeof megabyte));
    user_flush(&world.user);
    send_text(world.far, "413 too large");
    close(world.far); // with what was sent unread: a reset
    world.far = -1;
    RUN_UNTIL(&world.loop, world.user.ended == 1);
    assert_true(user_has(&world.user, "413 too large"));
    assert_int_equal(world.user.ended_error[0], ERROR_CONNECTION_RESET);
    world_dispose(&world);
}

static void a_flush_into_a_broken_connection_tells_it_later(void **state) {
    (void)state;
    struct world world;
    world_init(&world);
    far_close_hard(&world);
    // Not turned in between: the first write finds it.
    user_send(&world.user, "into nothing");
    assert_int_equal(world.user.ended, 0);
    RUN_UNTIL(&world.loop, world.user.ended == 1);
    assert_int_equal(world.user.ended_error[0], ERROR_CONNECTION_RESET);
    assert_true(buffer_is_empty(&world.user.transport->out));
    user_send(&world.user, "again");
    run_idle(&world.loop);
    assert_int_equal(world.user.ended, 1);
    world_dispose(&world);
}

static char pattern_at(size_t position) {
    return (char)(position * 31 + position / 251);
}

static void what_the_peer_does_not_take_follows_by_itself_and_is_told(void **state) {
    (void)state;
    enum { TOTAL = 6 << 20 };
    struct world world;
    world_init(&world);
    char *all = alloc_or_abort(TOTAL);
    for (size_t i = 0; i < TOTAL; i++)
        all[i] = pattern_at(i);
    buffer_append(&world.user.transport->out, bytes_from(all, TOTAL));
    user_flush(&world.user);
    assert_true(world.user.transport->out.length > 0);
    assert_int_equal(world.user.drained, 0);
    size_t got = 0;
    while (got < TOTAL) {
        char piece[65536];
        ssize_t length = far_receive(&world, piece, sizeof piece);
        assert_true(length > 0);
        assert_memory_equal(piece, all + got, (size_t)length);
        got += (size_t)length;
        if (world.user.drained > 0)
            assert_true(world.user.transport->out.length < LIMIT_OUTPUT_BYTES / 2);
    }
    RUN_UNTIL(&world.loop, world.user.drained > 0);
    assert_true(buffer_is_empty(&world.user.transport->out));
    assert_int_equal(world.user.transport->bytes_out, TOTAL);
    free(all);
    world_dispose(&world);
}

static void a_flush_that_sends_all_is_not_told_as_drained(void **state) {
    (void)state;
    struct world world;
    world_init(&world);
    user_send(&world.user, "short");
    run_idle(&world.loop);
    assert_int_equal(world.user.drained, 0);
    world_dispose(&world);
}

static void a_shutdown_waits_for_the_output(void **state) {
    (void)state;
    enum { TOTAL = 6 << 20 };
    struct world world;
    world_init(&world);
    char *all = alloc_zeroed_or_abort(1, TOTAL);
    buffer_append(&world.user.transport->out, bytes_from(all, TOTAL));
    user_flush(&world.user);
    world.user.transport->ops->shutdown(world.user.transport);
    size_t got = 0;
    char piece[65536];
    ssize_t length;
    while ((length = far_receive(&world, piece, sizeof piece)) > 0)
        got += (size_t)length;
    assert_int_equal(length, 0);
    assert_int_equal(got, TOTAL);
    free(all);
    world_dispose(&world);
}

static void nothing_comes_after_close_but_closed(void **state) {
    (void)state;
    struct world world;
    world_init(&world);
    world.user.close_in_bytes = true;
    read_start(&world);
    static char much[60000];
    memset(much, 'x', sizeof much);
    assert_int_equal(send(world.far, much, sizeof much, 0), sizeof much);
    far_close_hard(&world);
    RUN_UNTIL(&world.loop, world.user.closed == 1);
    run_idle(&world.loop);
    assert_int_equal(world.user.pieces, 1);
    assert_int_equal(world.user.ended, 0);
    world_dispose(&world);
}

static void close_with_reset_tells_the_peer_so(void **state) {
    (void)state;
    struct world world;
    char text[16];
    world_init(&world);
    user_close(&world.loop, &world.user, true);
    assert_int_equal(far_receive(&world, text, sizeof text), -1);
    assert_int_equal(errno, ECONNRESET);
    world_dispose(&world);
    world_init(&world);
    user_close(&world.loop, &world.user, false);
    assert_int_equal(far_receive(&world, text, sizeof text), 0);
    world_dispose(&world);
}

static void a_read_in_pieces_goes_on_though_reading_is_stopped_within(void **state) {
    (void)state;
    struct world world;
    world_init(&world);
    static char much[300000];
    for (size_t i = 0; i < sizeof much; i++)
        much[i] = pattern_at(i);
    size_t sent = 0;
    world.user.stop_in_bytes = true;
    while (world.user.length < sizeof much) {
        ssize_t length = send(world.far, much + sent, sizeof much - sent, MSG_DONTWAIT);
        sent += length > 0 ? (size_t)length : 0;
        size_t before = world.user.length;
        read_start(&world);
        RUN_UNTIL(&world.loop, world.user.length > before);
        size_t after = world.user.length;
        run_idle(&world.loop);
        assert_int_equal(world.user.length, after);
        assert_true(after - before <= (size_t)LIMIT_READ_BLOCKS * BLOCK_CAPACITY);
    }
    assert_memory_equal(world.user.text, much, sizeof much);
    world_dispose(&world);
}

// --- connections to be made ---

struct made {
    struct loop loop;
    struct user user;
};

static enum error begin_connect(struct made *made, const struct sockaddr *address, socklen_t length) {
    made->user.inside_call = true;
    enum error error = tcp_connect(&made->loop, address, length, &user_handler, &made->user, &made->user.transport);
    made->user.inside_call = false;
    return error;
}

static void made_dispose(struct made *made) {
    if (made->user.transport != NULL)
        user_close(&made->loop, &made->user, false);
    loop_dispose(&made->loop);
}

static void a_connection_that_is_made_is_told_once_later(void **state) {
    (void)state;
    struct made made = {0};
    struct sockaddr_in address;
    int listening = listen_anywhere(&address, 8);
    loop_init(&made.loop, NULL);
    assert_int_equal(begin_connect(&made, (struct sockaddr *)&address, sizeof address), OK);
    buffer_append(&made.user.transport->out, BYTES("early"));
    user_flush(&made.user); // kept until it is made
    RUN_UNTIL(&made.loop, made.user.ready == 1);
    assert_int_equal(made.user.ready_error, OK);
    assert_int_equal(made.user.transport->peer.v4.sin_port, address.sin_port);
    assert_int_not_equal(made.user.transport->local.v4.sin_port, 0);
    user_flush(&made.user);
    int accepted = accept(listening, NULL, NULL);
    char text[8];
    assert_int_equal(recv(accepted, text, sizeof text, 0), 5);
    run_idle(&made.loop);
    assert_int_equal(made.user.ready, 1);
    close(accepted);
    close(listening);
    made_dispose(&made);
}

static void a_refused_connection_is_told_as_such(void **state) {
    (void)state;
    struct made made = {0};
    struct sockaddr_in address;
    close(listen_anywhere(&address, 8));
    loop_init(&made.loop, NULL);
    assert_int_equal(begin_connect(&made, (struct sockaddr *)&address, sizeof address), OK);
    RUN_UNTIL(&made.loop, made.user.ready == 1);
    assert_int_equal(made.user.ready_error, ERROR_CONNECT_REFUSED);
    run_idle(&made.loop);
    assert_int_equal(made.user.ready, 1);
    assert_int_equal(made.user.ended, 0);
    made_dispose(&made);
}

static struct sockaddr_un unix_address(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    CHECK(strlen(path) < sizeof address.sun_path);
    strcpy(address.sun_path, path);
    return address;
}

static void a_missing_unix_socket_is_a_refused_connection(void **state) {
    (void)state;
    struct made made = {0};
    struct sockaddr_un address = unix_address("/nowhere/at/all.sock");
    loop_init(&made.loop, NULL);
    assert_int_equal(begin_connect(&made, (struct sockaddr *)&address, sizeof address), OK);
    RUN_UNTIL(&made.loop, made.user.ready == 1);
    assert_int_equal(made.user.ready_error, ERROR_CONNECT_REFUSED);
    made_dispose(&made);
}

// connect gives EAGAIN then: whatever keeps a connection from being made, it was not made.
static void a_unix_socket_with_a_full_backlog_is_a_refused_connection(void **state) {
    (void)state;
    char path[] = "/tmp/outrigger-test-XXXXXX";
    assert_non_null(mkdtemp(path));
    char name[64];
    snprintf(name, sizeof name, "%s/s", path);
    struct sockaddr_un address = unix_address(name);
    int listening = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(listening, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(listening, 0), 0);
    int filling[8];
    for (int i = 0; i < 8; i++) {
        filling[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)connect(filling[i], (struct sockaddr *)&address, sizeof address);
    }
    struct made made = {0};
    loop_init(&made.loop, NULL);
    assert_int_equal(begin_connect(&made, (struct sockaddr *)&address, sizeof address), OK);
    RUN_UNTIL(&made.loop, made.user.ready == 1);
    assert_int_equal(made.user.ready_error, ERROR_CONNECT_REFUSED);
    made_dispose(&made);
    for (int i = 0; i < 8; i++)
        close(filling[i]);
    close(listening);
    unlink(name);
    rmdir(path);
}

static void a_connection_closed_before_it_was_made_tells_nothing_more(void **state) {
    (void)state;
    struct made made = {0};
    struct sockaddr_in address;
    int listening = listen_anywhere(&address, 8);
    loop_init(&made.loop, NULL);
    assert_int_equal(begin_connect(&made, (struct sockaddr *)&address, sizeof address), OK);
    user_close(&made.loop, &made.user, false);
    assert_int_equal(made.user.ready, 0);
    close(listening);
    made_dispose(&made);
}

static void without_a_descriptor_connect_fails_and_nothing_follows(void **state) {
    (void)state;
    struct made made = {0};
    struct sockaddr_in address;
    int listening = listen_anywhere(&address, 8);
    struct rlimit before;
    struct rlimit none;
    loop_init(&made.loop, NULL);
    getrlimit(RLIMIT_NOFILE, &before);
    none = before;
    none.rlim_cur = 0;
    setrlimit(RLIMIT_NOFILE, &none);
    enum error error = begin_connect(&made, (struct sockaddr *)&address, sizeof address);
    setrlimit(RLIMIT_NOFILE, &before);
    assert_int_equal(error, ERROR_IO);
    run_idle(&made.loop);
    assert_int_equal(made.user.ready, 0);
    close(listening);
    made_dispose(&made);
}

static void assert_printed(const char *ip, uint16_t port, const char *expected) {
    union address address = {0};
    char text[ADDRESS_TEXT_MAX];
    if (inet_pton(AF_INET, ip, &address.v4.sin_addr) == 1) {
        address.v4.sin_family = AF_INET;
        address.v4.sin_port = htons(port);
    } else {
        assert_int_equal(inet_pton(AF_INET6, ip, &address.v6.sin6_addr), 1);
        address.v6.sin6_family = AF_INET6;
        address.v6.sin6_port = htons(port);
    }
    size_t length = address_print(&address, text, sizeof text);
    assert_int_equal(length, strlen(expected));
    assert_string_equal(text, expected);
}

static void addresses_are_printed_with_their_port(void **state) {
    (void)state;
    assert_printed("127.0.0.1", 80, "127.0.0.1:80");
    assert_printed("255.255.255.255", 65535, "255.255.255.255:65535");
    assert_printed("::1", 15001, "[::1]:15001");
    assert_printed("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255", 65535, "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535");
    union address other = {.any = {.sa_family = AF_UNIX}};
    char text[ADDRESS_TEXT_MAX];
    address_print(&other, text, sizeof text);
    assert_string_equal(text, "unix");
}

static void an_address_of_ipv4_is_one_whichever_socket_has_it(void **state) {
    (void)state;
    union address address = {.v6 = {.sin6_family = AF_INET6, .sin6_port = htons(80)}};
    char text[ADDRESS_TEXT_MAX];
    assert_int_equal(inet_pton(AF_INET6, "::ffff:192.0.2.7", &address.v6.sin6_addr), 1);
    address_unmap(&address);
    address_print(&address, text, sizeof text);
    assert_string_equal(text, "192.0.2.7:80");
    address = (union address){.v6 = {.sin6_family = AF_INET6, .sin6_port = htons(80), .sin6_addr = in6addr_loopback}};
    address_unmap(&address);
    address_print(&address, text, sizeof text);
    assert_string_equal(text, "[::1]:80");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_go_both_ways),
        cmocka_unit_test(without_room_nothing_is_read_until_there_is_some),
        cmocka_unit_test(without_room_an_end_waits_and_a_reset_does_not),
        cmocka_unit_test(one_that_waits_for_room_may_be_closed),
        cmocka_unit_test(while_memory_is_short_a_read_takes_one_block),
        cmocka_unit_test(where_memory_is_limited_the_system_keeps_little_of_an_answer),
        cmocka_unit_test(nothing_is_read_before_read_start),
        cmocka_unit_test(a_half_closed_connection_still_sends),
        cmocka_unit_test(an_orderly_end_is_told_only_behind_the_bytes_before_it),
        cmocka_unit_test(an_end_is_no_reason_to_wake_twice),
        cmocka_unit_test(an_end_right_behind_the_last_bytes_is_told_in_the_same_turn),
        cmocka_unit_test(a_break_after_the_end_is_told_too),
        cmocka_unit_test(a_reset_is_noticed_while_reading_is_off),
        cmocka_unit_test(with_reset_after_bytes_a_reset_waits_for_the_bytes_before_it),
        cmocka_unit_test(with_reset_after_bytes_a_reset_behind_nothing_is_told_at_once),
        cmocka_unit_test(an_early_answer_is_read_before_the_reset),
        cmocka_unit_test(a_flush_into_a_broken_connection_tells_it_later),
        cmocka_unit_test(what_the_peer_does_not_take_follows_by_itself_and_is_told),
        cmocka_unit_test(a_flush_that_sends_all_is_not_told_as_drained),
        cmocka_unit_test(a_shutdown_waits_for_the_output),
        cmocka_unit_test(nothing_comes_after_close_but_closed),
        cmocka_unit_test(close_with_reset_tells_the_peer_so),
        cmocka_unit_test(a_read_in_pieces_goes_on_though_reading_is_stopped_within),
        cmocka_unit_test(a_connection_that_is_made_is_told_once_later),
        cmocka_unit_test(a_refused_connection_is_told_as_such),
        cmocka_unit_test(a_missing_unix_socket_is_a_refused_connection),
        cmocka_unit_test(a_unix_socket_with_a_full_backlog_is_a_refused_connection),
        cmocka_unit_test(a_connection_closed_before_it_was_made_tells_nothing_more),
        cmocka_unit_test(without_a_descriptor_connect_fails_and_nothing_follows),
        cmocka_unit_test(addresses_are_printed_with_their_port),
        cmocka_unit_test(an_address_of_ipv4_is_one_whichever_socket_has_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
