// What a client's first bytes are: TLS, HTTP/2 by prior knowledge, HTTP/1, or something else.
#ifndef DOWNSTREAM_DETECT_H
#define DOWNSTREAM_DETECT_H

#include "downstream/client_hello.h"

enum detected {
    DETECTED_MORE,  // too few bytes to tell
    DETECTED_HTTP1, // where nothing else is expected anything that is not below: the codec says what is wrong with it
    DETECTED_HTTP2,
    DETECTED_TLS,
    DETECTED_OPAQUE // no protocol that we speak
};

// What may come on the listener beside HTTP.
struct detect_options {
    bool tls;
    bool opaque;
    bool no_http; // what is not TLS is opaque, whatever it looks like
    bool waited;  // nothing came behind these bytes for a while: unless a request begins with them, their client waits for an answer
};

// `in`: all bytes so far, contiguous. With DETECTED_TLS `hello` is what could be read of the ClientHello: all zero where it could not.
enum detected detect(struct bytes in, struct detect_options options, struct client_hello *hello);

#endif
