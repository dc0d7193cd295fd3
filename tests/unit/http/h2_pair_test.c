// Both ends of h2_codec talking to each other: whole exchanges in any pieces, bodies of megabytes under flow control, trailers, resets and drains at any
// step, and that no stream holds up another.
#include "h2_pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static void assert_body(const struct owner_stream *item, struct bytes expected) {
    assert_int_equal(item->body.len, expected.len);
    if (expected.len > 0)
        assert_memory_equal(item->body.at, expected.at, expected.len);
}

static void assert_settled(const struct h2_pair *pair) {
    assert_int_equal(pair->client.error, OK);
    assert_int_equal(pair->server.error, OK);
    assert_int_equal(pair->client.codec->streams_open, 0);
    assert_int_equal(pair->server.codec->streams_open, 0);
}

static void exchange_arrives_whole_in_any_pieces(void **state) {
    (void)state;
    struct codec_limits limits = codec_owner_limits();
    struct text request_body = {0};
    struct text response_body = {0};
    for (uint64_t seed = 0; seed < 60; seed++) {
        struct h2_pair pair;
        h2_pair_init(&pair, &limits, seed);
        const size_t max = seed % 3 == 0 ? 20 : 5000;
        struct bytes request = h2_body_of(&request_body, rng_below(&pair.rng, 4000), 1);
        struct bytes response = h2_body_of(&response_body, rng_below(&pair.rng, 100000), 2);
        struct owner_stream *client = h2_request(&pair.client, "POST", "/a?b=c", false);
        struct fields trailers;
        fields_init(&trailers, &client->pool);
        fields_add(&trailers, BYTES("x-sum"), BYTES("1"));
        owner_stream_send(client, request, true, seed % 2 == 0 ? &trailers : NULL);
        h2_pair_settle(&pair, max);
        struct owner_stream *server = codec_owner_stream(&pair.server, 0);
        assert_true(server->ended);
        assert_body(server, request);
        assert_int_equal(server->stream.trailers.count, seed % 2 == 0);
        assert_int_equal(h2_respond(server, 103, "link: </a>\n", false), OK);
        assert_int_equal(h2_respond(server, 200, "Content-Type: text/plain\n", false), OK);
        owner_stream_send(server, response, true, seed % 2 == 1 ? &trailers : NULL);
        h2_pair_settle(&pair, max);
        assert_int_equal(client->heads, 2);
        assert_true(client->ended);
        assert_body(client, response);
        assert_int_equal(client->stream.trailers.count, seed % 2 == 1);
        assert_true(codec_stream_is_done(&client->stream));
        assert_true(codec_stream_is_done(&server->stream));
        assert_settled(&pair);
        h2_pair_dispose(&pair);
    }
    text_dispose(&request_body);
    text_dispose(&response_body);
}

// Several streams of megabytes both ways at once, consumed bit by bit.
static void large_bodies_pass_both_ways_under_flow_control(void **state) {
    (void)state;
    enum { STREAMS = 4, LENGTH = 3000000 };
    struct codec_limits limits = codec_owner_limits();
    struct text bodies[STREAMS] = {0};
    struct h2_pair pair;
    h2_pair_init(&pair, &limits, 7);
    for (unsigned i = 0; i < STREAMS; i++)
        owner_stream_send(h2_request(&pair.client, "POST", "/", false), h2_body_of(&bodies[i], LENGTH + i, i), true, NULL);
    while (pair.server.count < STREAMS)
        h2_pair_step(&pair, 20000);
    for (unsigned i = 0; i < STREAMS; i++) {
        struct owner_stream *server = codec_owner_stream(&pair.server, i);
        assert_int_equal(h2_respond(server, 200, "", false), OK);
        owner_stream_send(server, text_bytes(&bodies[STREAMS - 1 - i]), false, NULL);
    }
    h2_pair_settle(&pair, 60000);
    // A response that ends before its request would cut that short.
    for (unsigned i = 0; i < STREAMS; i++)
        owner_stream_send(codec_owner_stream(&pair.server, i), BYTES_NONE, true, NULL);
    h2_pair_settle(&pair, 60000);
    for (unsigned i = 0; i < STREAMS; i++) {
        assert_body(codec_owner_stream(&pair.server, i), text_bytes(&bodies[i]));
        assert_body(codec_owner_stream(&pair.client, i), text_bytes(&bodies[STREAMS - 1 - i]));
        assert_true(codec_owner_stream(&pair.client, i)->writables > 1);
    }
    for (unsigned i = 0; i < STREAMS; i++)
        text_dispose(&bodies[i]);
    assert_settled(&pair);
    h2_pair_dispose(&pair);
}

