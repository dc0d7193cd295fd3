// The access log: one line for each stream, from a plain record: JSON, or text by a template. Formats into the caller's memory; writes no file, decides no filter.
//
// Whatever a peer sent, the line is valid UTF-8, has no line feed but its last byte and is at most ACCESS_LOG_LINE_MAX long, and as JSON it is valid: values
// are escaped and, when too long, cut (marked by "..."). There is no place for credentials: no field of a request is logged but those named here and by
// documents, and queries, which may carry tokens, are cut off: of the path, and by whoever makes the record of all else that has a URL in it.
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

// Where a field of a message is looked for.
enum access_part { ACCESS_REQUEST_HEAD, ACCESS_RESPONSE_HEAD, ACCESS_RESPONSE_TRAILERS };

// ACCESS_LOCAL: that the client has connected to; where it was redirected to us, before that. ACCESS_UPSTREAM_LOCAL: our end of the last attempt's connection.
enum access_address { ACCESS_LOCAL, ACCESS_UPSTREAM_LOCAL };

#define ACCESS_ADDRESS_MAX 64

// Texts are borrowed for the call; empty ones are left out of the line, and so is what concerns an upstream when there was no attempt.
struct access_record {
    nanoseconds start_wall; // when the head was complete, since 1970
    nanoseconds duration;   // to the end of the stream
    struct bytes listener;
    struct bytes direction; // "inbound" or "outbound"
    struct bytes method;
    struct bytes authority; // as received
    struct bytes path;      // as received, canonical; its query is left out
    struct bytes scheme;    // of the request; empty: it has none
    uint8_t version;        // of the client's side: 10, 11, 20, as enum http_version
    bool is_opaque;         // no HTTP: a connection whose bytes are passed on
    bool is_server;         // whoever it came from has reached this listener; else it is sent on for the application beside
    bool tls;               // of the client's side
    uint16_t status;        // sent to the client; 0: none, or opaque
    int32_t grpc_status;    // ACCESS_LOG_NO_GRPC_STATUS: none
    enum error end;
    struct bytes detail;    // why, in few words, where `end` does not say all
    struct bytes policy;    // "kind/namespace/name: rule" that refused; empty: none
    bool by_agent;          // the same: an agent of external authorization, by it
    struct bytes delayed;   // the same, of those that made it wait: "kind/namespace/name: rule, ..."
    struct bytes dry_run;   // the same, with ": end" behind each, of what would have been refused but for a dry run
    uint64_t request_bytes; // of the bodies, as received and as sent
    uint64_t response_bytes;
    struct bytes service;  // "namespace/name:port"
    struct bytes route;    // rule of a route by which the request went: "HTTPRoute/namespace/name: rule"
    struct bytes endpoint; // address of the last attempt
    uint32_t attempts;
    struct bytes retried_for;      // why each but the first was made: "unsent,code"; empty: there was one alone
    struct bytes retried_by;       // whose rules had them made: "kind/namespace/name: retry"
    struct bytes ejected;          // address of the endpoint that was ejected for how a try went; empty: none was
    struct bytes ejected_by;       // by whose rule, and why
    struct bytes retry_refused;    // why there was no further one although a condition was met
    nanoseconds upstream_duration; // from the last attempt's start to its response head; 0: none came
    nanoseconds request_took;      // from the head of the request to its end, where that came later
    nanoseconds response_after;    // from the head of the request to that of the last attempt's response; 0: none came
    struct bytes client;           // its address as a trusted proxy tells it; empty: the peer is the client
    struct bytes peer;             // address of the client's connection
    struct bytes peer_identity;
    struct bytes server_name; // that the client asked for in its handshake
    struct bytes server;      // whom it asks, with a port or without, as whoever asked first called it
    struct bytes server_scheme;
    uint64_t connection; // number of its connection among those of its worker
    struct bytes request_id;
    struct bytes trace_id; // hexadecimal, as the request has it, or as it was given to it; empty: none
    struct bytes span_id;  // the same, of the request's own span; empty: it has none
    uint8_t trace_flags;   // of traceparent
    struct bytes user_agent;
    struct bytes keys;    // what told it apart: "Header x-api-key=0123456789abcdef&..."
    struct bytes headers; // "x-tier=free&...", as a form writes it
    // For templates: the first field of that name, in any case, as far as it may be shown. False: there is none. NULL: nobody knows.
    bool (*find_field)(const void *message, enum access_part part, struct bytes name, struct bytes *value);
    // For templates: an address that only they tell, at most ACCESS_ADDRESS_MAX bytes. Returns its length; 0: it is not known. NULL: nobody knows.
    size_t (*print_address)(const void *message, enum access_address which, char text[ACCESS_ADDRESS_MAX]);
    const void *message;
};

// The path as lines have it: without its query, and without a fragment, which only a path that is refused has.
struct bytes access_path(const struct access_record *record);

