// Bytes with no framing in both roles, and the announcement of outrigger-tcp/1 however it is cut.
#include "http/raw_codec.h"

#include "base/limits.h"
#include "support/codec_owner.h"

#include <stdlib.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void init(struct codec_owner *owner, enum codec_role role, enum raw_form form) {
    codec_owner_init(owner);
    owner->codec = raw_codec_create(role, form, &codec_owner_handler, owner, &owner->out);
}

static struct owner_stream *begin_server(struct codec_owner *owner, enum raw_form form) {
    init(owner, CODEC_SERVER, form);
    owner->feeding = true; // it may tell of the stream now
    raw_codec_begin(owner->codec, BYTES("db.example"));
    owner->feeding = false;
    return codec_owner_stream(owner, 0);
}

static struct owner_stream *begin_client(struct codec_owner *owner, enum raw_form form) {
    init(owner, CODEC_CLIENT, form);
    struct owner_stream *item = codec_owner_new_stream(owner);
    owner->sending = &item->stream;
    assert_int_equal(owner->codec->ops->send_head(owner->codec, &item->stream, &(struct head){.opaque = true}, false), OK);
    owner->sending = NULL;
    return item;
}

static enum error answer(struct codec_owner *owner, struct owner_stream *item, const char *refusal) {
    struct head head;
    head_init(&head, &item->pool);
    head.status = refusal == NULL ? 200 : 503;
    if (refusal != NULL)
        fields_add_known(&head.fields, FIELD_OUTRIGGER_REFUSED, bytes_from_text(refusal));
    return owner->codec->ops->send_head(owner->codec, &item->stream, &head, refusal != NULL);
}

static void assert_sent(struct codec_owner *owner, struct bytes expected) {
    struct bytes sent = codec_owner_sent(owner);
    assert_int_equal(sent.len, expected.len);
    assert_memory_equal(sent.at, expected.at, expected.len);
}

static void a_server_has_its_stream_before_any_byte(void **state) {
    (void)state;
    struct codec_owner owner;
    struct owner_stream *item = begin_server(&owner, RAW_PLAIN);
    assert_int_equal(item->heads, 1);
    assert_true(item->stream.head.opaque);
    assert_true(bytes_equal(item->stream.head.authority, BYTES("db.example")));
    assert_int_equal(answer(&owner, item, NULL), OK);
    assert_sent(&owner, BYTES(""));
    owner_stream_send(item, BYTES("220 hello"), false, NULL);
    assert_sent(&owner, BYTES("220 hello"));
    assert_int_equal(codec_owner_feed(&owner, BYTES("\0HELO")), OK);
    assert_true(bytes_equal(text_bytes(&item->body), BYTES("\0HELO")));
    codec_owner_dispose(&owner);
}

static void each_side_ends_on_its_own(void **state) {
    (void)state;
    for (int first = 0; first < 2; first++) {
        struct codec_owner owner;
        struct owner_stream *item = begin_server(&owner, RAW_PLAIN);
        assert_int_equal(answer(&owner, item, NULL), OK);
        for (int step = 0; step < 2; step++) {
            assert_false(owner.codec->close_when_flushed);
            if (step == first) {
                assert_int_equal(codec_owner_feed_end(&owner), OK);
                assert_true(item->ended);
            } else {
                owner_stream_send(item, BYTES("bye"), true, NULL);
                assert_true(owner.codec->ends_output);
            }
        }
        assert_null(item->stream.codec);
        assert_true(owner.codec->close_when_flushed && !owner.codec->breaks_off);
        assert_sent(&owner, BYTES("bye"));
        codec_owner_dispose(&owner);
    }
}

static void a_client_is_answered_at_once_and_only_once(void **state) {
    (void)state;
    struct codec_owner owner;
    struct owner_stream *item = begin_client(&owner, RAW_PLAIN);
    assert_int_equal(item->heads, 1);
    assert_int_equal(item->stream.head.status, 200);
    assert_int_equal(codec_owner_feed(&owner, BYTES("\5hello")), OK);
    assert_true(bytes_equal(text_bytes(&item->body), BYTES("\5hello")));
    struct owner_stream *second = codec_owner_new_stream(&owner);
    assert_int_equal(owner.codec->ops->send_head(owner.codec, &second->stream, &(struct head){0}, false), ERROR_FULL);
    assert_true(owner.codec->refuses_new);
    codec_owner_dispose(&owner);
}

static void an_announcement_may_come_in_any_pieces(void **state) {
    (void)state;
    for (size_t cut = 1; cut <= 8; cut++) {
        struct codec_owner owner;
        struct owner_stream *item = begin_client(&owner, RAW_ANNOUNCED);
        assert_int_equal(item->heads, 0);
        owner_stream_send(item, BYTES("early"), false, NULL);
        assert_sent(&owner, BYTES("early"));
        assert_int_equal(codec_owner_feed_split(&owner, BYTES("\0welcome"), cut, NULL), OK);
        assert_int_equal(item->heads, 1);
        assert_int_equal(item->stream.head.status, 200);
        assert_true(bytes_equal(text_bytes(&item->body), BYTES("welcome")));
        codec_owner_dispose(&owner);
    }
}

