// The fake transport keeps the contract of net/transport.h, so that what passes on it passes on a socket: when callbacks come, what stops
// them, limits on output, ends and resets, and pairs that carry every byte whatever the seed.
#include "support/fake_transport.h"

#include "base/limits.h"
#include "base/poison.h"
#include "support/check_loop.h"

#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

// A user that records.
struct user {
    struct transport *transport;
    unsigned ready, pieces, ended, drained, closed;
    enum error ready_error;
    enum error ended_error;
    char *text;
    size_t length;
    unsigned stop_after; // read_stop inside this piece
    bool close_in_bytes;
    bool poisoned_behind;
};

static void on_ready(void *given, enum error error) {
    struct user *user = given;
    user->ready++;
    user->ready_error = error;
}

static void on_bytes(void *given, struct block *block, struct bytes in) {
    struct user *user = given;
    assert_int_equal(user->closed, 0);
    assert_true(in.len > 0);
    assert_true(in.at >= block->bytes && in.at + in.len == block->bytes + block->filled);
    user->pieces++;
    user->text = realloc(user->text, user->length + in.len);
    assert_non_null(user->text);
    memcpy(user->text + user->length, in.at, in.len);
    user->length += in.len;
#if POISON_ENABLED
    user->poisoned_behind = block_room(block) == 0 || __asan_address_is_poisoned(in.at + in.len);
#endif
    if (user->pieces == user->stop_after)
        user->transport->ops->read_stop(user->transport);
    if (user->close_in_bytes)
        user->transport->ops->close(user->transport, false);
}

static void on_ended(void *given, enum error error) {
    struct user *user = given;
    user->ended++;
    user->ended_error = error;
}

static void on_drained(void *given) {
    struct user *user = given;
    user->drained++;
}

static void on_closed(void *given) {
    struct user *user = given;
    user->closed++;
    user->transport = NULL;
}

static const struct transport_handler handler = {
    .ready = on_ready,
    .bytes = on_bytes,
    .ended = on_ended,
    .drained = on_drained,
    .closed = on_closed,
};

struct fixture {
    struct check_loop check;
    struct user user;
    struct fake_peer *peer;
    const struct transport_ops *ops;
};

static void begin(struct fixture *fixture, const struct fake_options *options) {
    memset(fixture, 0, sizeof(*fixture));
    check_loop_init(&fixture->check);
    fixture->peer = fake_peer_create(&fixture->check.loop, options, &handler, &fixture->user);
    fixture->user.transport = fixture->peer->transport;
    fixture->ops = fixture->peer->transport->ops;
}

static void finish(struct fixture *fixture) {
    if (fixture->peer->transport != NULL)
        fixture->ops->close(fixture->peer->transport, false);
    check_loop_settle(&fixture->check);
    assert_int_equal(fixture->user.closed, 1);
    fake_peer_destroy(fixture->peer);
    check_loop_dispose(&fixture->check);
    free(fixture->user.text);
}

static void assert_read(const struct user *user, const char *text) {
    assert_int_equal(user->length, strlen(text));
    if (user->length > 0)
        assert_memory_equal(user->text, text, user->length);
}

static void nothing_comes_before_the_turn_nor_before_read_start(void **state) {
    (void)state;
    struct fixture f;
    begin(&f, NULL);
    fake_peer_send(f.peer, BYTES("hello"));
    check_loop_turn(&f.check);
    assert_int_equal(f.user.pieces, 0);
    f.ops->read_start(f.peer->transport);
    assert_int_equal(f.user.pieces, 0); // never from within the call
    check_loop_turn(&f.check);
    assert_int_equal(f.user.pieces, 1);
    assert_read(&f.user, "hello");
    assert_int_equal(f.peer->transport->bytes_in, 5);
    assert_int_equal(f.user.poisoned_behind, POISON_ENABLED);
    finish(&f);
}

static void bytes_are_cut_into_pieces_that_depend_on_the_seed(void **state) {
    (void)state;
    unsigned pieces[3];
    static const uint64_t seeds[] = {7, 7, 8};
    for (int i = 0; i < 3; i++) {
        struct fixture f;
        struct fake_options options = {.seed = seeds[i], .piece_max = 10};
        begin(&f, &options);
        f.ops->read_start(f.peer->transport);
        char text[500];
        memset(text, 'x', sizeof(text));
        fake_peer_send(f.peer, bytes_from(text, sizeof(text)));
        check_loop_settle(&f.check);
        assert_int_equal(f.user.length, 500);
        assert_true(f.user.pieces >= 50);
        pieces[i] = f.user.pieces;
        finish(&f);
    }
    assert_int_equal(pieces[0], pieces[1]);
    assert_int_not_equal(pieces[0], pieces[2]);
}

