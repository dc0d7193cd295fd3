// Drives an HTTP/2 codec of either role with frames made by hand, and says in words what it told its owner and what it sent.
#ifndef TESTS_H2_DRIVE_H
#define TESTS_H2_DRIVE_H

#include "base/check.h"
#include "http/h2_codec.h"
#include "http/h2_private.h"
#include "support/codec_owner.h"
#include "support/h2_frames.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

struct h2_drive {
    struct codec_owner owner;
    struct h2_memory *memory;
    nanoseconds now;
    struct h2_reader reader;
    struct text wire;     // what will be fed next
    struct text received; // transcript
};

static inline void h2_drive_init(struct h2_drive *drive, enum codec_role role, const struct codec_limits *limits) {
    *drive = (struct h2_drive){0};
    codec_owner_init(&drive->owner);
    drive->memory = h2_memory_create(&drive->now);
    h2_reader_init(&drive->reader);
    drive->owner.codec = h2_codec_create(role, limits, &codec_owner_handler, &drive->owner, &drive->owner.out, drive->memory);
}

static inline void h2_drive_dispose(struct h2_drive *drive) {
    codec_owner_dispose(&drive->owner);
    h2_memory_destroy(drive->memory);
    h2_reader_dispose(&drive->reader);
    text_dispose(&drive->wire);
    text_dispose(&drive->received);
}

static inline struct codec *h2_drive_codec(struct h2_drive *drive) {
    return drive->owner.codec;
}

// What the codec has sent since the last call.
static inline const char *h2_drive_sent(struct h2_drive *drive) {
    return h2_read(&drive->reader, codec_owner_sent(&drive->owner));
}

// Feeds `wire` and empties it.
static inline enum error h2_drive_feed(struct h2_drive *drive) {
    enum error error = drive->wire.len > 0 ? codec_owner_feed(&drive->owner, text_bytes(&drive->wire)) : OK;
    text_clear(&drive->wire);
    return error;
}

// What the owner was told so far.
static inline const char *h2_drive_received(struct h2_drive *drive) {
    codec_owner_transcript(&drive->owner, &drive->received);
    return drive->received.at == NULL ? "" : drive->received.at;
}

// Exchanges SETTINGS, so that only what the test is about is said from now on.
static inline void h2_drive_hello(struct h2_drive *drive) {
    h2_drive_sent(drive);
    h2_hello(&drive->wire, drive->owner.codec->role);
    enum error error = h2_drive_feed(drive);
    CHECK(error == OK);
    h2_drive_sent(drive);
}

static inline void h2_drive_start(struct h2_drive *drive, enum codec_role role) {
    struct codec_limits limits = codec_owner_limits();
    h2_drive_init(drive, role, &limits);
    h2_drive_hello(drive);
}

// A head with fields as "Name: value\n" each.
static inline void h2_head_fields(struct head *head, struct pool *pool, const char *lines) {
    struct bytes rest = bytes_from_text(lines);
    while (rest.len > 0) {
        size_t end = bytes_find(rest, '\n');
        size_t colon = bytes_find(rest, ':');
        CHECK(end < rest.len && colon + 2 <= end);
        struct bytes name = pool_copy(pool, bytes_from(rest.at, colon));
        struct bytes value = pool_copy(pool, bytes_from(rest.at + colon + 2, end - colon - 2));
        fields_add(&head->fields, name, value);
        rest = bytes_from(rest.at + end + 1, rest.len - end - 1);
    }
}

static inline enum error h2_respond(struct owner_stream *item, uint16_t status, const char *lines, bool end) {
    struct head head;
    head_init(&head, &item->pool);
    head.status = status;
    h2_head_fields(&head, &item->pool, lines);
    item->owner->sending = &item->stream;
    enum error error = item->owner->codec->ops->send_head(item->owner->codec, &item->stream, &head, end);
    item->owner->sending = NULL;
    return error;
}

static inline void h2_request_head(struct head *head, struct owner_stream *item, const char *method, const char *path, const char *lines) {
    head_init(head, &item->pool);
    head->method_text = bytes_from_text(method);
    head->method = method_from_text(head->method_text);
    head->scheme = BYTES("http");
    head->authority = BYTES("example.org");
    head->path = bytes_from_text(path);
    h2_head_fields(head, &item->pool, lines);
}

// A client's new stream, with its request's head sent.
static inline struct owner_stream *h2_request(struct codec_owner *owner, const char *method, const char *path, bool end) {
    struct owner_stream *item = codec_owner_new_stream(owner);
    struct head head;
    h2_request_head(&head, item, method, path, "");
    owner->sending = &item->stream;
    enum error error = owner->codec->ops->send_head(owner->codec, &item->stream, &head, end);
    owner->sending = NULL;
    CHECK(error == OK);
    return item;
}

static inline void h2_reset(struct owner_stream *item, enum error error) {
    item->owner->codec->ops->reset(item->owner->codec, &item->stream, error);
}

// Of each test its own.
static inline int h2_set_up_as(void **state, enum codec_role role) {
    struct h2_drive *drive = test_malloc(sizeof(*drive));
    h2_drive_start(drive, role);
    *state = drive;
    return 0;
}

static inline int h2_set_up_server(void **state) {
    return h2_set_up_as(state, CODEC_SERVER);
}

static inline int h2_set_up_client(void **state) {
    return h2_set_up_as(state, CODEC_CLIENT);
}

static inline int h2_tear_down(void **state) {
    h2_drive_dispose(*state);
    test_free(*state);
    return 0;
}

#endif
