// Frames on streams that are over: HEADERS where the client itself had ended the stream, or had passed it over, end the connection; where we had reset it they may
// have been under way and are skipped (RFC 9113 sections 5.1 and 5.1.1).
#include "h2_drive.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define POST_LINES ":method: POST\n:scheme: http\n:authority: example.org\n:path: /\n"
#define TRAILERS "checksum: 1\n"

static void assert_connection_error(struct h2_drive *drive) {
    assert_int_equal(h2_drive_feed(drive), ERROR_PROTOCOL);
    assert_non_null(strstr(h2_drive_sent(drive), " PROTOCOL_ERROR\n"));
    drive->owner.error = OK;
}

static void a_second_head_on_an_answered_stream_ends_the_connection(void **state) {
    struct h2_drive *drive = *state;
    h2_get(&drive->wire, 1, "/");
    assert_int_equal(h2_drive_feed(drive), OK);
    assert_int_equal(h2_respond(codec_owner_stream(&drive->owner, 0), 200, "", true), OK);
    h2_get(&drive->wire, 1, "/");
    assert_connection_error(drive);
}

static void a_head_on_a_stream_that_the_client_reset_ends_the_connection(void **state) {
    struct h2_drive *drive = *state;
    h2_headers(&drive->wire, 1, 0, POST_LINES);
    h2_rst_stream(&drive->wire, 1, NGHTTP2_CANCEL);
    assert_int_equal(h2_drive_feed(drive), OK);
    h2_headers(&drive->wire, 1, H2_END_STREAM, TRAILERS);
    assert_connection_error(drive);
}

static void a_stream_number_below_the_last_ends_the_connection(void **state) {
    struct h2_drive *drive = *state;
    h2_get(&drive->wire, 5, "/");
    h2_get(&drive->wire, 3, "/");
    assert_connection_error(drive);
    assert_int_equal(drive->owner.count, 1);
}

static void trailers_that_cross_our_reset_are_skipped(void **state) {
    struct h2_drive *drive = *state;
    h2_headers(&drive->wire, 1, 0, POST_LINES);
    assert_int_equal(h2_drive_feed(drive), OK);
    h2_reset(codec_owner_stream(&drive->owner, 0), ERROR_CANCELLED);
    h2_drive_sent(drive);
    h2_headers(&drive->wire, 1, H2_END_STREAM, TRAILERS);
    h2_get(&drive->wire, 3, "/");
    assert_int_equal(h2_drive_feed(drive), OK);
    assert_int_equal(drive->owner.count, 2);
}

static void trailers_that_cross_an_early_answer_are_skipped(void **state) {
    struct h2_drive *drive = *state;
    h2_headers(&drive->wire, 1, 0, POST_LINES);
    assert_int_equal(h2_drive_feed(drive), OK);
    assert_int_equal(h2_respond(codec_owner_stream(&drive->owner, 0), 413, "", true), OK);
    h2_drive_sent(drive);
    h2_headers(&drive->wire, 1, H2_END_STREAM, TRAILERS);
    assert_int_equal(h2_drive_feed(drive), OK);
}

static void trailers_of_a_refused_stream_are_skipped(void **state) {
    struct h2_drive *drive = *state;
    struct codec_limits limits = codec_owner_limits();
    limits.streams = 1;
    h2_drive_dispose(drive);
    h2_drive_init(drive, CODEC_SERVER, &limits);
    h2_drive_sent(drive);
    h2_preface(&drive->wire);
    h2_settings(&drive->wire, 0); // ours is not acknowledged: one too many is refused, and no more
    h2_get(&drive->wire, 1, "/");
    h2_headers(&drive->wire, 3, 0, POST_LINES);
    h2_headers(&drive->wire, 3, H2_END_STREAM, TRAILERS);
    assert_int_equal(h2_drive_feed(drive), OK);
    assert_non_null(strstr(h2_drive_sent(drive), "RST_STREAM 3 REFUSED_STREAM\n"));
}

// However many were reset, those of which we no longer know are all taken for reset by us.
static void trailers_that_cross_one_of_many_resets_are_skipped(void **state) {
    struct h2_drive *drive = *state;
    const uint32_t count = 3 * H2_OWN_RESETS_KEPT;
    for (uint32_t i = 0; i < count; i++)
        h2_headers(&drive->wire, 2 * i + 1, 0, POST_LINES);
    assert_int_equal(h2_drive_feed(drive), OK);
    for (uint32_t i = count; i-- > 0;)
        h2_reset(codec_owner_stream(&drive->owner, i), ERROR_CANCELLED);
    h2_drive_sent(drive);
    for (uint32_t i = 0; i < count; i++)
        h2_headers(&drive->wire, 2 * i + 1, H2_END_STREAM, TRAILERS);
    assert_int_equal(h2_drive_feed(drive), OK);
}

static void heads_that_cross_our_goaway_are_skipped(void **state) {
    struct h2_drive *drive = *state;
    struct codec *codec = h2_drive_codec(drive);
    h2_headers(&drive->wire, 1, 0, POST_LINES);
    assert_int_equal(h2_drive_feed(drive), OK);
    codec->ops->signal(codec, CODEC_DRAIN_FINAL);
    h2_drive_sent(drive);
    h2_headers(&drive->wire, 3, 0, POST_LINES);
    h2_headers(&drive->wire, 3, H2_END_STREAM, TRAILERS);
    assert_int_equal(h2_drive_feed(drive), OK);
    assert_int_equal(drive->owner.count, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_second_head_on_an_answered_stream_ends_the_connection, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(a_head_on_a_stream_that_the_client_reset_ends_the_connection, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(a_stream_number_below_the_last_ends_the_connection, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(trailers_that_cross_our_reset_are_skipped, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(trailers_that_cross_an_early_answer_are_skipped, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(trailers_of_a_refused_stream_are_skipped, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(trailers_that_cross_one_of_many_resets_are_skipped, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(heads_that_cross_our_goaway_are_skipped, h2_set_up_server, h2_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
