// What telemetry goes by of a stream: the rules of the TelemetryPolicies that it is under, and what the request has for a label or an attribute that they name.
#ifndef STREAM_STREAM_TELEMETRY_H
#define STREAM_STREAM_TELEMETRY_H

#include "net/tcp.h"
#include "stream/stream.h"

// Of where it goes; of its listener while, or where, that is not known.
static inline const struct telemetry_rules *stream_telemetry_rules(const struct stream *stream) {
    return stream->destination != NULL ? stream->destination->config->telemetry : stream->listener->telemetry;
}

// Whom a request asks and by which scheme, as whoever asked first called it: X-Forwarded-Host and -Proto where they are a host and a scheme, else its own.
struct bytes stream_telemetry_server(const struct head *request, struct bytes *scheme);

// Empty: the request lacks it, or has it more than once. Of what has a URL in it, as much as may be shown (http/redact). Lies in the request, or in `address`.
struct bytes stream_telemetry_value(struct stream *stream, const struct request_key_part *from, char address[ADDRESS_TEXT_MAX]);

#endif
