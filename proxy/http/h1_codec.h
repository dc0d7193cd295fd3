// HTTP/1.0 and 1.1 (RFC 9112) on llhttp, in both roles. What llhttp lets through and we do not is refused here:
// the version is exactly 1.0 or 1.1, no Transfer-Encoding on 1.0, none together with Content-Length, no `#`, space or control in a target, one valid Host, statuses 100 to 599, no 101 that was not asked for.
// llhttp itself refuses a second Content-Length, even one that equals the first.  A request may go over to
// the WebSocket protocol (codec.h, codec_tunnel); what else an Upgrade names, on 1.0, with a body or a method other than GET, or without what RFC 6455 section 4.1 asks for,
// is passed over. A connection whose upgrade was refused carries no further request: who knows how its server has read it.
#ifndef HTTP_H1_CODEC_H
#define HTTP_H1_CODEC_H

#include "http/codec.h"

// `out` and `handler` are borrowed for the codec's life. Never NULL. Freed by ops->dispose.
struct codec *h1_codec_create(enum codec_role role, const struct codec_limits *limits, const struct codec_handler *handler, void *owner,
                              struct buffer *out);

#endif
