// How the windows of streams grow: by what is consumed in the least round trip, where a trip is a delivery of all that is in flight; in both roles, inside the
// bounds of memory, and neither for who reads slowly nor for queues.
#include "h2_pair.h"
#include "http/h2_window.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

// All that the windows let it send: more than a codec takes at once.
static void send_all(struct codec_owner *owner, struct text *flight) {
    size_t before;
    do {
        before = flight->len;
        h2_resume_all(owner);
        text_add(flight, codec_owner_sent(owner));
    } while (flight->len > before);
}

// Everything that is in flight arrives, and is consumed at once where the receiver does not keep it: one trip there or back, which takes so long.
static void slow_trip(struct h2_pair *pair, nanoseconds duration) {
    pair->now += duration;
    send_all(&pair->client, &pair->to_server);
    send_all(&pair->server, &pair->to_client);
    h2_deliver(&pair->to_server, &pair->server, SIZE_MAX);
    h2_deliver(&pair->to_client, &pair->client, SIZE_MAX);
}

static void trip(struct h2_pair *pair) {
    slow_trip(pair, NS_PER_MS);
}

// More than any body here takes with the smallest window.
enum { TRIPS_MAX = 2000 };

// A stream over which one side sends 8 MB; the other side's view of it.
static struct owner_stream *long_body(struct h2_pair *pair, bool download, const struct text *body) {
    struct owner_stream *client = h2_request(&pair->client, "POST", "/", false);
    if (!download)
        owner_stream_send(client, text_bytes(body), true, NULL);
    trip(pair);
    struct owner_stream *server = codec_owner_stream(&pair->server, pair->server.count - 1);
    if (!download)
        return server;
    assert_int_equal(h2_respond(server, 200, "", false), OK);
    owner_stream_send(client, BYTES_NONE, true, NULL);
    owner_stream_send(server, text_bytes(body), true, NULL);
    return client;
}

enum { LONG_BODY = 8000000 };

static void window_grows_to_its_limit_while_it_is_filled_in_either_role(void **state) {
    (void)state;
    struct codec_limits limits = codec_owner_limits();
    struct text body = {0};
    h2_body_of(&body, LONG_BODY, 3);
    for (unsigned download = 0; download < 2; download++) {
        struct h2_pair pair;
        h2_pair_init(&pair, &limits, 1);
        struct owner_stream *reader = long_body(&pair, download, &body);
        uint32_t before = limits.stream_window;
        assert_int_equal(reader->stream.window, before);
        for (unsigned trips = 0; reader->stream.received < PROGRESS_ENDED; trips++) {
            assert_true(trips < TRIPS_MAX);
            uint32_t window = reader->stream.window;
            assert_true(window == before || window == 2 * before);
            assert_int_equal(h2_memory_windows_grown(pair.memory), window - limits.stream_window);
            before = window;
            trip(&pair);
        }
        assert_int_equal(before, limits.stream_window_max);
        assert_true(bytes_equal(text_bytes(&reader->body), text_bytes(&body)));
        h2_pair_settle(&pair, 50000);
        assert_int_equal(h2_memory_windows_grown(pair.memory), 0);
        assert_int_equal(h2_memory_windows_refused(pair.memory), 0);
        h2_pair_dispose(&pair);
    }
    text_dispose(&body);
}

// What is really given to the peer, not only noted: it holds that much of a body of which nothing more is consumed.
static void grown_window_is_what_the_sender_may_have_in_flight(void **state) {
    (void)state;
    struct codec_limits limits = codec_owner_limits();
    struct text body = {0};
    struct h2_pair pair;
    h2_body_of(&body, LONG_BODY, 3);
    h2_pair_init(&pair, &limits, 1);
    struct owner_stream *reader = long_body(&pair, false, &body);
    for (unsigned trips = 0; reader->stream.window < limits.stream_window_max; trips++) {
        assert_true(trips < TRIPS_MAX);
        trip(&pair);
    }
    pair.server.keep_body = true;
    size_t consumed = reader->body.len;
    h2_pair_settle(&pair, 50000);
    // nghttp2 gives back half a window at a time: what is less was consumed and is not yet given back.
    size_t held = reader->body.len - consumed;
    assert_true(held > limits.stream_window_max / 2 && held <= limits.stream_window_max);
    text_dispose(&body);
    h2_pair_dispose(&pair);
}