static void sender_is_held_by_the_window_and_its_buffer(void **state) {
    (void)state;
    struct codec_limits limits = codec_owner_limits();
    struct text body = {0};
    struct h2_pair pair;
    h2_pair_init(&pair, &limits, 1);
    pair.server.keep_body = true;
    struct owner_stream *client = h2_request(&pair.client, "POST", "/", false);
    owner_stream_send(client, h2_body_of(&body, 1000000, 3), true, NULL);
    h2_pair_settle(&pair, 50000);
    struct owner_stream *server = codec_owner_stream(&pair.server, 0);
    assert_int_equal(server->body.len, limits.stream_window);
    assert_int_equal(client->stream.out.length, H2_STREAM_OUT_BYTES);
    assert_int_equal(client->sending.length, 1000000 - limits.stream_window - H2_STREAM_OUT_BYTES);
    assert_int_equal(client->stream.sent, PROGRESS_BODY);
    // What is consumed comes again, and no more.
    struct codec *codec = pair.server.codec;
    codec->ops->consumed(codec, &server->stream, 40000);
    h2_pair_settle(&pair, 50000);
    assert_int_equal(server->body.len, limits.stream_window + 40000);
    text_dispose(&body);
    h2_pair_dispose(&pair);
}

// Also where the request came before the client had read our SETTINGS, which then take back what it counted on.
static void the_first_window_is_small_until_the_body_is_taken(void **state) {
    (void)state;
    struct codec_limits limits = codec_owner_limits();
    limits.stream_window_first = 16384;
    struct text body = {0};
    for (unsigned early = 0; early < 2; early++) {
        struct h2_pair pair;
        h2_pair_init(&pair, &limits, 1);
        pair.server.keep_body = true;
        if (!early)
            h2_pair_settle(&pair, 50000);
        struct owner_stream *client = h2_request(&pair.client, "POST", "/", false);
        owner_stream_send(client, h2_body_of(&body, 1000000, 3), true, NULL);
        while (pair.server.streams == NULL || pair.server.streams->body.len < 10000)
            (void)h2_pair_step(&pair, 5000);
        struct owner_stream *server = codec_owner_stream(&pair.server, 0);
        if (!early) {
            h2_pair_settle(&pair, 50000);
            assert_int_equal(server->body.len, limits.stream_window_first);
        }
        pair.server.codec->ops->consumed(pair.server.codec, &server->stream, 1);
        h2_pair_settle(&pair, 50000);
        assert_int_equal(server->body.len, limits.stream_window);
        pair.server.codec->ops->consumed(pair.server.codec, &server->stream, limits.stream_window - 1);
        h2_pair_settle(&pair, 50000);
        assert_int_equal(server->body.len, 2 * limits.stream_window);
        h2_pair_dispose(&pair);
    }
    text_dispose(&body);
}

// Either side stops reading 50 streams; the 51st is as free as if it were alone.
static void stalled_streams_do_not_hinder_another(void **state) {
    (void)state;
    enum { STALLED = 50, LENGTH = 1000000 };
    struct codec_limits limits = codec_owner_limits();
    struct text body = {0};
    h2_body_of(&body, LENGTH, 5);
    for (unsigned download = 0; download < 2; download++) {
        struct h2_pair pair;
        h2_pair_init(&pair, &limits, 11);
        struct codec_owner *reader = download ? &pair.client : &pair.server;
        reader->keep_body = true;
        for (unsigned i = 0; i <= STALLED; i++) {
            struct owner_stream *client = h2_request(&pair.client, "POST", "/", false);
            owner_stream_send(client, download ? BYTES("please") : text_bytes(&body), true, NULL);
        }
        h2_pair_settle(&pair, 50000);
        for (unsigned i = 0; download && i <= STALLED; i++) {
            struct owner_stream *server = codec_owner_stream(&pair.server, i);
            assert_int_equal(h2_respond(server, 200, "", false), OK);
            owner_stream_send(server, text_bytes(&body), true, NULL);
        }
        h2_pair_settle(&pair, 50000);
        struct owner_stream *last = codec_owner_stream(reader, STALLED);
        while (last->unconsumed > 0) {
            size_t count = last->unconsumed;
            last->unconsumed = 0;
            reader->codec->ops->consumed(reader->codec, &last->stream, count);
            h2_pair_settle(&pair, 50000);
        }
        assert_body(last, text_bytes(&body));
        assert_true(last->ended);
        for (unsigned i = 0; i < STALLED; i++)
            assert_int_equal(codec_owner_stream(reader, i)->body.len, limits.stream_window);
        h2_pair_dispose(&pair);
    }
    text_dispose(&body);
}

