// What a client's first bytes are: TLS (for the mesh or not), HTTP/2 by prior knowledge, or HTTP/1.
#ifndef DOWNSTREAM_DETECT_H
#define DOWNSTREAM_DETECT_H

#include "base/bytes.h"

enum detected {
    DETECTED_MORE,  // too few bytes to tell
    DETECTED_HTTP1, // or anything else: the codec says what is wrong with it
    DETECTED_HTTP2,
    DETECTED_TLS_MESH, // a ClientHello that offers an ALPN of ours
    DETECTED_TLS_OTHER
};

// A ClientHello longer than this is not waited for: it is taken as TLS that is not ours.
#define DETECT_BYTES_MAX 8192

// `in`: all bytes so far, contiguous. `tls`: whether TLS may be expected (a Permissive listener).
enum detected detect(struct bytes in, bool tls);

#endif
