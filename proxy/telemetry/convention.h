// Words of OpenTelemetry's conventions for a request, of HTTP (stable) and of RPC: what spans and records of logs say of the same request is the same.
#ifndef TELEMETRY_CONVENTION_H
#define TELEMETRY_CONVENTION_H

#include "base/bytes.h"
#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

// In the place of a method that the conventions do not know: whoever makes names up would make as many values.
#define CONVENTION_OTHER BYTES("_OTHER")

// `method` where it is one of RFC 9110, PATCH or QUERY, written so; else empty.
struct bytes convention_method(struct bytes method);

// The host of "host:port", or of a host alone: of an IPv6 address without its brackets. `port` stays as it is where there is none.
struct bytes convention_host(struct bytes place, uint64_t *port);

// Of a host that none stands behind.
uint16_t convention_port(struct bytes scheme);

// Nobody's fault: whoever asked has lost interest.
bool convention_is_cancellation(enum error end);

#define CONVENTION_NO_CODE (-1)

struct convention_outcome {
    bool is_server;    // it was reached; else it was sent
    uint16_t status;   // 0: none
    int32_t grpc_code; // CONVENTION_NO_CODE: none, or it is no call of gRPC
    enum error end;    // why it broke or was refused, as error_end has it; OK: somebody else answered
};

#define CONVENTION_DIGITS_MAX 5

// error.type; empty: it is no error. Of a server neither what its caller does wrong (4xx, and such codes of gRPC), nor of anybody what its caller gave up; that
// an answer broke off is one, whatever its status. Lies in `digits` where it is a status.
struct bytes convention_error_type(const struct convention_outcome *outcome, char digits[CONVENTION_DIGITS_MAX]);

#endif
