// HTTP messages as both codecs see them: a head (request or response), its fields, its trailers. Bodies are pieces of blocks and never here.
//
// A codec delivers end-to-end fields only: what belongs to one connection (RFC 9110 section 7.6.1) is acted upon and taken out when a head is received,
// and put in anew when one is sent. Names keep the case they came with. All text lies in the pool of the codec stream.
#ifndef HTTP_MESSAGE_H
#define HTTP_MESSAGE_H

#include "base/bytes.h"
#include "base/pool.h"

#include <stdbool.h>
#include <stdint.h>

enum http_version { HTTP_NONE = 0, HTTP_1_0 = 10, HTTP_1_1 = 11, HTTP_2 = 20 }; // NONE: opaque bytes

enum http_method {
    METHOD_OTHER, // any other token that the codec takes: its text is in method_text
    METHOD_GET,
    METHOD_HEAD,
    METHOD_POST,
    METHOD_PUT,
    METHOD_DELETE,
    METHOD_CONNECT,
    METHOD_OPTIONS,
    METHOD_TRACE,
    METHOD_PATCH,
    METHOD_COUNT
};

// Fields that some part of the proxy asks for: found by this number, never by comparing names again.
enum field_id {
    FIELD_OTHER,
    FIELD_ACCEPT,
    FIELD_AUTHORIZATION,
    FIELD_B3,
    FIELD_BAGGAGE,
    FIELD_CONNECTION,
    FIELD_CONTENT_LENGTH,
    FIELD_CONTENT_TYPE,
    FIELD_COOKIE,
    FIELD_DATE,
    FIELD_EXPECT,
    FIELD_FORWARDED,
    FIELD_GRPC_MESSAGE,
    FIELD_GRPC_STATUS,
    FIELD_GRPC_TIMEOUT,
    FIELD_HOST,
    FIELD_KEEP_ALIVE,
    FIELD_MAX_FORWARDS,
    FIELD_OUTRIGGER_PROTOCOL, // outrigger-protocol: what the application spoke (mesh only)
    FIELD_OUTRIGGER_REFUSED,  // outrigger-refused: why one of our proxies refused (mesh only)
    FIELD_OUTRIGGER_OTHER,    // any other outrigger-*
    FIELD_PROXY_AUTHENTICATE,
    FIELD_PROXY_AUTHORIZATION,
    FIELD_PROXY_CONNECTION,
    FIELD_PROXY_STATUS,
    FIELD_RETRY_AFTER,
    FIELD_SERVER,
    FIELD_SET_COOKIE,
    FIELD_TE,
    FIELD_TRACEPARENT,
    FIELD_TRACESTATE,
    FIELD_TRAILER,
    FIELD_TRANSFER_ENCODING,
    FIELD_UPGRADE,
    FIELD_USER_AGENT,
    FIELD_VIA,
    FIELD_X_FORWARDED_CLIENT_CERT,
    FIELD_X_FORWARDED_FOR,
    FIELD_X_FORWARDED_HOST,
    FIELD_X_FORWARDED_PROTO,
    FIELD_X_REQUEST_ID,
    FIELD_X_REQUEST_TIMEOUT_MS,
    FIELD_COUNT
};

struct field {
    struct bytes name;
    struct bytes value;
    enum field_id id;
    bool removed;       // taken out by fields_remove: skipped by all; positions of others stay
    bool never_indexed; // came so over HTTP/2: whoever sends it on says the same (RFC 7541 section 7.1.3)
};

struct fields {
    struct pool *pool;
    struct field *items;
    uint32_t count; // removed ones included
    uint32_t capacity;
    uint32_t bytes; // of names and values, for the limit on heads
    uint64_t ids;   // a bit for each field_id that one of them has, or had: most searches are for what is not there
};

// The one protocol that a request may ask to go on with (RFC 6455, RFC 8441), whatever the connection: as a GET with `protocol` set and no body, answered with 101
// where it is taken. Over HTTP/2 that is a CONNECT and its 2xx: h2_codec says the one for the other. Any other word in Upgrade (h2c, TLS/1.2) is
// passed over: the request is a plain one (RFC 9110 section 7.8).
#define PROTOCOL_WEBSOCKET BYTES("websocket")

struct head {
    enum http_version version; // of the connection that it came from
    bool title_case;           // an HTTP/1 sender writes names in Title-Case (they came over the mesh's HTTP/2)
    bool as_http_1_0;          // request: an HTTP/1 sender writes version 1.0, as the caller's application spoke
    bool expect_continue;      // request: Expect: 100-continue (1.1 and 2 only)
    bool opaque;               // no HTTP at all: a connection whose bytes are passed as they are (raw_codec.h)
    bool te_trailers;          // request: the peer takes trailers
    uint16_t status;           // response
    enum http_method method;   // request
    struct bytes method_text;
    struct bytes scheme;    // "http" or "https": of the connection or of :scheme
    struct bytes authority; // Host or :authority as received; empty where a 1.0 request has none
    struct bytes path;      // origin-form: path and query; "*" for OPTIONS
    struct bytes protocol;  // request: what it asks to go on with (PROTOCOL_WEBSOCKET), by Upgrade or by :protocol of extended CONNECT; else empty
    struct bytes reason;    // response over HTTP/1: the phrase
    int64_t content_length; // as stated; -1: none
    struct fields fields;
};

void head_init(struct head *head, struct pool *pool);

// A copy for another message that begins alike: fields can then be changed apart; the text is shared.
void head_copy(struct head *to, const struct head *from, struct pool *pool);

enum http_method method_from_text(struct bytes text);
struct bytes method_text(enum http_method method); // "" for METHOD_OTHER

// The standard phrase for a status, "" for one that has none.
struct bytes status_reason(uint16_t status);

// content-type application/grpc, application/grpc+... or application/grpc;...
bool head_is_grpc(const struct head *head);

#endif
