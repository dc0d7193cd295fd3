// What the fuzz targets of h2_codec share: the rules that everything received obeys, whatever was sent, and that streams are neither lost nor kept.
#ifndef TESTS_H2_FUZZ_H
#define TESTS_H2_FUZZ_H

#include "base/limits.h"
#include "h2_pair.h"

#include "http/canonical.h"

// Limits that inputs of some hundred bytes can exceed.
static inline struct codec_limits h2_fuzz_limits(bool small) {
    struct codec_limits limits = codec_owner_limits();
    if (small) {
        limits.headers = 5;
        limits.header_bytes = 500;
        limits.url_bytes = 40;
        limits.streams = 3;
        limits.stream_window_first = 60;
        limits.stream_window = 100;
        limits.stream_window_max = 400;
    }
    return limits;
}

static inline void h2_check_fields(const struct fields *fields, const struct codec_limits *limits) {
    CHECK(fields->bytes <= limits->header_bytes);
    uint32_t count = 0;
    FIELDS_EACH(fields, field) {
        CHECK(is_token(field->name));
        CHECK(is_field_value(field->value));
        for (size_t i = 0; i < field->name.len; i++)
            CHECK(field->name.at[i] == ascii_lower(field->name.at[i]));
        CHECK(field->id != FIELD_CONNECTION && field->id != FIELD_KEEP_ALIVE && field->id != FIELD_PROXY_CONNECTION && field->id != FIELD_TE);
        CHECK(field->id != FIELD_TRANSFER_ENCODING && field->id != FIELD_UPGRADE && field->id != FIELD_HOST && field->id != FIELD_CONTENT_LENGTH);
        count++;
    }
    CHECK(count <= limits->headers);
}

static inline void h2_check_message(const struct codec_owner *owner, const struct owner_stream *item) {
    const struct codec_limits *limits = &owner->codec->limits;
    const struct head *head = &item->stream.head;
    h2_check_fields(&head->fields, limits);
    h2_check_fields(&item->stream.trailers, limits);
    CHECK(fields_find(&head->fields, FIELD_COOKIE) == NULL || fields_find_next(&head->fields, fields_find(&head->fields, FIELD_COOKIE)) == NULL);
    CHECK(head->version == HTTP_2);
    // A response to HEAD, or one that has no body, may state a length all the same.
    bool bodiless = item->stream.method == METHOD_HEAD || head->status == 304 || head->status == 204;
    bool has_length = head->content_length >= 0 && item->ended && !(owner->codec->role == CODEC_CLIENT && bodiless);
    CHECK(!has_length || (uint64_t)head->content_length == item->body.len);
    if (owner->codec->role == CODEC_CLIENT) {
        CHECK(head->status >= 100 && head->status <= 599 && head->status != 101);
        return;
    }
    CHECK(authority_is_valid(head->authority));
    CHECK(head->path.len > 0 && head->path.len <= limits->url_bytes);
    CHECK(head->path.at[0] == '/' || (head->method == METHOD_OPTIONS && bytes_equal(head->path, BYTES("*"))));
    CHECK(bytes_find(head->path, '#') == head->path.len);
    CHECK(head->method != METHOD_CONNECT && head->method != METHOD_TRACE);
}

// What holds at any time between calls.
static inline void h2_check_owner(const struct codec_owner *owner) {
    uint32_t open = 0;
    for (const struct owner_stream *item = owner->streams; item != NULL; item = item->next) {
        open += item->stream.codec != NULL;
        if (item->stream.codec == NULL && item->stream.id != 0)
            CHECK(codec_stream_is_done(&item->stream) || owner->error != OK);
        // A head of 1xx is overwritten by the next, bit by bit.
        if (item->stream.received == PROGRESS_BODY || item->stream.received == PROGRESS_ENDED)
            h2_check_message(owner, item);
    }
    CHECK(open == owner->codec->streams_open);
    CHECK(owner->error == OK || owner->codec->close_when_flushed);
    CHECK(owner->error == OK || owner->codec->refuses_new);
}

// Answers, resets or consumes what there is, by chance.
static inline void h2_act(struct codec_owner *owner, struct rng *rng) {
    struct codec *codec = owner->codec;
    for (struct owner_stream *item = owner->streams; item != NULL; item = item->next) {
        if (item->stream.codec == NULL)
            continue;
        uint32_t choice = rng_below(rng, 16);
        bool end = (choice & 1) != 0;
        if (choice == 0)
            h2_reset(item, ERROR_INTERNAL);
        else if (codec->role == CODEC_SERVER && item->stream.sent == PROGRESS_HEAD && choice < 8 && (item->heads > 0 || item->has_failed))
            (void)h2_respond(item, choice == 2 ? 103 : 200, "X-Name: value \n", choice != 2 && end);
        else if (item->stream.sent == PROGRESS_BODY && !item->send_end)
            owner_stream_send(item, BYTES("some body, of a length that may go over a small window"), end, NULL);
        else
            owner_stream_resume(item);
    }
}

#endif