static void pieces_of_the_same_read_follow_a_stop(void **state) {
    (void)state;
    unsigned followed = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct fixture f;
        struct fake_options options = {.seed = seed, .piece_max = 1};
        begin(&f, &options);
        f.user.stop_after = 1;
        f.ops->read_start(f.peer->transport);
        fake_peer_send(f.peer, BYTES("0123456789"));
        check_loop_settle(&f.check);
        assert_true(f.user.pieces >= 1 && f.user.pieces <= 4);
        followed += f.user.pieces > 1;
        assert_int_equal(fake_peer_unread(f.peer), 10 - f.user.pieces);
        f.ops->read_start(f.peer->transport);
        check_loop_settle(&f.check);
        assert_read(&f.user, "0123456789");
        finish(&f);
    }
    assert_true(followed > 0 && followed < 20);
}

static void an_orderly_end_comes_once_after_all_bytes_and_only_while_reading(void **state) {
    (void)state;
    struct fixture f;
    begin(&f, NULL);
    fake_peer_send(f.peer, BYTES("last"));
    fake_peer_end(f.peer);
    check_loop_settle(&f.check);
    assert_int_equal(f.user.ended, 0);
    f.user.stop_after = 1;
    f.ops->read_start(f.peer->transport);
    check_loop_settle(&f.check);
    assert_read(&f.user, "last");
    assert_int_equal(f.user.ended, 0);
    f.ops->read_start(f.peer->transport);
    check_loop_settle(&f.check);
    assert_int_equal(f.user.ended, 1);
    assert_int_equal(f.user.ended_error, ERROR_CONNECTION_CLOSED);
    // Our side may still send.
    buffer_append(&f.peer->transport->out, BYTES("answer"));
    f.ops->flush(f.peer->transport);
    assert_true(bytes_equal(fake_peer_sent(f.peer), BYTES("answer")));
    fake_peer_reset(f.peer, false);
    check_loop_settle(&f.check);
    assert_int_equal(f.user.ended, 2);
    assert_int_equal(f.user.ended_error, ERROR_CONNECTION_RESET);
    finish(&f);
}

static void a_reset_is_told_while_not_reading_and_costs_the_unread_bytes(void **state) {
    (void)state;
    struct fixture f;
    begin(&f, NULL);
    fake_peer_send(f.peer, BYTES("unread"));
    fake_peer_reset(f.peer, true);
    assert_int_equal(f.user.ended, 0);
    check_loop_settle(&f.check);
    assert_int_equal(f.user.ended, 1);
    assert_int_equal(f.user.ended_error, ERROR_CONNECTION_RESET);
    f.ops->read_start(f.peer->transport);
    check_loop_settle(&f.check);
    assert_int_equal(f.user.pieces, 0);
    assert_int_equal(f.user.ended, 1);
    buffer_append(&f.peer->transport->out, BYTES("into the void"));
    f.ops->flush(f.peer->transport);
    assert_int_equal(fake_peer_sent(f.peer).len, 0);
    finish(&f);
}

static void a_reset_waits_for_the_bytes_before_it_where_the_user_wants_them(void **state) {
    (void)state;
    struct fixture f;
    begin(&f, NULL);
    f.peer->transport->reset_after_bytes = true;
    fake_peer_send(f.peer, BYTES("answer"));
    fake_peer_reset(f.peer, true);
    check_loop_settle(&f.check);
    assert_int_equal(f.user.ended, 0);
    f.ops->read_start(f.peer->transport);
    check_loop_settle(&f.check);
    assert_read(&f.user, "answer");
    assert_int_equal(f.user.ended, 1);
    finish(&f);
}

static void output_is_taken_as_far_as_the_peer_accepts_it(void **state) {
    (void)state;
    struct fixture f;
    begin(&f, NULL);
    struct transport *transport = f.peer->transport;
    fake_peer_accept(f.peer, 4);
    buffer_append(&transport->out, BYTES("0123456789"));
    f.ops->flush(transport);
    assert_true(bytes_equal(fake_peer_sent(f.peer), BYTES("0123")));
    assert_int_equal(transport->out.length, 6);
    buffer_append(&transport->out, BYTES("ab"));
    f.ops->flush(transport); // waits for the peer already
    check_loop_settle(&f.check);
    assert_int_equal(fake_peer_sent(f.peer).len, 4);
    assert_int_equal(f.user.drained, 0);
    fake_peer_accept(f.peer, 100);
    assert_int_equal(f.user.drained, 0);
    check_loop_settle(&f.check);
    assert_true(bytes_equal(fake_peer_sent(f.peer), BYTES("0123456789ab")));
    assert_int_equal(f.user.drained, 1);
    assert_int_equal(transport->bytes_out, 12);
    assert_int_equal(f.peer->flushes, 2);
    fake_peer_forget_sent(f.peer);
    assert_int_equal(fake_peer_sent(f.peer).len, 0);
    finish(&f);
}

