// Bytes through TLS: in order and whole however they are cut, paused and resumed; output that is bounded; ends that are told as they are.
#include "net/tls.h"

#include "base/limits.h"
#include "net/tls_private.h"
#include "tls_two_ends.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define RECORD_OVERHEAD 22 // header, content type, tag

static size_t openssl_bytes; // in use by OpenSSL now

// OpenSSL's memory is counted: a header before each piece holds its size.
struct counted {
    _Alignas(max_align_t) size_t size;
};

static void *counted_alloc(size_t size, const char *file, int line) {
    (void)file, (void)line;
    struct counted *made = malloc(sizeof(*made) + size);
    made->size = size;
    openssl_bytes += size;
    return made + 1;
}

static void counted_free(void *at, const char *file, int line) {
    (void)file, (void)line;
    if (at == NULL)
        return;
    struct counted *made = (struct counted *)at - 1;
    openssl_bytes -= made->size;
    free(made);
}

static void *counted_realloc(void *at, size_t size, const char *file, int line) {
    if (at == NULL)
        return counted_alloc(size, file, line);
    struct counted *made = (struct counted *)at - 1;
    openssl_bytes += size - made->size;
    made = realloc(made, sizeof(*made) + size);
    made->size = size;
    return made + 1;
}

static void open_pair(struct tls_pair *pair, const struct fake_options *options) {
    tls_pair_init(pair, client_credentials, server_credentials);
    tls_pair_begin(pair, options);
    check_loop_settle(&pair->check);
    assert_int_equal(pair->client.ready_error, OK);
    assert_int_equal(pair->server.ready_error, OK);
}

static void close_pair(struct tls_pair *pair) {
    tls_pair_end(pair);
    tls_pair_dispose(pair);
}

// A text in which every place looks different from its surroundings.
static struct bytes make_text(size_t length) {
    static char text[1 << 20];
    assert_true(length <= sizeof(text));
    for (size_t i = 0; i < length; i++)
        text[i] = (char)((i * 2654435761u) >> 13);
    return bytes_from(text, length);
}

static void texts_of_all_sizes_arrive_as_they_were(void **state) {
    (void)state;
    static const size_t sizes[] = {1, 2, 100, 255, 256, 4095, 4096, 16351, 16352, 16353, 16384, 16385, 65536, 1 << 20};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct tls_pair pair;
        open_pair(&pair, NULL);
        struct bytes text = make_text(sizes[i]);
        tls_end_send(&pair.client, text);
        check_loop_settle(&pair.check);
        assert_true(tls_end_got(&pair.server, text));
        tls_end_send(&pair.server, text);
        check_loop_settle(&pair.check);
        assert_true(tls_end_got(&pair.client, text));
        assert_int_equal(pair.client.tls->bytes_out, sizes[i]);
        assert_int_equal(pair.client.tls->bytes_in, sizes[i]);
        close_pair(&pair);
    }
}

// Appends a piece of random length by copy or by reference.
static size_t append_some(struct tls_end *end, struct rng *rng, struct bytes text, size_t at) {
    size_t length = 1 + rng_below(rng, rng_below(rng, 4) == 0 ? 20000 : 300);
    if (length > text.len - at)
        length = text.len - at;
    if (length <= BLOCK_CAPACITY && rng_below(rng, 2) == 0) {
        struct block *block = block_get(&end->tls->loop->blocks);
        memcpy(block->bytes, text.at + at, length);
        block->filled = (uint32_t)length;
        buffer_append_piece(&end->tls->out, block, bytes_from(block->bytes, length));
        block_unref(block);
    } else {
        buffer_append(&end->tls->out, bytes_from(text.at + at, length));
    }
    return at + length;
}

static void toggle_reading(struct tls_end *end, struct rng *rng, bool *reading) {
    if (rng_below(rng, 3) != 0)
        return;
    *reading = !*reading;
    if (*reading)
        end->tls->ops->read_start(end->tls);
    else
        end->tls->ops->read_stop(end->tls);
}

