// The one list of errors. Functions that can fail return `enum error` (0 or negative) and give results by out-parameter.
// What a client sees for an error stands in stream/error_reply alone.
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#define MUST_CHECK __attribute__((warn_unused_result))

// X(name, text): the text is the `end` name of the access log where a stream can end with it.
#define ERROR_LIST(X)                                                                                               \
    /* of a request: the client's side */                                                                           \
    X(BAD_REQUEST, "bad_request")                                                                                   \
    X(FRAMING_INVALID, "framing_invalid") /* framing in doubt: the connection is not to be used again */            \
    X(UNAUTHENTICATED, "unauthenticated")                                                                           \
    X(DENIED, "denied")                                                                                             \
    X(RATE_LIMITED, "rate_limited")                                                                                 \
    X(QUOTA_EXCEEDED, "quota_exceeded")                                                                             \
    X(HEADER_TIMEOUT, "header_timeout")                                                                             \
    X(BODY_TIMEOUT, "body_timeout")                                                                                 \
    X(BODY_TOO_LARGE, "body_too_large")                                                                             \
    X(URI_TOO_LONG, "uri_too_long")                                                                                 \
    X(HEADERS_TOO_LARGE, "headers_too_large")                                                                       \
    X(EXPECTATION, "expectation")                                                                                   \
    X(CLIENT_GONE, "client_gone")                                                                                   \
    X(METHOD_UNKNOWN, "method_unknown")                                                                             \
    X(VERSION_UNSUPPORTED, "version_unsupported")                                                                   \
    /* of a request: the upstream's side */                                                                         \
    X(ROUTE_NOT_FOUND, "route_not_found")                                                                           \
    X(MISDIRECTED, "misdirected") /* what the client's handshake asked for is another listener's */                 \
    X(BACKEND_INVALID, "backend_invalid")                                                                           \
    X(HOST_UNKNOWN, "host_unknown")                                                                                 \
    X(DNS_ERROR, "dns_error")                                                                                       \
    X(DNS_TIMEOUT, "dns_timeout")                                                                                   \
    X(CONNECT_REFUSED, "connect_refused")                                                                           \
    X(CONNECT_TIMEOUT, "connect_timeout")                                                                           \
    X(TLS_FAILED, "tls_failed")                                                                                     \
    X(IDENTITY_MISMATCH, "identity_mismatch")                                                                       \
    X(UPSTREAM_RESET, "upstream_reset")                                                                             \
    X(RESPONSE_MALFORMED, "response_malformed")                                                                     \
    X(RESPONSE_INCOMPLETE, "response_incomplete")                                                                   \
    X(UPGRADE_FAILED, "upgrade_failed")                                                                             \
    X(LOOP, "loop")                                                                                                 \
    X(NO_ENDPOINT, "no_endpoint")                                                                                   \
    X(BREAKER_OPEN, "breaker_open")                                                                                 \
    X(POOL_FULL, "pool_full")                                                                                       \
    X(BULKHEAD_FULL, "bulkhead_full") /* so many run and wait already: by a policy */                               \
    X(QUEUE_TIMEOUT, "queue_timeout") /* it waited there for too long */                                            \
    X(MEMORY_LIMIT, "memory_limit")                                                                                 \
    X(DRAINING, "draining")                                                                                         \
    X(REQUEST_TIMEOUT, "request_timeout")                                                                           \
    X(TRY_TIMEOUT, "try_timeout")                                                                                   \
    X(DEADLINE_EXPIRED, "deadline_expired")                                                                         \
    X(FAULT, "fault")                                                                                               \
    X(INTERNAL, "internal")                                                                                         \
    /* told between layers, never to a client as they are */                                                        \
    X(REFUSED_STREAM, "refused_stream")       /* HTTP/2: provably not processed (RFC 9113 section 8.7) */           \
    X(CANCELLED, "cancelled")                 /* ended by its owner; nobody's failure */                            \
    X(CONNECTION_CLOSED, "connection_closed") /* the peer closed in order */                                        \
    X(CONNECTION_RESET, "connection_reset")   /* the peer or the network broke it */                                \
    X(PROTOCOL, "protocol_error")             /* the peer broke the protocol: close the connection */               \
    X(FLOOD, "flood")                         /* the peer exceeded a limit on cheap frames: close the connection */ \
    X(IDLE_TIMEOUT, "idle_timeout")                                                                                 \
    X(NO_MEMORY, "no_memory")                                                                                       \
    X(FULL, "full")       /* a bounded queue or table has no room */                                                \
    X(INVALID, "invalid") /* of a document, file or argument; a text goes with it */                                \
    X(IO, "io_error")

enum error_number {
#define X(name, text) ERROR_NUMBER_##name,
    ERROR_LIST(X)
#undef X
        ERROR_COUNT
};

enum error {
    OK = 0,
#define X(name, text) ERROR_##name = -1 - ERROR_NUMBER_##name,
    ERROR_LIST(X)
#undef X
};

// "ok" for OK; never NULL.
const char *error_name(enum error error);

#endif
