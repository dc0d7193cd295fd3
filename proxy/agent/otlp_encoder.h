// The body of a request to a collector in the making, by protocol and compression: JSON, gzip, gRPC's frame around an Export...ServiceRequest (opentelemetry-proto
// docs/specification.md). Pure.
//
// Owner:      whoever makes it, of one thread. The request stays while it is there.
// Start:      otlp_encoder_create.
// Callbacks:  none. The body is made in steps of a millisecond or two: a request of 1 MiB takes up to fifty, and its thread serves pages too.
// Cancel:     otlp_encoder_destroy.
// Memory:     its own; the body is the caller's with otlp_encoder_take.
#ifndef AGENT_OTLP_ENCODER_H
#define AGENT_OTLP_ENCODER_H

#include "base/bytes.h"
#include "base/error.h"
#include "config/otlp_config.h"

#include <stdbool.h>

// A body before compression: what receivers of gRPC take by default. The protocol allows 64 MiB.
#define OTLP_BODY_BYTES_MAX (4U * 1024 * 1024)

struct otlp_encoder;

// For a whole `request` (otlp_head_write). ERROR_BODY_TOO_LARGE: it would be longer than OTLP_BODY_BYTES_MAX; ERROR_NO_MEMORY. Then `*encoder` is NULL.
MUST_CHECK enum error otlp_encoder_create(enum otlp_protocol protocol, enum otlp_compression compression, enum otlp_signal signal,
                                          struct bytes request, struct otlp_encoder **encoder);

// Goes on. `*is_done`: that was all. The same errors; then it is only to be destroyed.
MUST_CHECK enum error otlp_encoder_step(struct otlp_encoder *encoder, bool *is_done);

// It is done. The body is then the caller's (bytes_drop).
struct bytes otlp_encoder_take(struct otlp_encoder *encoder);

// Also of NULL.
void otlp_encoder_destroy(struct otlp_encoder *encoder);

#endif