static void any_cutting_pausing_and_lateness_keeps_the_order(void **state) {
    (void)state;
    for (unsigned seed = 1; seed <= 40; seed++) {
        struct tls_pair pair;
        struct rng rng;
        rng_init(&rng, seed);
        open_pair(&pair, &(struct fake_options){.seed = seed, .piece_max = 1u << (seed % 15), .late_max = seed % 4, .window = 1000 + seed * 997});
        struct bytes text = make_text(20000 + seed * 1000);
        struct tls_end *const ends[2] = {&pair.client, &pair.server};
        size_t sent[2] = {0, 0};
        bool reading[2] = {true, true};
        while (sent[0] < text.len || sent[1] < text.len) {
            for (int i = 0; i < 2; i++) {
                size_t before = ends[i]->received_length;
                bool was_reading = reading[i];
                if (sent[i] < text.len && ends[i]->tls->out.length < LIMIT_OUTPUT_BYTES) {
                    sent[i] = append_some(ends[i], &rng, text, sent[i]);
                    ends[i]->tls->ops->flush(ends[i]->tls);
                }
                assert_int_equal(ends[i]->received_length, before); // never from within a call
                toggle_reading(ends[i], &rng, &reading[i]);
                if (!was_reading && !reading[i]) {
                    check_loop_turn(&pair.check);
                    assert_int_equal(ends[i]->received_length, before);
                }
            }
            check_loop_turn(&pair.check);
        }
        for (int i = 0; i < 2; i++) {
            ends[i]->tls->ops->read_start(ends[i]->tls);
            ends[i]->tls->ops->shutdown(ends[i]->tls);
        }
        check_loop_settle(&pair.check);
        for (int i = 0; i < 2; i++) {
            assert_true(tls_end_got(ends[i], text));
            assert_int_equal(ends[i]->ended, 1);
            assert_int_equal(ends[i]->ended_error, ERROR_CONNECTION_CLOSED);
        }
        close_pair(&pair);
    }
}

static void small_segments_share_a_record_and_large_ones_fill_theirs(void **state) {
    (void)state;
    struct tls_pair pair;
    open_pair(&pair, NULL);
    uint64_t before = pair.client.lower->transport->bytes_out;
    struct bytes text = make_text(40 * 300);
    for (size_t at = 0; at < text.len; at += 300) {
        struct block *block = block_get(&pair.check.loop.blocks);
        memcpy(block->bytes, text.at + at, 300);
        block->filled = 300;
        buffer_append_piece(&pair.client.tls->out, block, bytes_from(block->bytes, 300));
        block_unref(block);
    }
    pair.client.tls->ops->flush(pair.client.tls);
    uint64_t sent = pair.client.lower->transport->bytes_out - before;
    assert_true(sent <= text.len + 3 * RECORD_OVERHEAD);
    check_loop_settle(&pair.check);
    assert_true(tls_end_got(&pair.server, text));

    before = pair.client.lower->transport->bytes_out;
    tls_end_send(&pair.client, make_text(4 * BLOCK_CAPACITY));
    check_loop_settle(&pair.check);
    sent = pair.client.lower->transport->bytes_out - before;
    assert_true(sent <= 4 * BLOCK_CAPACITY + 5 * RECORD_OVERHEAD);
    close_pair(&pair);
}

static void records_that_come_together_are_handed_out_in_one_piece(void **state) {
    (void)state;
    struct tls_pair pair;
    open_pair(&pair, NULL);
    pair.server.keep_block = true;
    for (int i = 0; i < 20; i++)
        tls_end_send(&pair.client, BYTES("a frame or so; "));
    check_loop_settle(&pair.check);
    assert_int_equal(pair.server.received_length, 20 * 15);
    assert_int_equal(pair.server.kept_bytes.len, 20 * 15);
    // What was kept stays as it is while more comes.
    struct block *kept = block_ref(pair.server.kept);
    struct bytes kept_bytes = pair.server.kept_bytes;
    tls_end_send(&pair.client, make_text(100000));
    check_loop_settle(&pair.check);
    assert_memory_equal(kept_bytes.at, "a frame or so; a frame", 22);
    block_unref(kept);
    close_pair(&pair);
}

static void what_came_before_read_stop_is_all_that_is_delivered(void **state) {
    (void)state;
    struct tls_pair pair;
    open_pair(&pair, NULL);
    struct bytes text = make_text(100000);
    pair.server.stop_in_bytes = true;
    tls_end_send(&pair.client, text);
    size_t before = 0;
    for (unsigned rounds = 0; pair.server.received_length < text.len; rounds++) {
        check_loop_settle(&pair.check);
        size_t got = pair.server.received_length - before;
        assert_true(got > 0 && got <= BLOCK_CAPACITY);
        before = pair.server.received_length;
        check_loop_settle(&pair.check);
        assert_int_equal(pair.server.received_length, before);
        pair.server.tls->ops->read_start(pair.server.tls);
        assert_int_equal(pair.server.received_length, before);
        assert_true(rounds < 1000);
    }
    assert_true(tls_end_got(&pair.server, text));
    close_pair(&pair);
}