// Under load a trip takes long for what waits on both sides: more in flight would only wait longer.
static void queues_do_not_make_windows_grow(void **state) {
    (void)state;
    struct codec_limits limits = codec_owner_limits();
    struct text body = {0};
    struct h2_pair pair;
    h2_body_of(&body, LONG_BODY, 3);
    h2_pair_init(&pair, &limits, 1);
    struct owner_stream *reader = long_body(&pair, false, &body);
    for (unsigned trips = 0; reader->stream.window == limits.stream_window; trips++) {
        assert_true(trips < TRIPS_MAX);
        trip(&pair);
    }
    const uint32_t grown = reader->stream.window;
    for (unsigned trips = 0; reader->stream.received < PROGRESS_ENDED; trips++) {
        assert_true(trips < TRIPS_MAX);
        assert_int_equal(reader->stream.window, grown);
        slow_trip(&pair, 2 * NS_PER_MS);
    }
    assert_int_equal(reader->body.len, LONG_BODY);
    text_dispose(&body);
    h2_pair_dispose(&pair);
}

// Its window is always full, and opens by a little in each round trip.
static void window_of_a_slow_reader_stays_small(void **state) {
    (void)state;
    struct codec_limits limits = codec_owner_limits();
    struct text body = {0};
    struct h2_pair pair;
    h2_body_of(&body, LONG_BODY, 3);
    h2_pair_init(&pair, &limits, 1);
    pair.server.keep_body = true;
    struct owner_stream *reader = long_body(&pair, false, &body);
    for (unsigned i = 0; i < 1000; i++) {
        trip(&pair);
        trip(&pair);
        size_t count = reader->unconsumed < 8000 ? reader->unconsumed : 8000;
        reader->unconsumed -= count;
        pair.server.codec->ops->consumed(pair.server.codec, &reader->stream, count);
    }
    assert_true(reader->body.len > LONG_BODY / 2);
    assert_int_equal(reader->stream.window, limits.stream_window);
    // It is judged ever more rarely.
    assert_in_range(CONTAINER_OF(pair.server.codec, struct h2_codec, base)->trips.pings, 1, 15);
    text_dispose(&body);
    h2_pair_dispose(&pair);
}

static void short_bodies_are_not_measured(void **state) {
    (void)state;
    struct codec_limits limits = codec_owner_limits();
    struct text body = {0};
    struct h2_pair pair;
    h2_body_of(&body, limits.stream_window / 2 - 1, 3);
    h2_pair_init(&pair, &limits, 1);
    for (unsigned i = 0; i < 20; i++) {
        struct owner_stream *client = h2_request(&pair.client, "POST", "/", false);
        owner_stream_send(client, text_bytes(&body), true, NULL);
        h2_pair_settle(&pair, 50000);
        assert_int_equal(h2_respond(codec_owner_stream(&pair.server, i), 200, "", true), OK);
        h2_pair_settle(&pair, 50000);
    }
    assert_int_equal(CONTAINER_OF(pair.server.codec, struct h2_codec, base)->trips.pings, 0);
    text_dispose(&body);
    h2_pair_dispose(&pair);
}

static void nothing_grows_while_memory_is_short(void **state) {
    (void)state;
    struct codec_limits limits = codec_owner_limits();
    struct text body = {0};
    struct h2_pair pair;
    h2_body_of(&body, LONG_BODY, 3);
    h2_pair_init(&pair, &limits, 1);
    h2_memory_set_short(pair.memory, true);
    struct owner_stream *reader = long_body(&pair, true, &body);
    for (unsigned trips = 0; reader->body.len < LONG_BODY / 2; trips++) {
        assert_true(trips < TRIPS_MAX);
        trip(&pair);
        assert_int_equal(reader->stream.window, limits.stream_window);
    }
    assert_true(h2_memory_windows_refused(pair.memory) > 0);
    // And it grows once there is plenty.
    h2_memory_set_short(pair.memory, false);
    uint32_t largest = 0;
    for (unsigned trips = 0; reader->stream.received < PROGRESS_ENDED; trips++) {
        assert_true(trips < TRIPS_MAX);
        largest = reader->stream.window;
        trip(&pair);
    }
    assert_true(largest > limits.stream_window);
    assert_true(bytes_equal(text_bytes(&reader->body), text_bytes(&body)));
    text_dispose(&body);
    h2_pair_dispose(&pair);
}

static unsigned pings_of(const struct codec_owner *owner) {
    return CONTAINER_OF(owner->codec, struct h2_codec, base)->trips.pings;
}

// What a gRPC server would take for an attack: PINGs while it sends nothing, or next to nothing.
static void a_slow_sender_is_hardly_asked(void **state) {
    (void)state;
    struct codec_limits limits = codec_owner_limits();
    struct h2_pair pair;
    struct text piece = {0};
    h2_body_of(&piece, 1000, 3);
    h2_pair_init(&pair, &limits, 1);
    struct owner_stream *client = h2_request(&pair.client, "GET", "/", true);
    trip(&pair);
    struct owner_stream *server = codec_owner_stream(&pair.server, 0);
    assert_int_equal(h2_respond(server, 200, "", false), OK);
    for (unsigned i = 0; i < 500; i++) {
        const unsigned before = pings_of(&pair.client);
        owner_stream_send(server, text_bytes(&piece), false, NULL);
        for (unsigned j = 0; j < 10; j++)
            slow_trip(&pair, 100 * NS_PER_MS);
        assert_in_range(pings_of(&pair.client) - before, 0, 1);
    }
    assert_int_equal(client->body.len, 500 * 1000);
    assert_in_range(pings_of(&pair.client), 1, 8);
    text_dispose(&piece);
    h2_pair_dispose(&pair);
}