static void drained_waits_until_output_is_below_half_its_limit(void **state) {
    (void)state;
    struct fixture f;
    begin(&f, NULL);
    struct transport *transport = f.peer->transport;
    char *text = calloc(1, LIMIT_OUTPUT_BYTES);
    fake_peer_accept(f.peer, 1);
    buffer_append(&transport->out, bytes_from(text, LIMIT_OUTPUT_BYTES));
    free(text);
    f.ops->flush(transport);
    fake_peer_accept(f.peer, 1000);
    check_loop_settle(&f.check);
    assert_int_equal(f.user.drained, 0);
    fake_peer_accept(f.peer, LIMIT_OUTPUT_BYTES / 2);
    check_loop_settle(&f.check);
    assert_int_equal(f.user.drained, 1);
    assert_true(transport->out.length > 0);
    finish(&f);
}

static void shutdown_follows_the_output(void **state) {
    (void)state;
    struct fixture f;
    begin(&f, NULL);
    struct transport *transport = f.peer->transport;
    fake_peer_accept(f.peer, 2);
    buffer_append(&transport->out, BYTES("end"));
    f.ops->flush(transport);
    f.ops->shutdown(transport);
    check_loop_settle(&f.check);
    assert_false(f.peer->shut_down);
    fake_peer_accept(f.peer, 1);
    check_loop_settle(&f.check);
    assert_true(f.peer->shut_down);
    assert_true(bytes_equal(fake_peer_sent(f.peer), BYTES("end")));
    finish(&f);
}

static void ready_comes_when_the_test_says_so(void **state) {
    (void)state;
    static const enum error errors[] = {OK, ERROR_CONNECT_REFUSED};
    for (int i = 0; i < 2; i++) {
        struct fixture f;
        struct fake_options options = {.connecting = true};
        begin(&f, &options);
        check_loop_settle(&f.check);
        assert_int_equal(f.user.ready, 0);
        fake_peer_send(f.peer, BYTES("early"));
        f.ops->read_start(f.peer->transport);
        check_loop_settle(&f.check);
        assert_int_equal(f.user.pieces, 0);
        fake_peer_connected(f.peer, errors[i]);
        assert_int_equal(f.user.ready, 0);
        check_loop_settle(&f.check);
        assert_int_equal(f.user.ready, 1);
        assert_int_equal(f.user.ready_error, errors[i]);
        assert_int_equal(f.user.pieces, errors[i] == OK);
        finish(&f);
    }
}

static void nothing_but_closed_comes_after_close(void **state) {
    (void)state;
    struct fixture f;
    struct fake_options options = {.piece_max = 2};
    begin(&f, &options);
    f.user.close_in_bytes = true;
    f.ops->read_start(f.peer->transport);
    fake_peer_send(f.peer, BYTES("0123456789"));
    fake_peer_end(f.peer);
    check_loop_turn(&f.check);
    assert_int_equal(f.user.pieces, 1);
    assert_int_equal(f.user.closed, 1);
    assert_null(f.peer->transport);
    check_loop_settle(&f.check);
    assert_int_equal(f.user.pieces, 1);
    assert_int_equal(f.user.ended, 0);
    fake_peer_send(f.peer, BYTES("late")); // a peer may not have noticed yet
    check_loop_settle(&f.check);
    finish(&f);
}

static void close_drops_output_and_says_how(void **state) {
    (void)state;
    struct fixture f;
    begin(&f, NULL);
    buffer_append(&f.peer->transport->out, BYTES("never sent"));
    f.ops->close(f.peer->transport, true);
    f.ops->close(f.peer->transport, false); // harmless
    assert_int_equal(f.user.closed, 0);     // later
    assert_true(f.peer->closed && f.peer->closed_reset);
    check_loop_settle(&f.check);
    assert_int_equal(fake_peer_sent(f.peer).len, 0);
    assert_int_equal(f.peer->calls.closed, 1);
    finish(&f);
}