static void a_handshake_that_is_done_waits_for_read_start(void **state) {
    (void)state;
    struct tls_pair pair;
    tls_pair_init(&pair, client_credentials, server_credentials);
    pair.server.read_at_once = false;
    tls_pair_begin(&pair, NULL);
    buffer_append(&pair.client.tls->out, BYTES("early")); // before it is ready
    pair.client.tls->ops->flush(pair.client.tls);
    check_loop_settle(&pair.check);
    assert_int_equal(pair.server.ready, 1);
    assert_int_equal(pair.server.received_length, 0);
    pair.server.tls->ops->read_start(pair.server.tls);
    check_loop_settle(&pair.check);
    assert_true(tls_end_got(&pair.server, BYTES("early")));
    close_pair(&pair);
}

static void output_is_sealed_no_faster_than_the_peer_takes_it(void **state) {
    (void)state;
    struct tls_pair pair;
    open_pair(&pair, &(struct fake_options){.window = 4096});
    pair.server.tls->ops->read_stop(pair.server.tls);
    check_loop_settle(&pair.check);
    struct bytes text = make_text(1 << 20);
    tls_end_send(&pair.client, text);
    for (int i = 0; i < 50; i++)
        check_loop_turn(&pair.check);
    // One window is on its way, and less than a record more than the bound was sealed.
    assert_true(pair.client.lower->transport->out.length <= LIMIT_OUTPUT_BYTES / 2 + BLOCK_CAPACITY + RECORD_OVERHEAD);
    assert_true(pair.client.tls->out.length > text.len - 2 * LIMIT_OUTPUT_BYTES);
    assert_int_equal(pair.client.drained, 0);
    pair.server.tls->ops->read_start(pair.server.tls);
    check_loop_settle(&pair.check);
    assert_true(tls_end_got(&pair.server, text));
    assert_true(pair.client.drained > 0);
    close_pair(&pair);
}

static void room_is_told_of_only_where_a_flush_had_left_something(void **state) {
    (void)state;
    struct tls_pair pair;
    open_pair(&pair, NULL);
    tls_end_send(&pair.client, make_text(10000));
    check_loop_settle(&pair.check);
    assert_int_equal(pair.client.drained, 0);
    close_pair(&pair);
}

// Whoever closes once all was sent asks for the cipher text too: what is sealed is not yet sent.
static void what_is_sealed_and_not_sent_counts_as_output_to_its_end(void **state) {
    (void)state;
    struct tls_pair pair;
    open_pair(&pair, &(struct fake_options){.window = 4096});
    pair.server.tls->ops->read_stop(pair.server.tls);
    check_loop_settle(&pair.check);
    struct bytes text = make_text(20000);
    tls_end_send(&pair.client, text);
    assert_true(buffer_is_empty(&pair.client.tls->out));
    assert_true(transport_has_output(pair.client.tls));
    pair.client.tls->ops->shutdown(pair.client.tls);
    check_loop_settle(&pair.check);
    assert_int_equal(pair.client.drained, 0);
    pair.server.tls->ops->read_start(pair.server.tls);
    check_loop_settle(&pair.check);
    assert_true(pair.client.drained > 0);
    assert_false(transport_has_output(pair.client.tls));
    assert_true(tls_end_got(&pair.server, text));
    close_pair(&pair);
}

static void an_idle_connection_holds_no_block(void **state) {
    (void)state;
    struct tls_pair pair;
    open_pair(&pair, NULL);
    assert_int_equal(pair.check.loop.blocks.used, 0);
    tls_end_send(&pair.client, make_text(100000));
    tls_end_send(&pair.server, make_text(100000));
    check_loop_settle(&pair.check);
    assert_int_equal(pair.check.loop.blocks.used, 0);
    close_pair(&pair);
}

