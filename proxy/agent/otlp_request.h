// What an exporter sends, as protobuf: an Export...ServiceRequest of one resource and one scope around records that are encoded already (opentelemetry-proto
// docs/specification.md). Pure.
#ifndef AGENT_OTLP_REQUEST_H
#define AGENT_OTLP_REQUEST_H

#include "base/bytes.h"

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

#endif
