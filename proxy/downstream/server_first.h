// Destinations whose server was seen to speak first: a client of theirs waits for a greeting, and is not waited for again. One table per worker, of a fixed size.
#ifndef DOWNSTREAM_SERVER_FIRST_H
#define DOWNSTREAM_SERVER_FIRST_H

#include "base/clock.h"
#include "net/transport.h"

#include <stdbool.h>

// More destinations than a host of such protocols has; each takes about 50 bytes. Two that share a place take it from each other.
#define SERVER_FIRST_PLACES 256

struct server_first {
    struct {
        uint64_t listener; // of its name
        union address destination;
        nanoseconds until; // 0: the place is free
    } places[SERVER_FIRST_PLACES];
};

// All zero is the initial state. `destination`: all zero where the listener has one alone. What was seen holds for ten minutes: a server may change what it is.
bool server_first_knows(const struct server_first *table, struct bytes listener, const union address *destination, nanoseconds now);
void server_first_note(struct server_first *table, struct bytes listener, const union address *destination, nanoseconds now);
void server_first_forget(struct server_first *table, struct bytes listener, const union address *destination);

#endif
