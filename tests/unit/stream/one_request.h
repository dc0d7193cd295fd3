// A proxy in memory with one request that has begun.
#ifndef TESTS_STREAM_ONE_REQUEST_H
#define TESTS_STREAM_ONE_REQUEST_H

#include "unit/stream/stream_drive.h"

static inline void begin(struct loopback *world, struct client *client, const char *documents, const char *request) {
    loopback_init(world, documents, NULL);
    client_get(client, world, request);
    loopback_settle(world);
}

static inline void end(struct loopback *world, struct client *client) {
    client_dispose(client);
    loopback_dispose(world);
}

#endif
