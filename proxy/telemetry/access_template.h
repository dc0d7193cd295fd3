// Lines of the access log by a template: text as it stands, `%{name}` for a field of access_log.h, `%%` for a percent sign, and operators as Envoy has them, such as
// `%START_TIME(%H:%M:%S.%3f)%` and `%REQ(X-FORWARDED-FOR?:AUTHORITY):40%`. The default formats of Envoy and of Istio are templates.
#ifndef TELEMETRY_ACCESS_TEMPLATE_H
#define TELEMETRY_ACCESS_TEMPLATE_H

#include "telemetry/access_log.h"

#define ACCESS_TEMPLATE_PIECES_MAX 64

// What an operator has behind its name: nothing; a format of strftime(3); a name, or two of which the second stands in where the first is not there; a way to write a code of gRPC.
enum access_arguments { ARGUMENTS_NONE, ARGUMENTS_TIME, ARGUMENTS_NAMES, ARGUMENTS_CODE };

// X(identifier, arguments, what it is). Each is named as its identifier.
#define ACCESS_OPERATOR_LIST(X)                                                                                                                     \
    X(START_TIME, TIME,                                                                                                                             \
      "when the request began, UTC: by default 2026-01-31T23:59:59.123Z, else by a format of strftime, with %f and "                                \
      "%1f to %9f for parts of a second")                                                                                                           \
    X(REQ, NAMES,                                                                                                                                   \
      "the first field of that name of the request; X?Y: the field Y where there is no X; :Z behind it: at most Z "                                 \
      "bytes. :METHOD, :AUTHORITY, :PATH (without its query) and :SCHEME are names too, and HOST is :AUTHORITY")                                    \
    X(RESP, NAMES,                                                                                                                                  \
      "the same of the response; :STATUS is the status; X-ENVOY-UPSTREAM-SERVICE-TIME, where no such field came: "                                  \
      "milliseconds from the last attempt to the head of its response")                                                                             \
    X(TRAILER, NAMES, "the same of the response's trailers")                                                                                        \
    X(REQUEST_HEADER, NAMES, "REQ by its longer name")                                                                                              \
    X(RESPONSE_HEADER, NAMES, "RESP by its longer name")                                                                                            \
    X(RESPONSE_TRAILER, NAMES, "TRAILER by its longer name")                                                                                        \
    X(PROTOCOL, NONE, "HTTP/1.0, HTTP/1.1 or HTTP/2")                                                                                               \
    X(RESPONSE_CODE, NONE, "status sent to the client; 0: none, or opaque bytes")                                                                   \
    X(RESPONSE_CODE_DETAILS, NONE, "via_upstream, or how it ended, as the field end")                                                               \
    X(RESPONSE_FLAGS, NONE, "how it ended, in the flag of Envoy's that is nearest")                                                                 \
    X(CONNECTION_TERMINATION_DETAILS, NONE, "why a connection of opaque bytes ended, as the field detail, where it failed")                         \
    X(BYTES_RECEIVED, NONE, "bytes of the request's body")                                                                                          \
    X(BYTES_SENT, NONE, "bytes of the response's body")                                                                                             \
    X(DURATION, NONE, "milliseconds from the request's begin to its end")                                                                           \
    X(REQUEST_DURATION, NONE, "milliseconds until all of the request had come")                                                                     \
    X(RESPONSE_DURATION, NONE, "milliseconds until the head of the response came")                                                                  \
    X(RESPONSE_TX_DURATION, NONE, "milliseconds from then to its end")                                                                              \
    X(UPSTREAM_HOST, NONE, "address of the endpoint that was asked last")                                                                           \
    X(UPSTREAM_REMOTE_ADDRESS, NONE, "the same")                                                                                                    \
    X(UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT, NONE, "the same without a port")                                                                        \
    X(UPSTREAM_REMOTE_PORT, NONE, "its port")                                                                                                       \
    X(UPSTREAM_LOCAL_ADDRESS, NONE, "our address on the connection to it")                                                                          \
    X(UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT, NONE, "the same without a port")                                                                         \
    X(UPSTREAM_LOCAL_PORT, NONE, "its port")                                                                                                        \
    X(UPSTREAM_CLUSTER, NONE, "namespace/name:port of the service")                                                                                 \
    X(UPSTREAM_CLUSTER_RAW, NONE, "the same")                                                                                                       \
    X(UPSTREAM_REQUEST_ATTEMPT_COUNT, NONE, "how often it was sent, or tried to; 0: never")                                                         \
    X(UPSTREAM_TRANSPORT_FAILURE_REASON, NONE, "why, where no connection to the endpoint came about")                                               \
    X(DOWNSTREAM_REMOTE_ADDRESS, NONE,                                                                                                              \
      "address of the client, with its port: as a trusted proxy tells it, which tells no port (0), else of the "                                    \
      "connection's other end")                                                                                                                     \
    X(DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT, NONE, "the same without a port")                                                                      \
    X(DOWNSTREAM_REMOTE_PORT, NONE, "its port")                                                                                                     \
    X(DOWNSTREAM_DIRECT_REMOTE_ADDRESS, NONE, "address of the connection's other end, with its port")                                               \
    X(DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT, NONE, "the same without a port")                                                               \
    X(DOWNSTREAM_DIRECT_REMOTE_PORT, NONE, "its port")                                                                                              \
    X(DOWNSTREAM_LOCAL_ADDRESS, NONE, "address that the client has connected to: where it was redirected to this proxy, the one that it had meant") \
    X(DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT, NONE, "the same without a port")                                                                       \
    X(DOWNSTREAM_LOCAL_PORT, NONE, "its port")                                                                                                      \
    X(DOWNSTREAM_PEER_URI_SAN, NONE, "SPIFFE ID that the client's certificate has")                                                                 \
    X(CONNECTION_ID, NONE, "number of the client's connection, among those of its worker")                                                          \
    X(REQUESTED_SERVER_NAME, NONE, "the name that the client asked for in its handshake with a gateway")                                            \
    X(ROUTE_NAME, NONE, "rule of a route by which it went")                                                                                         \
    X(TRACE_ID, NONE, "id of its trace")                                                                                                            \
    X(SPAN_ID, NONE, "id of its span")                                                                                                              \
    X(GRPC_STATUS, CODE, "grpc-status: by default as InvalidArgument; (SNAKE_STRING): INVALID_ARGUMENT; (NUMBER): 3")                               \
    X(GRPC_STATUS_NUMBER, NONE, "grpc-status as a number")                                                                                          \
    X(HOSTNAME, NONE, "name of the machine, or of the pod")

