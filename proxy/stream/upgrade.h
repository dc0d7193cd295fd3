// What a WebSocket's handshake needs where the two sides of a stream speak different protocols. Over HTTP/1 a key and its answer prove that the server has understood
// (RFC 6455 section 4); over HTTP/2 there are none (RFC 8441 section 5). So toward HTTP/1 a request that came over HTTP/2 gets a key, and what answers it is checked here; and
// a client that has sent a key gets its answer, whichever way the upgrade was made upstream. From HTTP/1 to HTTP/1 both pass as they are.
#ifndef STREAM_UPGRADE_H
#define STREAM_UPGRADE_H

#include "stream/attempt.h"

struct stream;

// The head of an attempt that asks for a tunnel, before it is sent on a connection of that version.
void upgrade_attempt_head(struct attempt *attempt, enum http_version version);

// The final head of its answer: a 101 to what was asked, or a refusal that can be told? UPGRADE_FAILED: neither.
MUST_CHECK enum error upgrade_check_answer(const struct attempt *attempt);

// A 101 before the filters see it.
void upgrade_response_head(const struct stream *stream, struct attempt *attempt);

#endif
