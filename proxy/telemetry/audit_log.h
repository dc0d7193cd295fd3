// The audit log: one line of JSON for each change of this proxy and for each request or connection that was refused to somebody. A stream of its own, beside the
// access log: for those who ask later who did what. Formats into the caller's memory; writes no file, decides nothing.
//
// Whatever others sent, a line is valid UTF-8 and valid JSON, has no line feed but its last byte and is at most AUDIT_LOG_LINE_MAX long. Values are escaped and,
// when too long, cut (marked by "..."). No query of a path, no token.
#ifndef TELEMETRY_AUDIT_LOG_H
#define TELEMETRY_AUDIT_LOG_H

#include "telemetry/access_log.h"

#define AUDIT_LOG_LINE_MAX ACCESS_LOG_LINE_MAX

// X(identifier, word of `event`, what it is)
#define AUDIT_EVENT_LIST(X)                                                                                                             \
    X(PROCESS, "process", "the process serves, is told to drain or to end, opens its logs anew, or ends")                               \
    X(UPGRADE, "upgrade", "another process asked for the listening sockets, or took the place of this one")                             \
    X(ADMIN, "admin", "somebody asked the admin listener for more than to read figures, or was refused there")                          \
    X(CONFIGURATION, "configuration", "a set of documents was accepted or refused")                                                     \
    X(CERTIFICATE, "certificate", "files of certificates were taken or refused: of the proxy, of a gateway, of authorities of servers") \
    X(DENIED, "denied", "a request or connection was refused to somebody")                                                              \
    X(LOST, "lost", "so many lines were lost before this one: there was no room for them, or too many in a second")

enum audit_event {
#define X(identifier, ...) AUDIT_##identifier,
    AUDIT_EVENT_LIST(X)
#undef X
        AUDIT_EVENT_COUNT
};

// X(identifier, name, whether it is a number, most bytes of its value in a line, after escaping; what it is): all fields, in the order of a line. Those of a request
// are the access log's.
#define AUDIT_FIELD_LIST(X)                                                                                                                        \
    X(RESULT, "result", false, 16,                                                                                                                 \
      "process: ready, draining, ending, reopened, ended; upgrade: begun, refused, failed, taken; configuration: accepted, refused; certificate: " \
      "loaded, refused, withdrawn; admin: done, refused, unknown")                                                                                 \
    X(STATUS, "status", true, 10, "admin: status of the answer; denied: that was sent to the client")                                              \
    X(PAGE, "page", false, 64, "admin: the page, as it was asked for")                                                                             \
    X(ARGUMENTS, "arguments", false, 256, "admin: the query, without values whose names tell of secrets")                                          \
    X(CAUSE, "cause", false, 16, "process, configuration: start, signal, admin, files or upgrade")                                                 \
    X(GENERATION, "generation", true, 20, "configuration: of the set in force; certificate: of those in force")                                    \
    X(SUBJECT, "subject", false, 352, "certificate: the SPIFFE ID, the gateway's socket, or the files; refused: the same, of the proxy the file")  \
    X(SERIAL, "serial", false, 64, "certificate: its serial number, hexadecimal")                                                                  \
    X(REASON, "reason", false, 384, "why it was refused: of a configuration the first error")                                                      \
    X(ERRORS, "errors", true, 10, "configuration: how many errors it has")                                                                         \
    X(ADDED, "added", true, 10, "configuration: documents that were not there before")                                                             \
    X(CHANGED, "changed", true, 10, "configuration: documents that say something else than before")                                                \
    X(REMOVED, "removed", true, 10, "configuration: documents that are there no more")                                                             \
    X(DOCUMENTS, "documents", false, 352, "configuration: the first of those, as +, ~ or - and kind/namespace/name")                               \
    X(FINGERPRINT, "fingerprint", false, 16, "configuration: of all its documents: the same where they say the same, in whatever files and order") \
    X(LINES, "lines", true, 20, "lost: how many lines")                                                                                            \
    X(LISTENER, "listener", false, 64, "denied: name of the listener; admin: admin")                                                               \
    X(DIRECTION, "direction", false, 16, "denied: inbound, outbound or gateway")                                                                   \
    X(END, "end", false, 32, "denied: how it ended, as in the access log")                                                                         \
    X(DETAIL, "detail", false, 192, "denied: why, where the end does not say all")                                                                 \
    X(POLICY, "policy", false, 216, "denied: the policy and rule")                                                                                 \
    X(METHOD, "method", false, 32, "denied, admin: method of the request")                                                                         \
    X(AUTHORITY, "authority", false, 256, "denied, admin: Host or :authority, as received")                                                        \
    X(PATH, "path", false, 352, "denied: path, without its query")                                                                                 \
    X(SERVICE, "service", false, 176, "denied: namespace/name:port of the service")                                                                \
    X(CLIENT, "client", false, 46, "denied: address of the client, where a trusted proxy tells it")                                                \
    X(PEER, "peer", false, 64, "address of the connection's other end; admin: unix, over a Unix socket")                                           \
    X(PEER_IDENTITY, "peer_identity", false, 352, "denied: SPIFFE ID that the client's certificate has")                                           \
    X(UID, "uid", true, 10, "admin, over a Unix socket, and upgrade: who the other end runs as")                                                   \
    X(PID, "pid", true, 10, "admin, over a Unix socket, and upgrade: the process at the other end")                                                \
    X(REQUEST_ID, "request_id", false, 128, "denied: x-request-id")                                                                                \
    X(TRACE_ID, "trace_id", false, 32, "denied: id of its trace")

enum audit_field {
#define X(identifier, ...) AUDIT_FIELD_##identifier,
    AUDIT_FIELD_LIST(X)
#undef X
        AUDIT_FIELD_COUNT
};

// Texts are borrowed for the call; those of numbers are digits; empty ones are left out.
struct audit_record {
    nanoseconds wall; // since 1970
    enum audit_event event;
    struct bytes fields[AUDIT_FIELD_COUNT];
};

// For whoever has numbers.
#define AUDIT_NUMBER_MAX 21
struct bytes audit_number(uint64_t number, char digits[AUDIT_NUMBER_MAX]);

// AUDIT_DENIED, when it ended, of a request, or of a connection without one; `status` is where its number is put.
struct audit_record audit_of_request(const struct access_record *request, char status[AUDIT_NUMBER_MAX]);

// Writes the line with its line feed to `line`, which has at least AUDIT_LOG_LINE_MAX bytes. Returns its length. No NUL.
size_t audit_log_format(const struct audit_record *record, char *line, size_t size);

#endif