enum access_operator {
#define X(identifier, ...) OPERATOR_##identifier,
    ACCESS_OPERATOR_LIST(X)
#undef X
        ACCESS_OPERATOR_COUNT
};

const char *access_operator_name(enum access_operator operation);

struct access_piece {
    struct bytes literal;           // in front of it
    enum access_field field;        // ACCESS_FIELD_COUNT: no field
    enum access_operator operation; // ACCESS_OPERATOR_COUNT: none
    struct bytes name, otherwise;   // ARGUMENTS_NAMES; the format of ARGUMENTS_TIME, the word of ARGUMENTS_CODE is `name`; else empty
    uint32_t most;                  // bytes of its value
};

// Points into the text that it was made of.
struct access_template {
    struct access_piece pieces[ACCESS_TEMPLATE_PIECES_MAX];
    uint32_t count;
    const char *why;        // what is wrong with the part at fault; NULL: nothing has such a name
    struct bytes host_name; // of HOSTNAME; empty: not known. Set by whoever has it parsed
};

// False: `wrong` is the part of `text` at fault: a name that is no field's and no operator's, `%` with something else behind it; or the piece that is one too many.
bool access_template_parse(struct bytes text, struct access_template *form, struct bytes *wrong);

// As access_log_format, by a template. What has no value is "-". What makes the line too long is cut off.
size_t access_log_format_text(const struct access_template *form, const struct access_record *record, char *line, size_t size);

#endif