// libraries.md: "with NO_RFC7540_PRIORITIES equal streams are sent one after the other; without, alternating".
static void equal_streams_alternate(void **state) {
    (void)state;
    struct h2_drive drive;
    struct text body = {0};
    h2_drive_start(&drive, CODEC_SERVER);
    h2_settings(&drive.wire, 1, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1000000);
    h2_window_update(&drive.wire, 0, 1000000);
    h2_get(&drive.wire, 1, "/");
    h2_get(&drive.wire, 3, "/");
    assert_int_equal(h2_drive_feed(&drive), OK);
    for (unsigned i = 0; i < 2; i++) {
        struct owner_stream *server = codec_owner_stream(&drive.owner, i);
        assert_int_equal(h2_respond(server, 200, "", false), OK);
        owner_stream_send(server, h2_body_of(&body, 60000, i), true, NULL);
    }
    const char *at = h2_drive_sent(&drive);
    char expected = '1';
    unsigned frames = 0;
    while ((at = strstr(at, "DATA ")) != NULL) {
        assert_int_equal(at[5], expected);
        expected = expected == '1' ? '3' : '1';
        at += 5;
        frames++;
    }
    assert_int_equal(frames, 8); // four of 16 KiB for each
    text_dispose(&body);
    h2_drive_dispose(&drive);
}

// A GiB in one stream: the connection's window must come back on receipt, or all would stop at its end.
static void count_body(void *user, struct codec_stream *stream, struct block *block, struct bytes piece) {
    (void)stream;
    (void)block;
    *(uint64_t *)user += piece.len;
}

static struct pool counting_pool;
static struct codec_stream counting_stream;

static struct codec_stream *begin_counting(void *user) {
    (void)user;
    counting_stream = (struct codec_stream){.pool = &counting_pool};
    return &counting_stream;
}

static void ignore_head(void *user, struct codec_stream *stream, bool end) {
    (void)user;
    (void)stream;
    (void)end;
}

static void connection_window_comes_back_on_receipt(void **state) {
    (void)state;
    static const struct codec_handler handler = {.begin = begin_counting, .head = ignore_head, .body = count_body};
    struct codec_limits limits = codec_owner_limits();
    struct h2_memory *memory = h2_memory_create(&no_time);
    struct block_source blocks;
    struct pool_source chunks;
    struct buffer out;
    uint64_t received = 0;
    size_t used;
    block_source_init(&blocks, 8);
    pool_source_init(&chunks, 8);
    pool_init(&counting_pool, &chunks);
    buffer_init(&out, &blocks);
    struct codec *codec = h2_codec_create(CODEC_SERVER, &limits, &handler, &received, &out, memory);
    struct text wire = {0};
    h2_hello(&wire, CODEC_SERVER);
    h2_headers(&wire, 1, 0, ":method: POST\n:scheme: http\n:authority: example.org\n:path: /\n");
    struct block *block = block_get(&blocks);
    memcpy(block->bytes, wire.at, wire.len);
    assert_int_equal(codec->ops->feed(codec, block, bytes_from(block->bytes, wire.len), &used), OK);
    assert_int_equal(codec->ops->produce(codec), OK);
    buffer_clear(&out);
    static const char zeros[16000];
    text_clear(&wire);
    h2_data(&wire, 1, 0, bytes_from(zeros, sizeof(zeros)));
    memcpy(block->bytes, wire.at, wire.len);
    bool returned = false;
    while (!returned && received < UINT64_C(1) << 31) {
        assert_int_equal(codec->ops->feed(codec, block, bytes_from(block->bytes, wire.len), &used), OK);
        codec->ops->consumed(codec, &counting_stream, sizeof(zeros));
        assert_int_equal(codec->ops->produce(codec), OK);
        struct bytes front = buffer_front(&out);
        // WINDOW_UPDATE of stream 0.
        returned = front.len >= 13 && front.at[3] == NGHTTP2_WINDOW_UPDATE && front.at[8] == 0;
        buffer_clear(&out);
    }
    assert_true(returned);
    assert_true(received >= INT32_MAX / 2 && received <= INT32_MAX / 2 + 2 * sizeof(zeros));
    codec->ops->dispose(codec);
    pool_dispose(&counting_pool);
    block_unref(block);
    buffer_dispose(&out);
    block_source_dispose(&blocks);
    pool_source_dispose(&chunks);
    h2_memory_destroy(memory);
    text_dispose(&wire);
}