static void events_may_be_late(void **state) {
    (void)state;
    uint64_t turns = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct fixture f;
        struct fake_options options = {.seed = seed, .late_max = 3};
        begin(&f, &options);
        f.ops->read_start(f.peer->transport);
        fake_peer_send(f.peer, BYTES("x"));
        const uint64_t before = f.check.loop.turns;
        check_loop_settle(&f.check);
        turns += f.check.loop.turns - before;
        assert_read(&f.user, "x");
        finish(&f);
    }
    assert_true(turns > 40 && turns < 200); // 80 expected; the seeds are fixed
}

// Pairs.
struct pair {
    struct check_loop check;
    struct user users[2];
    struct fake_peer *peers[2];
    const struct transport_ops *ops;
};

static void pair_begin(struct pair *pair, const struct fake_options *options) {
    memset(pair, 0, sizeof(*pair));
    check_loop_init(&pair->check);
    fake_pair_create(&pair->check.loop, options, (const struct transport_handler *const[]){&handler, &handler},
                     (void *const[]){&pair->users[0], &pair->users[1]}, pair->peers);
    for (int i = 0; i < 2; i++)
        pair->users[i].transport = pair->peers[i]->transport;
    pair->ops = pair->peers[0]->transport->ops;
}

static void pair_finish(struct pair *pair) {
    for (int i = 0; i < 2; i++)
        if (pair->users[i].transport != NULL)
            pair->ops->close(pair->users[i].transport, false);
    check_loop_settle(&pair->check);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pair->users[i].closed, 1);
        fake_peer_destroy(pair->peers[i]);
        free(pair->users[i].text);
    }
    check_loop_dispose(&pair->check);
}

static void say(struct pair *pair, int from, struct bytes text) {
    struct transport *transport = pair->users[from].transport;
    buffer_append(&transport->out, text);
    pair->ops->flush(transport);
}

static void what_one_flushes_arrives_at_the_other(void **state) {
    (void)state;
    struct pair p;
    pair_begin(&p, NULL);
    p.ops->read_start(p.users[0].transport);
    p.ops->read_start(p.users[1].transport);
    say(&p, 0, BYTES("ping"));
    assert_int_equal(p.users[1].length, 0);
    check_loop_turn(&p.check);
    assert_read(&p.users[1], "ping");
    say(&p, 1, BYTES("pong"));
    check_loop_turn(&p.check);
    assert_read(&p.users[0], "pong");
    p.ops->shutdown(p.users[0].transport);
    check_loop_settle(&p.check);
    assert_int_equal(p.users[1].ended_error, ERROR_CONNECTION_CLOSED);
    assert_int_equal(p.users[0].ended, 0);
    pair_finish(&p);
}

static void a_pair_bounds_what_is_on_its_way(void **state) {
    (void)state;
    struct pair p;
    struct fake_options options = {.window = 10};
    pair_begin(&p, &options);
    say(&p, 0, BYTES("0123456789abcdef"));
    check_loop_settle(&p.check);
    assert_int_equal(p.users[0].transport->out.length, 6);
    assert_int_equal(fake_peer_unread(p.peers[1]), 10);
    p.ops->read_start(p.users[1].transport);
    check_loop_settle(&p.check);
    assert_read(&p.users[1], "0123456789abcdef");
    assert_int_equal(p.users[0].drained, 1);
    pair_finish(&p);
}

static void close_is_an_end_or_a_reset_to_the_other(void **state) {
    (void)state;
    for (int unread = 0; unread < 2; unread++) {
        struct pair p;
        pair_begin(&p, NULL);
        p.ops->read_start(p.users[1].transport);
        if (unread) {
            say(&p, 1, BYTES("nobody reads this"));
            check_loop_settle(&p.check);
        }
        say(&p, 0, BYTES("bye"));
        p.ops->close(p.users[0].transport, false);
        check_loop_settle(&p.check);
        assert_read(&p.users[1], "bye");
        assert_int_equal(p.users[1].ended, 1);
        assert_int_equal(p.users[1].ended_error, unread ? ERROR_CONNECTION_RESET : ERROR_CONNECTION_CLOSED);
        if (!unread) {
            say(&p, 1, BYTES("to one that is gone"));
            check_loop_settle(&p.check);
            assert_int_equal(p.users[1].ended_error, ERROR_CONNECTION_RESET);
        }
        pair_finish(&p);
    }
}

