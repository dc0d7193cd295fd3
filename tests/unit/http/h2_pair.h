// A client codec and a server codec, wired to each other through bytes in flight that are delivered in pieces from a seed; for tests and fuzz targets.
#ifndef TESTS_H2_PAIR_H
#define TESTS_H2_PAIR_H

#include "base/check.h"
#include "base/rng.h"
#include "h2_drive.h"

// Where no time passes.
static const nanoseconds no_time = 0;

struct h2_pair {
    struct codec_owner client;
    struct codec_owner server;
    struct h2_memory *memory;
    struct text to_server; // in flight
    struct text to_client;
    struct rng rng;
    nanoseconds now;
};

static inline void h2_pair_init(struct h2_pair *pair, const struct codec_limits *limits, uint64_t seed) {
    *pair = (struct h2_pair){0};
    rng_init(&pair->rng, seed);
    pair->memory = h2_memory_create(&pair->now);
    codec_owner_init(&pair->client);
    codec_owner_init(&pair->server);
    pair->client.codec = h2_codec_create(CODEC_CLIENT, limits, &codec_owner_handler, &pair->client, &pair->client.out, pair->memory);
    pair->server.codec = h2_codec_create(CODEC_SERVER, limits, &codec_owner_handler, &pair->server, &pair->server.out, pair->memory);
}

static inline void h2_pair_dispose(struct h2_pair *pair) {
    codec_owner_dispose(&pair->client);
    codec_owner_dispose(&pair->server);
    h2_memory_destroy(pair->memory);
    text_dispose(&pair->to_server);
    text_dispose(&pair->to_client);
}

// Delivers up to `max` bytes of what is in flight. False when there was none.
static inline bool h2_deliver(struct text *flight, struct codec_owner *to, size_t max) {
    size_t length = flight->len < max ? flight->len : max;
    if (length == 0)
        return false;
    (void)codec_owner_feed(to, bytes_from(flight->at, length));
    flight->len -= length;
    memmove(flight->at, flight->at + length, flight->len);
    return true;
}

// Both produce, and some of what is in flight arrives. False when nothing moves any more.
static inline bool h2_pair_step(struct h2_pair *pair, size_t max) {
    text_add(&pair->to_server, codec_owner_sent(&pair->client));
    text_add(&pair->to_client, codec_owner_sent(&pair->server));
    bool moved = h2_deliver(&pair->to_server, &pair->server, 1 + rng_below(&pair->rng, (uint32_t)max));
    return h2_deliver(&pair->to_client, &pair->client, 1 + rng_below(&pair->rng, (uint32_t)max)) || moved;
}

static inline void h2_resume_all(struct codec_owner *owner) {
    for (struct owner_stream *item = owner->streams; item != NULL; item = item->next)
        owner_stream_resume(item);
}

// Until nothing moves.
static inline void h2_pair_settle(struct h2_pair *pair, size_t max) {
    do {
        h2_resume_all(&pair->client);
        h2_resume_all(&pair->server);
    } while (h2_pair_step(pair, max));
}

// Bytes of a body, told apart by `salt`.
static inline struct bytes h2_body_of(struct text *to, size_t length, unsigned salt) {
    text_clear(to);
    char piece[1000];
    for (size_t at = 0; at < length; at += sizeof(piece)) {
        for (size_t i = 0; i < sizeof(piece); i++)
            piece[i] = (char)((at + i) * 131 / 7 + salt * 17);
        text_add(to, bytes_from(piece, length - at < sizeof(piece) ? length - at : sizeof(piece)));
    }
    return text_bytes(to);
}

#endif
