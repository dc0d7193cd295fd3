// What the connections of a worker's clients look like from outside, one after the other: for who asks for a list of them.
#ifndef DOWNSTREAM_CLIENT_VIEW_H
#define DOWNSTREAM_CLIENT_VIEW_H

#include "downstream/downstream.h"

// Of one moment; what it points to is the connection's, and may be gone after the turn.
struct client_view {
    uint64_t number; // from 1, in the order in which they were accepted
    struct bytes listener;
    const union address *address;
    const struct spiffe_id *identity; // NULL: none was shown
    struct bytes alpn;                // empty: none
    struct bytes protocol;            // empty: not known yet
    struct bytes state;
    nanoseconds opened_at;
    uint32_t streams;
    uint64_t bytes_in, bytes_out; // inside TLS
    bool secure;
};

// The open connections with a lower number than `before`, the newest first, until `visit` returns false.
void downstream_view(const struct downstream *downstream, uint64_t before, bool (*visit)(void *user, const struct client_view *view), void *user);

#endif
