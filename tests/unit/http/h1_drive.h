// Drives an HTTP/1 codec with bytes, whole or split, and writes down what came of it, for tests and fuzz targets of h1_codec.
#ifndef TESTS_H1_DRIVE_H
#define TESTS_H1_DRIVE_H

#include "base/check.h"
#include "base/rng.h"
#include "http/h1_codec.h"
#include "support/codec_owner.h"

#include <stdlib.h>

// How the input is cut into feeds.
enum h1_split { SPLIT_WHOLE, SPLIT_BYTES, SPLIT_RANDOM };

struct h1_drive {
    struct codec_owner owner;
    struct text received; // transcript
    struct text sent;     // all output
    struct rng rng;
    enum h1_split split;
    enum http_method method; // client: of each request sent
    bool switches;           // client: requests ask for WebSocket. Server: who asks for it gets it
    bool is_eof_fed;
};

static inline void h1_drive_init(struct h1_drive *drive, enum codec_role role, const struct codec_limits *limits) {
    *drive = (struct h1_drive){.method = METHOD_GET};
    codec_owner_init(&drive->owner);
    drive->owner.codec = h1_codec_create(role, limits, &codec_owner_handler, &drive->owner, &drive->owner.out);
}

static inline void h1_drive_dispose(struct h1_drive *drive) {
    codec_owner_dispose(&drive->owner);
    text_dispose(&drive->received);
    text_dispose(&drive->sent);
}

static inline void h1_drive_collect(struct h1_drive *drive) {
    text_add(&drive->sent, codec_owner_sent(&drive->owner));
    codec_owner_transcript(&drive->owner, &drive->received);
}

// Answers a request that is complete, or broken, with a short response: 200, or 400.
static inline void h1_reply(struct owner_stream *item) {
    struct codec_stream *stream = &item->stream;
    struct head head;
    head_init(&head, stream->pool);
    head.status = item->has_failed ? 400 : 200;
    head.content_length = 2;
    enum error error = stream->codec->ops->send_head(stream->codec, stream, &head, false);
    CHECK(error == OK);
    owner_stream_send(item, BYTES("ok"), true, NULL);
}

// The connection is a tunnel from here on; what comes through it is recorded as body.
static inline void h1_switch(struct owner_stream *item) {
    struct codec_stream *stream = &item->stream;
    struct head head;
    head_init(&head, stream->pool);
    head.status = 101;
    enum error error = stream->codec->ops->send_head(stream->codec, stream, &head, false);
    CHECK(error == OK);
    owner_stream_send(item, BYTES("hello"), false, NULL);
}

static inline bool h1_asks_to_switch(const struct owner_stream *item) {
    const struct codec_stream *stream = &item->stream;
    return stream->codec != NULL && stream->sent == PROGRESS_HEAD && !item->has_failed && stream->head.protocol.len > 0;
}

static inline bool h1_reply_where_due(struct h1_drive *drive) {
    bool replied = false;
    for (struct owner_stream *item = drive->owner.streams; item != NULL; item = item->next) {
        if (drive->switches && h1_asks_to_switch(item)) {
            h1_switch(item);
            replied = true;
            continue;
        }
        bool due = item->stream.codec != NULL && item->stream.sent == PROGRESS_HEAD && item->stream.received >= PROGRESS_ENDED;
        if (due)
            h1_reply(item);
        replied = replied || due;
    }
    return replied;
}

static inline void h1_request(struct h1_drive *drive) {
    struct owner_stream *item = codec_owner_new_stream(&drive->owner);
    struct head head;
    head_init(&head, &item->pool);
    head.method = drive->method;
    head.authority = BYTES("upstream");
    head.path = BYTES("/");
    head.protocol = drive->switches ? PROTOCOL_WEBSOCKET : BYTES_NONE;
    enum error error = drive->owner.codec->ops->send_head(drive->owner.codec, &item->stream, &head, !drive->switches);
    CHECK(error == OK);
}

// What an owner does between feeds: replies to requests, sends the next request where it may.
static inline void h1_react(struct h1_drive *drive) {
    struct codec *codec = drive->owner.codec;
    if (codec->role == CODEC_SERVER) {
        while (h1_reply_where_due(drive))
            drive->owner.error = drive->owner.error != OK ? drive->owner.error : codec_owner_resume(&drive->owner);
    }
    // A stream that is done has been forgotten.
    for (struct owner_stream *item = drive->owner.streams; item != NULL; item = item->next)
        CHECK(!codec_stream_is_done(&item->stream) || item->stream.codec == NULL);
}

static inline void h1_feed(struct h1_drive *drive, struct bytes in) {
    while (in.len > 0 && drive->owner.error == OK) {
        size_t length = in.len;
        if (drive->split == SPLIT_BYTES)
            length = 1;
        else if (drive->split == SPLIT_RANDOM)
            length = 1 + rng_below(&drive->rng, in.len < 40 ? (uint32_t)in.len : 40);
        (void)!codec_owner_feed(&drive->owner, bytes_from(in.at, length));
        h1_react(drive);
        in.at += length;
        in.len -= length;
    }
}

static inline void h1_feed_end(struct h1_drive *drive) {
    (void)!codec_owner_feed_end(&drive->owner);
    h1_react(drive);
}

#endif
