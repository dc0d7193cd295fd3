// A whole Export...ServiceRequest as OTLP/JSON has it (opentelemetry-proto docs/specification.md, "JSON Protobuf Encoding"): names in lowerCamelCase, ids as hexadecimal
// digits, enumerations as numbers, numbers of 64 bits as texts. Pure: bytes that were encoded here are read and printed, whatever the signal.
#ifndef AGENT_OTLP_JSON_H
#define AGENT_OTLP_JSON_H

#include "base/bytes.h"
#include "base/error.h"
#include "config/otlp_config.h"

// `*json` is then owned (bytes_drop). ERROR_BODY_TOO_LARGE: it would be longer than `size_max`; ERROR_NO_MEMORY. Then it is BYTES_NONE.
MUST_CHECK enum error otlp_json_print(enum otlp_signal signal, struct bytes request, size_t size_max, struct bytes *json);

#endif