// The better peer takes 25 KB for an idle TLS connection, all in all.
static void an_idle_connection_holds_no_more_than_openssl_needs(void **state) {
    (void)state;
    struct tls_pair pair;
    enum { COUNT = 8 };
    tls_pair_init(&pair, client_credentials, server_credentials);
    struct tls_end clients[COUNT], servers[COUNT];
    size_t before = 0;
    for (int i = 0; i < COUNT; i++) {
        if (i == 1)
            before = openssl_bytes; // the first one fills the caches
        pair.client = pair.server = (struct tls_end){.read_at_once = true};
        tls_pair_begin(&pair, NULL);
        clients[i] = pair.client;
        servers[i] = pair.server;
        // The ends are moved before anything ran.
        clients[i].tls->user = &clients[i];
        servers[i].tls->user = &servers[i];
        check_loop_settle(&pair.check);
        tls_end_send(&clients[i], make_text(50000));
        tls_end_send(&servers[i], make_text(50000));
        check_loop_settle(&pair.check);
        assert_int_equal(servers[i].received_length, 50000);
    }
    size_t of_both = (openssl_bytes - before) / (COUNT - 1);
    print_message("an idle connection: %zu bytes of OpenSSL for both ends, %zu of our own for each\n", of_both, sizeof(struct tls));
    size_t kilobytes = OPENSSL_VERSION_NUMBER < 0x30200000L ? 20 : 22;
    assert_true(of_both < 2 * kilobytes * 1024);
    for (int i = 0; i < COUNT; i++) {
        pair.client = clients[i];
        pair.server = servers[i];
        pair.client.tls->user = &pair.client;
        pair.server.tls->user = &pair.server;
        tls_pair_end(&pair);
    }
    tls_pair_dispose(&pair);
}

static void a_reset_is_told_at_once_or_after_the_bytes_before_it(void **state) {
    (void)state;
    for (int after_bytes = 0; after_bytes < 2; after_bytes++) {
        struct tls_pair pair;
        open_pair(&pair, NULL);
        struct bytes text = make_text(50000);
        pair.server.stop_in_bytes = true;
        pair.server.tls->reset_after_bytes = after_bytes;
        tls_end_send(&pair.client, text);
        check_loop_settle(&pair.check);
        size_t before = pair.server.received_length;
        assert_true(before > 0 && before < text.len);
        fake_peer_reset(pair.server.lower, true);
        check_loop_settle(&pair.check);
        assert_int_equal(pair.server.ended, after_bytes ? 0 : 1);
        pair.server.stop_in_bytes = false;
        if (after_bytes)
            pair.server.tls->ops->read_start(pair.server.tls);
        check_loop_settle(&pair.check);
        assert_int_equal(pair.server.ended, 1);
        assert_int_equal(pair.server.ended_error, ERROR_CONNECTION_RESET);
        assert_int_equal(pair.server.received_length, after_bytes ? text.len : before);
        close_pair(&pair);
    }
}

static void an_orderly_end_is_told_only_after_all_bytes_before_it(void **state) {
    (void)state;
    struct tls_pair pair;
    open_pair(&pair, NULL);
    struct bytes text = make_text(50000);
    pair.server.stop_in_bytes = true;
    tls_end_send(&pair.client, text);
    pair.client.tls->ops->shutdown(pair.client.tls);
    while (pair.server.ended == 0) {
        check_loop_settle(&pair.check);
        assert_true(pair.server.ended == 0 || pair.server.received_length == text.len);
        pair.server.tls->ops->read_start(pair.server.tls);
    }
    assert_int_equal(pair.server.ended_error, ERROR_CONNECTION_CLOSED);
    assert_true(tls_end_got(&pair.server, text));
    close_pair(&pair);
}

static void a_shutdown_before_the_handshake_is_done_ends_our_side_after_it(void **state) {
    (void)state;
    struct tls_pair pair;
    tls_pair_init(&pair, client_credentials, server_credentials);
    tls_pair_begin(&pair, NULL);
    buffer_append(&pair.client.tls->out, BYTES("all"));
    pair.client.tls->ops->shutdown(pair.client.tls);
    check_loop_settle(&pair.check);
    assert_int_equal(pair.client.ready_error, OK);
    assert_true(tls_end_got(&pair.server, BYTES("all")));
    assert_int_equal(pair.server.ended_error, ERROR_CONNECTION_CLOSED);
    close_pair(&pair);
}

