// What an exporter sends, as bytes: an Export...ServiceRequest of one resource and one scope around records that are encoded already, and the body of a request that it
// becomes, by protocol and compression (opentelemetry-proto docs/specification.md). Pure.
#ifndef AGENT_OTLP_REQUEST_H
#define AGENT_OTLP_REQUEST_H

#include "base/bytes.h"
#include "base/error.h"
#include "config/otlp_config.h"

// A body before compression: what receivers of gRPC take by default. The protocol allows 64 MiB.
#define OTLP_BODY_BYTES_MAX (4U * 1024 * 1024)

// Of records in one request. As JSON they are two to three times as long, seldom four.
#define OTLP_RECORDS_BYTES_MAX (1U * 1024 * 1024)

// Who tells: each is one field in its final form, with tag and length.
struct otlp_origin {
    struct bytes resource; // field 1 of Resource{Spans,Metrics,Logs}
    struct bytes scope;    // field 1 of Scope{Spans,Metrics,Logs}
};

// As many bytes as otlp_head_write writes at most.
size_t otlp_head_room(const struct otlp_origin *origin);

// Writes what stands before `records` bytes of records (fields 2 of Scope...) so that it ends at `end`. Returns where it begins: from there to the end of the records is
// the whole request, as all signals have it.
char *otlp_head_write(const struct otlp_origin *origin, size_t records, char *end);

// The body of a request for that whole `request`, which stays the caller's. `*body` is then owned (bytes_drop). ERROR_BODY_TOO_LARGE: it would be longer than
// OTLP_BODY_BYTES_MAX; ERROR_NO_MEMORY.
MUST_CHECK enum error otlp_request_encode(enum otlp_protocol protocol, enum otlp_compression compression, enum otlp_signal signal,
                                          struct bytes request, struct bytes *body);

#endif