static void a_refusal_is_told_by_its_name(void **state) {
    (void)state;
    struct codec_owner server;
    struct owner_stream *refused = begin_server(&server, RAW_ANNOUNCED);
    assert_int_equal(answer(&server, refused, "connect_refused"), OK);
    assert_true(server.codec->ends_output);
    struct bytes said = codec_owner_sent(&server);
    assert_true(bytes_equal(said, BYTES("\x0f"
                                        "connect_refused")));
    for (size_t cut = 1; cut <= said.len; cut++) {
        struct codec_owner owner;
        struct owner_stream *item = begin_client(&owner, RAW_ANNOUNCED);
        assert_int_equal(codec_owner_feed_split(&owner, said, cut, NULL), OK);
        assert_true(item->ended);
        const struct field *field = fields_find(&item->stream.head.fields, FIELD_OUTRIGGER_REFUSED);
        assert_non_null(field);
        assert_true(bytes_equal(field->value, BYTES("connect_refused")));
        assert_int_equal(codec_owner_feed(&owner, BYTES("what nobody waits for")), OK);
        codec_owner_dispose(&owner);
    }
    codec_owner_dispose(&server);
}

static void an_announcement_that_is_none_breaks_the_connection(void **state) {
    (void)state;
    struct codec_owner owner;
    (void)begin_client(&owner, RAW_ANNOUNCED);
    assert_int_equal(codec_owner_feed(&owner, BYTES("HTTP/1.1 400")), ERROR_PROTOCOL);
    codec_owner_dispose(&owner);
}

static void an_end_before_the_announcement_fails_the_stream(void **state) {
    (void)state;
    struct codec_owner owner;
    struct owner_stream *item = begin_client(&owner, RAW_ANNOUNCED);
    assert_int_equal(codec_owner_feed_end(&owner), OK);
    assert_true(item->has_failed);
    assert_int_equal(item->failed, ERROR_UPSTREAM_RESET);
    codec_owner_dispose(&owner);
}

static void output_is_bounded(void **state) {
    (void)state;
    struct codec_owner owner;
    struct owner_stream *item = begin_client(&owner, RAW_PLAIN);
    char *much = calloc(1, 3 * LIMIT_OUTPUT_BYTES);
    owner_stream_send(item, bytes_from(much, 3 * LIMIT_OUTPUT_BYTES), true, NULL);
    assert_int_equal(owner.out.length, LIMIT_OUTPUT_BYTES);
    assert_false(owner.codec->ends_output);
    size_t sent = 0;
    do
        sent += codec_owner_sent(&owner).len;
    while (!owner_stream_resume(item));
    sent += codec_owner_sent(&owner).len;
    assert_int_equal(sent, 3 * LIMIT_OUTPUT_BYTES);
    assert_true(owner.codec->ends_output);
    free(much);
    codec_owner_dispose(&owner);
}

static void a_stream_that_is_cut_breaks_its_connection(void **state) {
    (void)state;
    struct codec_owner owner;
    struct owner_stream *item = begin_server(&owner, RAW_PLAIN);
    owner.codec->ops->reset(owner.codec, &item->stream, ERROR_CONNECT_REFUSED);
    assert_true(owner.codec->breaks_off && owner.codec->close_when_flushed);
    assert_int_equal(codec_owner_feed(&owner, BYTES("more")), OK);
    assert_int_equal(item->body.len, 0);
    codec_owner_dispose(&owner);
}

// RFC 8446 section 6, RFC 6066 section 3.
static void a_tls_client_is_told_by_an_alert_that_nobody_has_the_name(void **state) {
    (void)state;
    static const enum error told[] = {ERROR_HOST_UNKNOWN, ERROR_ROUTE_NOT_FOUND};
    for (size_t i = 0; i < 2; i++) {
        struct codec_owner owner;
        struct owner_stream *item = begin_server(&owner, RAW_TLS);
        owner.codec->ops->reset(owner.codec, &item->stream, told[i]);
        assert_sent(&owner, bytes_from("\x15\x03\x03\0\x02\x02\x70", 7));
        assert_true(owner.codec->close_when_flushed && !owner.codec->breaks_off);
        codec_owner_dispose(&owner);
    }
}

static void an_alert_has_no_place_in_another_servers_answer(void **state) {
    (void)state;
    static const struct {
        enum raw_form form;
        enum error error;
        bool is_answered;
    } cases[] = {{RAW_TLS, ERROR_NO_ENDPOINT, false}, {RAW_PLAIN, ERROR_ROUTE_NOT_FOUND, false}, {RAW_TLS, ERROR_ROUTE_NOT_FOUND, true}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct codec_owner owner;
        struct owner_stream *item = begin_server(&owner, cases[i].form);
        if (cases[i].is_answered)
            assert_int_equal(answer(&owner, item, NULL), OK);
        owner.codec->ops->reset(owner.codec, &item->stream, cases[i].error);
        assert_sent(&owner, BYTES(""));
        assert_true(owner.codec->breaks_off);
        codec_owner_dispose(&owner);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_has_its_stream_before_any_byte),
        cmocka_unit_test(each_side_ends_on_its_own),
        cmocka_unit_test(a_client_is_answered_at_once_and_only_once),
        cmocka_unit_test(an_announcement_may_come_in_any_pieces),
        cmocka_unit_test(a_refusal_is_told_by_its_name),
        cmocka_unit_test(an_announcement_that_is_none_breaks_the_connection),
        cmocka_unit_test(an_end_before_the_announcement_fails_the_stream),
        cmocka_unit_test(output_is_bounded),
        cmocka_unit_test(a_stream_that_is_cut_breaks_its_connection),
        cmocka_unit_test(a_tls_client_is_told_by_an_alert_that_nobody_has_the_name),
        cmocka_unit_test(an_alert_has_no_place_in_another_servers_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
