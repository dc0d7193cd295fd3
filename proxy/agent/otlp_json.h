// A whole Export...ServiceRequest as OTLP/JSON has it (opentelemetry-proto docs/specification.md, "JSON Protobuf Encoding"): names in lowerCamelCase, ids as hexadecimal
// digits, enumerations as numbers, numbers of 64 bits as texts. Pure: bytes that were encoded here (otlp_head_write) are read and printed, whatever the signal.
//
// Owner:      whoever makes it, of one thread. The request stays while it is there.
// Start:      otlp_json_create.
// Callbacks:  none. It is printed in steps, since some thousand records take more time than its thread may be away for.
// Cancel:     otlp_json_destroy.
// Memory:     its own; what was printed is the caller's with otlp_json_take.
#ifndef AGENT_OTLP_JSON_H
#define AGENT_OTLP_JSON_H

#include "base/bytes.h"
#include "base/error.h"
#include "config/otlp_config.h"

#include <stdbool.h>

struct otlp_json;

// ERROR_NO_MEMORY: `*json` is NULL.
MUST_CHECK enum error otlp_json_create(enum otlp_signal signal, struct bytes request, size_t size_max, struct otlp_json **json);

// Prints records of some `bytes` more, at least one. `*is_done`: that was the last of them. ERROR_BODY_TOO_LARGE: it would be longer than `size_max`; ERROR_NO_MEMORY. Then
// nothing is printed any more.
MUST_CHECK enum error otlp_json_step(struct otlp_json *json, size_t bytes, bool *is_done);

// It is done. The text is then the caller's (bytes_drop).
struct bytes otlp_json_take(struct otlp_json *json);

// Also of NULL.
void otlp_json_destroy(struct otlp_json *json);

#endif
