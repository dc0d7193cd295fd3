// The one table from an error to what a client is told: HTTP status, grpc-status, Proxy-Status (RFC 9209). Nothing else in the proxy builds an error reply.
#ifndef STREAM_ERROR_REPLY_H
#define STREAM_ERROR_REPLY_H

#include "base/buffer.h"
#include "base/error.h"
#include "http/message.h"

struct stream;

// Has it a row in the table? OK too is an end.
bool error_is_end(enum error error);

// The row with which a stream ends for `error`: itself where it has one, else what it means to the client.
enum error error_end(enum error error);

// All that follows is for errors with a row.

// 0: nothing can be sent (client_gone, response_incomplete: only logged).
uint16_t error_status(enum error error);
int error_grpc_status(enum error error);

// The code that clients of gRPC take an answer without grpc-status for, by its status (grpc/doc/http-grpc-status-mapping.md): UNKNOWN where that says nothing.
uint16_t error_grpc_of_http(unsigned status);

// Whether clients of the stream's listener may see what is behind it: at a gateway only where spec.edge.proxyStatus says so.
bool error_reply_tells(const struct stream *stream);

// The reply for `error` in the stream's pool, its body in `body`. For a gRPC request: HTTP 200, trailers only, with grpc-status. To one of our own proxies it carries
// outrigger-refused. Proxy-Status says which rule of which policy it was, where one was.
struct head *error_reply_build(struct stream *stream, enum error error, struct buffer *body);

// What another proxy of ours has refused is going to be refused in our own words: what its client is to know of when to come again goes along.
void error_reply_take_over(struct stream *stream, const struct head *refusal);

// For a response that has begun and cannot be completed: the trailers with which a gRPC response over HTTP/2 ends instead, in the stream's pool; NULL: it can only be cut.
const struct fields *error_reply_trailers(struct stream *stream, enum error error);

#endif