// --- resets and ends at any step ---

static struct owner_stream *random_stream(struct h2_pair *pair, struct codec_owner *owner) {
    return owner->count == 0 ? NULL : codec_owner_stream(owner, rng_below(&pair->rng, owner->count));
}

static void random_client_step(struct h2_pair *pair, const struct text *body) {
    struct codec *codec = pair->client.codec;
    if (pair->client.count < 12 && !codec->refuses_new && codec->streams_open < codec->streams_max) {
        bool end = rng_below(&pair->rng, 2) == 0;
        struct owner_stream *item = h2_request(&pair->client, "POST", "/", end);
        if (!end)
            owner_stream_send(item, bytes_from(body->at, rng_below(&pair->rng, 30000)), rng_below(&pair->rng, 3) > 0, NULL);
        return;
    }
    struct owner_stream *item = random_stream(pair, &pair->client);
    if (item != NULL && item->stream.codec != NULL && rng_below(&pair->rng, 4) == 0)
        h2_reset(item, ERROR_CANCELLED);
}

static void random_server_step(struct h2_pair *pair, const struct text *body) {
    struct owner_stream *item = random_stream(pair, &pair->server);
    if (item == NULL || item->stream.codec == NULL)
        return;
    bool end = rng_below(&pair->rng, 3) == 0;
    switch (rng_below(&pair->rng, 6)) {
    case 0:
        h2_reset(item, ERROR_INTERNAL);
        break;
    case 1:
        if (item->stream.sent == PROGRESS_HEAD)
            assert_int_equal(h2_respond(item, 103, "", false), OK);
        break;
    default:
        if (item->stream.sent == PROGRESS_HEAD)
            assert_int_equal(h2_respond(item, 200, "", end), OK);
        else if (item->stream.sent == PROGRESS_BODY && !item->send_end)
            owner_stream_send(item, bytes_from(body->at, rng_below(&pair->rng, 60000)), end, NULL);
        break;
    }
}

// What is left is ended by its own side; then nothing may be open on either.
static void end_all(struct h2_pair *pair) {
    struct codec_owner *owners[] = {&pair->client, &pair->server};
    for (unsigned i = 0; i < 2; i++)
        for (struct owner_stream *item = owners[i]->streams; item != NULL; item = item->next)
            if (item->stream.codec != NULL)
                h2_reset(item, ERROR_CANCELLED);
    h2_pair_settle(pair, 50000);
    assert_settled(pair);
}

static void streams_may_be_reset_at_any_step(void **state) {
    (void)state;
    struct codec_limits limits = codec_owner_limits();
    struct text body = {0};
    h2_body_of(&body, 60000, 9);
    for (uint64_t seed = 0; seed < 3000; seed++) {
        struct h2_pair pair;
        h2_pair_init(&pair, &limits, seed);
        unsigned steps = 5 + rng_below(&pair.rng, 60);
        for (unsigned i = 0; i < steps; i++) {
            random_client_step(&pair, &body);
            h2_pair_step(&pair, seed % 2 == 0 ? 300 : 20000);
            random_server_step(&pair, &body);
            h2_resume_all(&pair.client);
            h2_resume_all(&pair.server);
            if (rng_below(&pair.rng, 200) == 0)
                pair.server.codec->ops->signal(pair.server.codec, CODEC_DRAIN);
            if (rng_below(&pair.rng, 200) == 0)
                pair.server.codec->ops->signal(pair.server.codec, CODEC_DRAIN_FINAL);
            if (rng_below(&pair.rng, 100) == 0)
                pair.client.codec->ops->signal(pair.client.codec, CODEC_PING);
        }
        if (seed % 4 != 0)
            end_all(&pair); // else the connection ends in the middle of all
        h2_pair_dispose(&pair);
    }
    text_dispose(&body);
}