static void a_reset_reaches_both(void **state) {
    (void)state;
    struct pair p;
    pair_begin(&p, NULL);
    fake_peer_reset(p.peers[0], false);
    check_loop_settle(&p.check);
    for (int i = 0; i < 2; i++)
        assert_int_equal(p.users[i].ended_error, ERROR_CONNECTION_RESET);
    pair_finish(&p);
}

// Each side has a text to send, flushes random parts of it, and stops and starts reading at random.
#define TEXT_BYTES 30000

static void every_byte_arrives_in_order_whatever_the_seed(void **state) {
    (void)state;
    static char text[TEXT_BYTES];
    for (size_t i = 0; i < TEXT_BYTES; i++)
        text[i] = (char)(i * 7 + i / 251);
    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct pair p;
        struct rng rng;
        rng_init(&rng, seed);
        struct fake_options options = {
            .seed = seed, .piece_max = 1 + rng_below(&rng, 3000), .late_max = rng_below(&rng, 3), .window = 1 + rng_below(&rng, 5000)};
        pair_begin(&p, &options);
        size_t said[2] = {0, 0};
        for (unsigned turn = 0; turn < 200; turn++) {
            for (int i = 0; i < 2; i++) {
                size_t part = rng_below(&rng, 1000);
                if (part > TEXT_BYTES - said[i])
                    part = TEXT_BYTES - said[i];
                say(&p, i, bytes_from(text + said[i], part));
                said[i] += part;
                if (rng_below(&rng, 4) == 0)
                    p.ops->read_stop(p.users[i].transport);
                else
                    p.ops->read_start(p.users[i].transport);
            }
            check_loop_turn(&p.check);
        }
        for (int i = 0; i < 2; i++) {
            p.ops->read_start(p.users[i].transport);
            p.ops->shutdown(p.users[i].transport);
        }
        check_loop_settle(&p.check);
        for (int i = 0; i < 2; i++) {
            assert_int_equal(p.users[i].length, said[1 - i]);
            assert_memory_equal(p.users[i].text, text, said[1 - i]);
            assert_int_equal(p.users[i].ended, 1);
            assert_int_equal(p.users[i].ended_error, ERROR_CONNECTION_CLOSED);
        }
        pair_finish(&p);
    }
}

// The loop on a virtual clock.

static unsigned fired;

static void on_fire(struct timer *timer) {
    (void)timer;
    fired++;
}

static void time_passes_only_when_the_test_says_so(void **state) {
    (void)state;
    struct check_loop check;
    check_loop_init(&check);
    struct timer timer;
    timer_init(&timer, on_fire);
    fired = 0;
    loop_timer_start(&check.loop, &timer, 10 * NS_PER_S);
    check_loop_turn(&check);
    check_loop_pass(&check, 10 * NS_PER_S - NS_PER_MS);
    assert_int_equal(fired, 0);
    nanoseconds before = check.loop.now;
    check_loop_pass(&check, NS_PER_MS);
    assert_int_equal(fired, 1);
    assert_true(check.loop.now == before + NS_PER_MS);
    check_loop_dispose(&check);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_comes_before_the_turn_nor_before_read_start),
        cmocka_unit_test(bytes_are_cut_into_pieces_that_depend_on_the_seed),
        cmocka_unit_test(pieces_of_the_same_read_follow_a_stop),
        cmocka_unit_test(an_orderly_end_comes_once_after_all_bytes_and_only_while_reading),
        cmocka_unit_test(a_reset_is_told_while_not_reading_and_costs_the_unread_bytes),
        cmocka_unit_test(a_reset_waits_for_the_bytes_before_it_where_the_user_wants_them),
        cmocka_unit_test(output_is_taken_as_far_as_the_peer_accepts_it),
        cmocka_unit_test(drained_waits_until_output_is_below_half_its_limit),
        cmocka_unit_test(shutdown_follows_the_output),
        cmocka_unit_test(ready_comes_when_the_test_says_so),
        cmocka_unit_test(nothing_but_closed_comes_after_close),
        cmocka_unit_test(close_drops_output_and_says_how),
        cmocka_unit_test(events_may_be_late),
        cmocka_unit_test(what_one_flushes_arrives_at_the_other),
        cmocka_unit_test(a_pair_bounds_what_is_on_its_way),
        cmocka_unit_test(close_is_an_end_or_a_reset_to_the_other),
        cmocka_unit_test(a_reset_reaches_both),
        cmocka_unit_test(every_byte_arrives_in_order_whatever_the_seed),
        cmocka_unit_test(time_passes_only_when_the_test_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
