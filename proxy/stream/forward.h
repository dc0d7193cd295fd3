// What a request looks like when it is passed on: headers of the mesh taken off and put on, where it goes, which protocol is spoken there.
#ifndef STREAM_FORWARD_H
#define STREAM_FORWARD_H

#include "stream/attempt.h"

struct stream;

// Once, when the stream is routed: brings the path into its canonical form, takes off what nobody outside of the mesh may say, adds x-request-id, Via and,
// inbound, x-forwarded-client-cert. An error refuses the request (BAD_REQUEST: a path that can be read in two ways; LOOP).
MUST_CHECK enum error forward_prepare(struct stream *stream);

// Each attempt's head, when its connection is known.
void forward_attempt_head(struct attempt *attempt, const struct upstream_conn *conn);

// The response's head before the filters see it: takes off what belongs to one hop of the mesh.
void forward_response_head(struct stream *stream, struct attempt *attempt);

// Trailers, of either direction, as they are passed on: without what heads of the mesh, or the handshake, alone may say. NULL: none is left.
const struct fields *forward_trailers(struct stream *stream, const struct fields *trailers);

// Those of the request as they are sent, once its filters are known (trailers may come before): without what these alone may set in its head. NULL: none is left, or none came.
const struct fields *forward_request_trailers(struct stream *stream);

// Which of the endpoint's pools this request is for.
enum pool_kind forward_pool_kind(const struct stream *stream, const struct endpoint *endpoint);

#endif
