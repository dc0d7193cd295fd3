// What an answer to an export means (opentelemetry-proto docs/specification.md, sections OTLP/gRPC Response and OTLP/HTTP Response): whether the records are taken, are to be
// sent again, and when, or are lost. Pure.
#ifndef AGENT_OTLP_ANSWER_H
#define AGENT_OTLP_ANSWER_H

#include "base/bytes.h"
#include "base/clock.h"
#include "base/error.h"
#include "config/otlp_config.h"

// A longer answer is none (the protocol's bound).
#define OTLP_ANSWER_BYTES_MAX (4U * 1024 * 1024)

// Of a body so much is kept, and read: what a receiver remarks stands at its front.
#define OTLP_ANSWER_BYTES_KEPT (64U * 1024)

// As it came: what of it says something. Absent fields are empty.
struct otlp_answer {
    enum error end; // OK: it came whole; else what follows counts for nothing
    uint16_t status;
    struct bytes content_type, content_encoding;
    struct bytes retry_after;
    struct bytes grpc_status, grpc_message, grpc_details; // of the trailers, or of the head where there is nothing else
    struct bytes body;
    bool is_cut; // the body is longer
};

enum otlp_verdict {
    OTLP_TAKEN,   // perhaps but for some
    OTLP_AGAIN,   // to be sent again
    OTLP_REFUSED, // lost: it would be refused again
    OTLP_TOO_LARGE
};

#define OTLP_REASON_MAX 240

struct otlp_outcome {
    enum otlp_verdict verdict;
    nanoseconds retry_after; // OTLP_AGAIN: not before; 0: not said
    uint64_t rejected;       // OTLP_TAKEN: records that were not; perhaps more than there are
    char reason
        [OTLP_REASON_MAX]; // in few words; of OTLP_TAKEN what the receiver remarks, empty: nothing. Can stand in quotes: UTF-8, quotes and controls escaped
};

// `wall`: the time of day, for a date in Retry-After.
void otlp_answer_judge(enum otlp_protocol protocol, const struct otlp_answer *answer, nanoseconds wall, struct otlp_outcome *outcome);

#endif
