// Bytes with no framing: a connection as one codec stream, so that opaque TCP goes the way that requests go. Both roles.
//
// A server's stream begins with raw_codec_begin, before any byte came: its head has `opaque` and nothing else of a request. What comes is body, the peer's end is the end of
// the body, and each side's end leaves the other's open (ends_output). A client's connection carries one stream and no further one.
//
// RAW_ANNOUNCED is the protocol outrigger-tcp/1 (ALPN) between two of our proxies: the server's first octet says whether the far application was reached. 0: it was, the
// application's bytes follow. Any other number is the length of a name of docs/errors that follows, why it was refused, and nothing else does. So a caller's proxy can
// go elsewhere, as long as it has what was sent so far. Over RAW_PLAIN nothing is added: a client's answer is there as soon as its stream is, and a refusal cannot be told.
// RAW_TLS is RAW_PLAIN of a server whose client has begun a TLS handshake: that nobody has the name that it asks for is told by TLS's own alert.
#ifndef HTTP_RAW_CODEC_H
#define HTTP_RAW_CODEC_H

#include "http/codec.h"

enum raw_form { RAW_PLAIN, RAW_ANNOUNCED, RAW_TLS };

// `out` and `handler` are borrowed for the codec's life. Never NULL. Freed by ops->dispose.
struct codec *raw_codec_create(enum codec_role role, enum raw_form form, const struct codec_handler *handler, void *owner, struct buffer *out);

// Server, once: begins the stream, from within handler->begin and handler->head. `authority`: the name that the client said (SNI), for logs; empty: none. Kept by reference.
void raw_codec_begin(struct codec *codec, struct bytes authority);

#endif