// X(identifier, name, most bytes of its value in a line, after escaping; what it is): all fields, in the order of JSON. Identities may be 2,048 bytes long; the part that
// tells them apart is in front. Numbers have the digits of UINT64_MAX.
#define ACCESS_FIELD_LIST(X)                                                                                                  \
    X(TIME, "time", 32, "when the head of the request was complete: RFC 3339, UTC, microseconds")                             \
    X(LISTENER, "listener", 64, "name of the listener")                                                                       \
    X(DIRECTION, "direction", 16, "inbound, outbound or gateway")                                                             \
    X(METHOD, "method", 32, "method of the request")                                                                          \
    X(AUTHORITY, "authority", 256, "Host or :authority, as received")                                                         \
    X(PATH, "path", 352, "path as received, in its canonical form and without its query")                                     \
    X(VERSION, "version", 8, "HTTP version of the client: 1.0, 1.1, 2")                                                       \
    X(TLS, "tls", 8, "whether the client's connection is TLS: true or false")                                                 \
    X(STATUS, "status", 20, "status sent to the client")                                                                      \
    X(GRPC_STATUS, "grpc_status", 20, "grpc-status sent to the client")                                                       \
    X(END, "end", 32, "how it ended: ok, or the error")                                                                       \
    X(DETAIL, "detail", 192, "why, where the end does not say all")                                                           \
    X(POLICY, "policy", 216, "the policy and rule that ended it")                                                             \
    X(DELAYED, "delayed", 96, "the policies and rules that made it wait")                                                     \
    X(DRY_RUN, "dry_run", 128, "the policies and rules in a dry run that would have refused it, and how")                     \
    X(DURATION, "duration_us", 20, "from the head of the request to its end, in microseconds")                                \
    X(REQUEST_BYTES, "request_bytes", 20, "bytes of the request's body, as received")                                         \
    X(RESPONSE_BYTES, "response_bytes", 20, "bytes of the response's body, as sent")                                          \
    X(SERVICE, "service", 176, "namespace/name:port of the service")                                                          \
    X(ROUTE, "route", 192, "rule of a route by which it went: kind/namespace/name: rule")                                     \
    X(ENDPOINT, "endpoint", 64, "address of the endpoint that was asked last")                                                \
    X(ATTEMPTS, "attempts", 20, "how often it was sent, or tried to")                                                         \
    X(RETRIED_FOR, "retried_for", 96, "why each further try was made, with commas between")                                   \
    X(RETRIED_BY, "retried_by", 112, "the policies and rules that had further tries made; default: none says anything of it") \
    X(EJECTED, "ejected", 64, "address of the endpoint that was ejected for how it answered a try")                           \
    X(EJECTED_BY, "ejected_by", 128, "the policy and rule that it was ejected by, and why")                                   \
    X(RETRY_REFUSED, "retry_refused", 16, "why there was no further try, although a condition of retry was met")              \
    X(UPSTREAM_DURATION, "upstream_duration_us", 20, "from the last attempt to the head of its response, in microseconds")    \
    X(CLIENT, "client", 46, "address of the client, where a trusted proxy tells it")                                          \
    X(PEER, "peer", 64, "address of the connection's other end")                                                              \
    X(PEER_IDENTITY, "peer_identity", 352, "SPIFFE ID that the client's certificate has")                                     \
    X(REQUEST_ID, "request_id", 128, "x-request-id")                                                                          \
    X(TRACE_ID, "trace_id", 32, "id of its trace")                                                                            \
    X(SPAN_ID, "span_id", 16, "id of its span, where it has one")                                                             \
    X(USER_AGENT, "user_agent", 144, "user-agent")                                                                            \
    X(KEYS, "keys", 176, "what tells it apart, of spec.telemetry.accessLog.keys and of limits, as hashes: name=hash&...")     \
    X(HEADERS, "request_headers", 176, "spec.telemetry.accessLog.headers, as a form writes them: name=value&...")

enum access_field {
#define X(identifier, ...) ACCESS_##identifier,
    ACCESS_FIELD_LIST(X)
#undef X
        ACCESS_FIELD_COUNT
};

const char *access_field_name(enum access_field field);

// What a line has of such a text as the value of that field: all of it, or what stands in front of the mark of a cut.
struct bytes access_shown(enum access_field field, struct bytes text);

// Writes the line as JSON, with its line feed, to `line`, which has at least ACCESS_LOG_LINE_MAX bytes. Returns its length. No NUL. A field that has no value is left out.
size_t access_log_format(const struct access_record *record, char *line, size_t size);

// As access_log_format, for people: when, where, what, how it was answered and by whom, and then, by name, what was out of the ordinary.
size_t access_log_format_brief(const struct access_record *record, char *line, size_t size);

#endif