static void close_is_allowed_in_every_callback(void **state) {
    (void)state;
    for (int which = 0; which < 4; which++) {
        struct tls_pair pair;
        tls_pair_init(&pair, client_credentials, server_credentials);
        pair.server.close_when_ready = which == 0;
        pair.server.close_when_bytes = which == 1;
        pair.server.close_when_ended = which == 2;
        pair.server.close_when_drained = which == 3;
        tls_pair_begin(&pair, &(struct fake_options){.window = 5000});
        check_loop_settle(&pair.check);
        if (which == 3) {
            buffer_append(&pair.server.tls->out, make_text(200000));
            pair.server.tls->ops->flush(pair.server.tls);
        } else if (which > 0) {
            tls_end_send(&pair.client, make_text(50000));
            pair.client.tls->ops->shutdown(pair.client.tls);
        }
        check_loop_settle(&pair.check);
        assert_null(pair.server.tls);
        close_pair(&pair);
    }
}

// Bytes of either direction are changed, dropped or repeated on their way: whatever happens, nobody ever sees a byte that was not sent.
static void damage_on_the_way_never_reaches_anyone(void **state) {
    (void)state;
    for (unsigned seed = 1; seed <= 150; seed++) {
        struct tls_pair pair;
        struct rng rng;
        rng_init(&rng, seed);
        tls_pair_init(&pair, client_credentials, server_credentials);
        tls_pair_begin(&pair, &(struct fake_options){.seed = seed, .piece_max = 700});
        struct bytes text = make_text(5000);
        buffer_append(&pair.client.tls->out, text);
        pair.client.tls->ops->flush(pair.client.tls);
        buffer_append(&pair.server.tls->out, text);
        pair.server.tls->ops->flush(pair.server.tls);
        unsigned moment = rng_below(&rng, 30);
        for (unsigned i = 0; i < moment; i++)
            check_loop_turn(&pair.check);
        struct fake_bytes *way = rng_below(&rng, 2) == 0 ? &pair.client.lower->incoming : &pair.server.lower->incoming;
        if (way->end > way->begin) {
            size_t at = way->begin + rng_below(&rng, (uint32_t)(way->end - way->begin));
            if (rng_below(&rng, 3) == 0)
                way->end = at;
            else
                way->bytes[at] = (char)(way->bytes[at] ^ (1 << rng_below(&rng, 8)));
        }
        check_loop_settle(&pair.check);
        const struct tls_end *const ends[2] = {&pair.client, &pair.server};
        for (int i = 0; i < 2; i++) {
            assert_true(ends[i]->received_length <= text.len);
            assert_true(ends[i]->received_length == 0 || memcmp(ends[i]->received, text.at, ends[i]->received_length) == 0);
            assert_true(ends[i]->ready <= 1 && ends[i]->ended <= 2);
        }
        close_pair(&pair);
    }
}

int main(void) {
    if (CRYPTO_set_mem_functions(counted_alloc, counted_realloc, counted_free) != 1)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_of_all_sizes_arrive_as_they_were),
        cmocka_unit_test(any_cutting_pausing_and_lateness_keeps_the_order),
        cmocka_unit_test(small_segments_share_a_record_and_large_ones_fill_theirs),
        cmocka_unit_test(records_that_come_together_are_handed_out_in_one_piece),
        cmocka_unit_test(what_came_before_read_stop_is_all_that_is_delivered),
        cmocka_unit_test(a_handshake_that_is_done_waits_for_read_start),
        cmocka_unit_test(output_is_sealed_no_faster_than_the_peer_takes_it),
        cmocka_unit_test(room_is_told_of_only_where_a_flush_had_left_something),
        cmocka_unit_test(what_is_sealed_and_not_sent_counts_as_output_to_its_end),
        cmocka_unit_test(an_idle_connection_holds_no_block),
        cmocka_unit_test(an_idle_connection_holds_no_more_than_openssl_needs),
        cmocka_unit_test(a_reset_is_told_at_once_or_after_the_bytes_before_it),
        cmocka_unit_test(an_orderly_end_is_told_only_after_all_bytes_before_it),
        cmocka_unit_test(a_shutdown_before_the_handshake_is_done_ends_our_side_after_it),
        cmocka_unit_test(close_is_allowed_in_every_callback),
        cmocka_unit_test(damage_on_the_way_never_reaches_anyone),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