static void drain_of_the_server_is_orderly(void **state) {
    (void)state;
    struct codec_limits limits = codec_owner_limits();
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct h2_pair pair;
        h2_pair_init(&pair, &limits, seed);
        struct owner_stream *early = h2_request(&pair.client, "GET", "/", true);
        h2_pair_settle(&pair, 100);
        pair.server.codec->ops->signal(pair.server.codec, CODEC_DRAIN);
        struct owner_stream *crossing = h2_request(&pair.client, "GET", "/", true);
        h2_pair_settle(&pair, 100);
        assert_true(pair.client.codec->refuses_new);
        pair.server.codec->ops->signal(pair.server.codec, CODEC_DRAIN_FINAL);
        for (unsigned i = 0; i < 2; i++)
            assert_int_equal(h2_respond(codec_owner_stream(&pair.server, i), 200, "", true), OK);
        h2_pair_settle(&pair, 100);
        assert_true(early->ended);
        assert_true(crossing->ended);
        assert_true(pair.server.codec->close_when_flushed);
        assert_true(pair.client.codec->close_when_flushed);
        assert_settled(&pair);
        h2_pair_dispose(&pair);
    }
}

// A request that left before it heard of the end is provably not processed.
static void request_that_crosses_the_last_goaway_is_refused(void **state) {
    (void)state;
    struct codec_limits limits = codec_owner_limits();
    struct h2_pair pair;
    h2_pair_init(&pair, &limits, 1);
    struct owner_stream *early = h2_request(&pair.client, "GET", "/", true);
    h2_pair_settle(&pair, 100000);
    pair.server.codec->ops->signal(pair.server.codec, CODEC_DRAIN_FINAL);
    text_add(&pair.to_client, codec_owner_sent(&pair.server));
    struct owner_stream *late = h2_request(&pair.client, "POST", "/", true);
    h2_pair_settle(&pair, 100000);
    assert_int_equal(pair.server.count, 1);
    assert_int_equal(late->failed, ERROR_REFUSED_STREAM);
    assert_false(early->has_failed);
    assert_int_equal(h2_respond(codec_owner_stream(&pair.server, 0), 200, "", true), OK);
    h2_pair_settle(&pair, 100000);
    assert_true(early->ended);
    assert_settled(&pair);
    h2_pair_dispose(&pair);
}

static void pings_cross(void **state) {
    (void)state;
    struct codec_limits limits = codec_owner_limits();
    struct h2_pair pair;
    h2_pair_init(&pair, &limits, 1);
    pair.client.codec->ops->signal(pair.client.codec, CODEC_PING);
    pair.server.codec->ops->signal(pair.server.codec, CODEC_PING);
    h2_pair_settle(&pair, 10);
    assert_int_equal(pair.client.codec->pings_outstanding, 0);
    assert_int_equal(pair.server.codec->pings_outstanding, 0);
    h2_pair_dispose(&pair);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exchange_arrives_whole_in_any_pieces),
        cmocka_unit_test(large_bodies_pass_both_ways_under_flow_control),
        cmocka_unit_test(sender_is_held_by_the_window_and_its_buffer),
        cmocka_unit_test(the_first_window_is_small_until_the_body_is_taken),
        cmocka_unit_test(stalled_streams_do_not_hinder_another),
        cmocka_unit_test(equal_streams_alternate),
        cmocka_unit_test(connection_window_comes_back_on_receipt),
        cmocka_unit_test(streams_may_be_reset_at_any_step),
        cmocka_unit_test(drain_of_the_server_is_orderly),
        cmocka_unit_test(request_that_crosses_the_last_goaway_is_refused),
        cmocka_unit_test(pings_cross),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
