// The debug header (Proxy's spec.debug): a request that has it gets in a field of that name of its answer what was decided about it, as JSON on one line.
//
// For callers inside alone: over mutual TLS of the mesh; from this machine, or by a connection that was redirected from it, unless the request was passed on for somebody
// (x-forwarded-for, forwarded); at a gateway where spec.edge.trustHeaders has the name.
// From all others the field is taken off, so that no proxy further on tells them either. A gateway does so whatever it is configured itself, and lets no such field out.
#ifndef STREAM_DEBUG_HEADER_H
#define STREAM_DEBUG_HEADER_H

#include "base/bytes.h"

struct head;
struct stream;

// The longest value. Filters for which there is no room are left out, and counted.
#define DEBUG_HEADER_BYTES_MAX 2048

// Whether who sent the request may ask by a field of that name, wherever it is configured: the above, for any such field.
bool debug_header_may_ask(const struct stream *stream, struct bytes name);

// The request's head is complete and its listener has judged it: begins its explanation, where it asks for one and may.
void debug_header_begin(struct stream *stream);

// The final head goes down: is told, where that was asked for; at a gateway loses what only those whom it trusts are told.
void debug_header_answer(struct stream *stream, struct head *head);

#endif
