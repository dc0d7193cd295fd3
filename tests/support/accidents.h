// Streams are cut at every boundary of their lives, from a seed: a client goes, its connection breaks, a server resets or closes or answers early, time runs out, the documents change,
// the worker drains, between any two turns of the loop. Whatever happens, nothing may be left: no stream, no connection, no block, no pin, no count; and a response that was not cut
// must be the one that was sent.
//
// Clients and servers speak through real codecs over transports that deliver in odd pieces, late, and take little at a time. Aborts where something is wrong.
//
// Which seeds run: seeds.h.
#ifndef SUPPORT_ACCIDENTS_H
#define SUPPORT_ACCIDENTS_H

#include "support/fake_downstream.h"

struct accident_request {
    const char *text; // "GET a /x\nname: value\n"
    enum { ACCIDENT_NO_BODY, ACCIDENT_ANY_BODY, ACCIDENT_BODY } body;
    size_t length; // of the body, where its head says it; 0: any
};

struct accidents {
    uint64_t seeds;
    enum http_version front;  // what clients speak
    const char *documents[3]; // at first; others; and seldom, where all is gone
    const struct filter_type *const *filters;
    const struct accident_request *requests; // each as often as another
    uint32_t request_count;
    uint32_t inbound_percent; // of the clients' connections: to the listener `inbound`; the others to `outbound`
};

void accidents_run(const struct accidents *plan);

// For filters of a test, while it runs.
bool accidents_one_in(uint32_t count);
uint32_t accidents_below(uint32_t bound);
bool accidents_are_over(void); // what is left is finished

#endif