// Watches that were sent a window's worth and then nothing, read by slow clients: what is consumed says nothing of when it came.
static void who_has_sent_nothing_since_is_not_asked_again(void **state) {
    (void)state;
    enum { STREAMS = 8 };
    struct codec_limits limits = codec_owner_limits();
    struct h2_pair pair;
    struct text piece = {0};
    h2_body_of(&piece, limits.stream_window - 1, 3);
    h2_pair_init(&pair, &limits, 1);
    pair.client.keep_body = true;
    struct owner_stream *readers[STREAMS];
    for (unsigned i = 0; i < STREAMS; i++) {
        readers[i] = h2_request(&pair.client, "GET", "/", true);
        trip(&pair);
        struct owner_stream *server = codec_owner_stream(&pair.server, i);
        assert_int_equal(h2_respond(server, 200, "", false), OK);
        owner_stream_send(server, text_bytes(&piece), false, NULL);
        trip(&pair);
        trip(&pair);
        assert_int_equal(readers[i]->body.len, piece.len);
    }
    for (unsigned i = 0; i < STREAMS; i++) {
        for (size_t left = readers[i]->unconsumed; left > 0; left -= left < 1000 ? left : 1000) {
            pair.client.codec->ops->consumed(pair.client.codec, &readers[i]->stream, left < 1000 ? left : 1000);
            trip(&pair);
            trip(&pair);
        }
        readers[i]->unconsumed = 0;
    }
    assert_int_equal(pings_of(&pair.client), 1);
    text_dispose(&piece);
    h2_pair_dispose(&pair);
}

// 32 MiB for all streams of a worker, whatever connections they are on.
static void sum_of_grown_windows_is_bounded(void **state) {
    (void)state;
    enum { STREAMS = 40 };
    struct codec_limits limits = codec_owner_limits();
    struct text body = {0};
    struct h2_pair pair;
    h2_body_of(&body, LONG_BODY, 3);
    h2_pair_init(&pair, &limits, 1);
    struct owner_stream *readers[STREAMS];
    for (unsigned i = 0; i < STREAMS; i++)
        owner_stream_send(h2_request(&pair.client, "POST", "/", false), text_bytes(&body), true, NULL);
    trip(&pair);
    for (unsigned i = 0; i < STREAMS; i++)
        readers[i] = codec_owner_stream(&pair.server, i);
    for (unsigned trips = 0; h2_memory_windows_refused(pair.memory) == 0; trips++) {
        assert_true(trips < TRIPS_MAX);
        trip(&pair);
        uint64_t sum = 0;
        for (unsigned i = 0; i < STREAMS; i++)
            sum += readers[i]->stream.window - limits.stream_window;
        assert_int_equal(h2_memory_windows_grown(pair.memory), sum);
        assert_true(sum <= H2_GROWN_BYTES_MAX);
    }
    assert_true(h2_memory_windows_grown(pair.memory) > H2_GROWN_BYTES_MAX / 2);
    text_dispose(&body);
    h2_pair_dispose(&pair);
}

// It must not be able to make trips look short, nor ones that are not there.
static void answers_to_pings_that_nobody_sent_are_nothing(void **state) {
    (void)state;
    struct codec_limits limits = codec_owner_limits();
    struct h2_pair pair;
    h2_pair_init(&pair, &limits, 1);
    h2_pair_settle(&pair, 50000);
    static const char answer[] = "\0\0\x08\x06\x01\0\0\0\0trip\0\0\0\0";
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(codec_owner_feed(&pair.server, bytes_from(answer, sizeof answer - 1)), OK);
    assert_int_equal(codec_owner_sent(&pair.server).len, 0);
    assert_int_equal(CONTAINER_OF(pair.server.codec, struct h2_codec, base)->trips.least, 0);
    h2_pair_dispose(&pair);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(window_grows_to_its_limit_while_it_is_filled_in_either_role),
        cmocka_unit_test(grown_window_is_what_the_sender_may_have_in_flight),
        cmocka_unit_test(queues_do_not_make_windows_grow),
        cmocka_unit_test(window_of_a_slow_reader_stays_small),
        cmocka_unit_test(short_bodies_are_not_measured),
        cmocka_unit_test(nothing_grows_while_memory_is_short),
        cmocka_unit_test(a_slow_sender_is_hardly_asked),
        cmocka_unit_test(who_has_sent_nothing_since_is_not_asked_again),
        cmocka_unit_test(sum_of_grown_windows_is_bounded),
        cmocka_unit_test(answers_to_pings_that_nobody_sent_are_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
