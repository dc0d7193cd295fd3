// What the fuzz targets of h1_codec share: the rules that everything received obeys, and sending on what was received, as a proxy does.
#ifndef TESTS_H1_FUZZ_H
#define TESTS_H1_FUZZ_H

#include "h1_drive.h"

// Limits that inputs of some hundred bytes can exceed.
static inline struct codec_limits fuzz_limits(bool small) {
    struct codec_limits limits = codec_owner_limits();
    if (small) {
        limits.headers = 5;
        limits.header_bytes = 400;
        limits.url_bytes = 40;
    }
    return limits;
}

static inline bool is_of_connection(enum field_id id) {
    return id == FIELD_CONNECTION || id == FIELD_KEEP_ALIVE || id == FIELD_PROXY_CONNECTION || id == FIELD_TE || id == FIELD_TRANSFER_ENCODING ||
           id == FIELD_UPGRADE || id == FIELD_EXPECT;
}

static inline void check_fields(const struct fields *fields, const struct codec_limits *limits) {
    CHECK(fields->count <= limits->headers);
    CHECK(fields->bytes + 32 * fields->count <= limits->header_bytes);
    FIELDS_EACH(fields, field) {
        CHECK(is_token(field->name));
        CHECK(is_field_value(field->value));
        CHECK(!is_of_connection(field->id));
    }
}

// A head without fields that are written from other members, with the body and the trailers: what must come out at the other end as it went in.
static inline void describe_message(struct text *to, const struct owner_stream *item) {
    const struct head *head = &item->stream.head;
    FIELDS_EACH(&head->fields, field) {
        if (field->id != FIELD_HOST && field->id != FIELD_CONTENT_LENGTH)
            text_format(to, "%.*s: %.*s\n", BYTES_FORMAT(field->name), BYTES_FORMAT(field->value));
    }
    text_format(to, "body %zu\n", item->body.len);
    text_add(to, text_bytes(&item->body));
    FIELDS_EACH(&item->stream.trailers, field) {
        text_format(to, "%.*s: %.*s\n", BYTES_FORMAT(field->name), BYTES_FORMAT(field->value));
    }
}

// Sends on `stream` what was received as `item`.
static inline void pass_on(struct codec *codec, struct owner_stream *stream, const struct owner_stream *item) {
    bool end = item->body.len == 0 && item->stream.trailers.count == 0;
    // A length that describes a body which is not there is right for responses only, which the codec knows.
    enum error error = codec->ops->send_head(codec, &stream->stream, &item->stream.head, end);
    CHECK(error == OK);
    if (!end)
        owner_stream_send(stream, text_bytes(&item->body), true, &item->stream.trailers);
}

// Moves what one end has written to the other until nothing is left.
static inline void carry(struct h1_drive *from, struct owner_stream *sender, struct h1_drive *to) {
    for (;;) {
        struct bytes written = codec_owner_sent(&from->owner);
        if (written.len > 0)
            h1_feed(to, written);
        else if (owner_stream_resume(sender))
            return;
    }
}

// One request out of these words can be refused for several reasons at once, and which is found first depends on how it is cut.
static inline bool is_of_the_head(enum error error) {
    return error == ERROR_BAD_REQUEST || error == ERROR_HEADERS_TOO_LARGE || error == ERROR_URI_TOO_LONG || error == ERROR_FRAMING_INVALID ||
           error == ERROR_VERSION_UNSUPPORTED || error == ERROR_METHOD_UNKNOWN;
}

// What an owner may do at any moment between feeds: answer early, give up, ask for an end.
static inline void act_at_random(struct h1_drive *drive) {
    struct codec *codec = drive->owner.codec;
    struct owner_stream *item = drive->owner.last;
    bool attached = item != NULL && item->stream.codec != NULL;
    switch (rng_below(&drive->rng, 24)) {
    case 0:
        codec->ops->signal(codec, CODEC_DRAIN);
        break;
    case 1:
        if (attached)
            codec->ops->reset(codec, &item->stream, ERROR_CANCELLED);
        break;
    case 2:
        if (attached && codec->role == CODEC_SERVER && item->stream.sent == PROGRESS_HEAD)
            h1_reply(item);
        break;
    case 3:
        h1_feed_end(drive);
        break;
    default:
        break;
    }
}

// The contract of the codec holds whatever its owner does (codec_owner checks it), and nothing is left behind.
static inline void run_at_random(enum codec_role role, struct bytes in, uint64_t seed) {
    struct codec_limits limits = codec_owner_limits();
    struct h1_drive drive;
    h1_drive_init(&drive, role, &limits);
    drive.split = SPLIT_WHOLE;
    rng_init(&drive.rng, seed);
    if (role == CODEC_CLIENT)
        h1_request(&drive);
    while (in.len > 0) {
        size_t length = 1 + rng_below(&drive.rng, in.len < 20 ? (uint32_t)in.len : 20);
        h1_feed(&drive, bytes_from(in.at, length));
        act_at_random(&drive);
        in.at += length;
        in.len -= length;
    }
    h1_drive_dispose(&drive);
}

static inline void check_same(struct h1_drive *whole, struct h1_drive *split) {
    h1_drive_collect(whole);
    h1_drive_collect(split);
    CHECK(whole->owner.error == split->owner.error);
    CHECK(whole->owner.codec->close_when_flushed == split->owner.codec->close_when_flushed);
    CHECK(whole->owner.codec->refuses_new == split->owner.codec->refuses_new);
    CHECK(bytes_equal(text_bytes(&whole->sent), text_bytes(&split->sent)));
    const struct owner_stream *last = whole->owner.last;
    if (last != NULL && is_of_the_head(last->failed)) {
        CHECK(is_of_the_head(split->owner.last->failed));
        return;
    }
    CHECK(bytes_equal(text_bytes(&whole->received), text_bytes(&split->received)));
}

#endif
