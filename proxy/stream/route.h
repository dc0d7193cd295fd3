// Where a request goes: which service is meant, and by which rule of its routes to which backend.
#ifndef STREAM_ROUTE_H
#define STREAM_ROUTE_H

#include "base/error.h"

#include <stdint.h>

struct route_table;
struct service_config;
struct stream;

// Sets the stream's destination to the service that the listener, or the request's authority, means; at a gateway, to what stands for the most specific of its listeners
// that has the host. ERROR_HOST_UNKNOWN: there is no such service; ERROR_ROUTE_NOT_FOUND: no such listener; ERROR_MISDIRECTED: it is another than the one that the client's handshake was for.
enum error route_find_service(struct stream *stream) __attribute__((warn_unused_result));

// Where that service has routes for its callers: sets the rule and puts a backend of it in the place of the service. The request's path is canonical; of an opaque
// connection the authority is the name that its client asks for.
// ERROR_ROUTE_NOT_FOUND: none matches; ERROR_LOOP: it would come back to us; ERROR_BAD_REQUEST: it lacks a part of the key by which a backend is to be chosen.
enum error route_choose(struct stream *stream) __attribute__((warn_unused_result));

// For whoever asks why: the tables in which a rule for the request is looked for, in that order, while none before has one. Returns how many, at most `max`. `service`: what the
// first of the two steps has found.
uint32_t route_tables(const struct stream *stream, const struct service_config *service, const struct route_table **tables, uint32_t max)
    __attribute__((warn_unused_result));

#endif
