// The world of an inbound listener in which servers answer by themselves: the application with 200, and another one, which a filter asks, as the test says. For filters that make subrequests.
#ifndef SUPPORT_SERVING_WORLD_H
#define SUPPORT_SERVING_WORLD_H

#include "support/loopback_stream.h"

struct world {
    struct loopback loopback;
    unsigned asked;       // requests that the application has got
    struct text got;      // the last of them, as codec_owner_transcript says it
    uint16_t other;       // the port of the other server
    unsigned questions;   // that it has got
    struct text question; // the last of them
    unsigned status;      // it answers with this; 0: not at all
    const char *fields;   // and these
    const char *answer;   // and this; NULL: not yet
};

// `other` answers 200, once it has an answer.
void world_init(struct world *world, const char *documents, const struct filter_type *const *filters, uint16_t other);
void world_dispose(struct world *world);

// The servers go on with what has come before there was an answer. Settles.
void world_go_on(struct world *world);

// A request without a body, of `who`, which outlives it. Settles.
void world_begin(struct client *client, struct world *world, const struct stream_client *who, const char *request);

// The same to its end: its status. Aborts unless the application has got it exactly where that is 200.
unsigned world_ask(struct world *world, const struct stream_client *who, const char *request);

#endif
