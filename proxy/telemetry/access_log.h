// The access log: one line of JSON for each stream, from a plain record. Formats into the caller's memory; writes no file, decides no filter.
//
// Whatever a peer sent, the line is valid JSON, valid UTF-8, has no line feed but its last byte and is at most ACCESS_LOG_LINE_MAX long: values
// are escaped and, when too long, cut (marked by "..."). There is no place for credentials: no field of a request is logged but those named here,
// and the query of a path, which may carry tokens, is cut off.
#ifndef TELEMETRY_ACCESS_LOG_H
#define TELEMETRY_ACCESS_LOG_H

#include "base/bytes.h"
#include "base/clock.h"
#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

// PIPE_BUF of Linux: a line this short is written to a pipe whole, not mixed with those of other threads or processes (pipe(7)). access_log.c adds up the fields.
#define ACCESS_LOG_LINE_MAX 4096

#define ACCESS_LOG_NO_GRPC_STATUS (-1)

// Texts are borrowed for the call; empty ones are left out of the line, and so is what concerns an upstream when there was no attempt.
struct access_record {
    nanoseconds start_wall; // when the head was complete, since 1970
    nanoseconds duration;   // to the end of the stream
    struct bytes listener;
    struct bytes direction; // "inbound" or "outbound"
    struct bytes method;
    struct bytes authority; // as received
    struct bytes path;      // as forwarded; its query is left out
    uint8_t version;        // of the client's side: 10, 11, 20, as enum http_version
    bool tls;               // of the client's side
    uint16_t status;        // sent to the client; 0: none
    int32_t grpc_status;    // ACCESS_LOG_NO_GRPC_STATUS: none
    enum error end;
    struct bytes detail;    // why, in few words, where `end` does not say all
    struct bytes policy;    // "kind/namespace/name: rule" that refused; empty: none
    uint64_t request_bytes; // of the bodies, as received and as sent
    uint64_t response_bytes;
    struct bytes service;  // "namespace/name:port"
    struct bytes endpoint; // address of the last attempt
    uint32_t attempts;
    nanoseconds upstream_duration; // from the last attempt's start to its response head; 0: none came
    struct bytes peer;             // address of the client
    struct bytes peer_identity;
    struct bytes request_id;
    struct bytes user_agent;
};

// Writes the line, with its line feed, to `line`, which has at least ACCESS_LOG_LINE_MAX bytes. Returns its length. No NUL.
size_t access_log_format(const struct access_record *record, char *line, size_t size);

#endif
