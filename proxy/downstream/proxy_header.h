// The header of the PROXY protocol, versions 1 and 2, which a load balancer puts in front of a connection to say whose it is. A pure parser of bytes.
#ifndef DOWNSTREAM_PROXY_HEADER_H
#define DOWNSTREAM_PROXY_HEADER_H

#include "base/bytes.h"
#include "net/transport.h"

// The longest header that is taken, extensions (TLVs) included: those in use are some hundred bytes, a version 2 header might be 64 KiB.
#define PROXY_HEADER_MAX 4096

enum proxy_header_result {
    PROXY_HEADER_MORE, // too few bytes to tell
    PROXY_HEADER_READ,
    PROXY_HEADER_NONE, // the bytes begin with something else
    PROXY_HEADER_BAD   // it is one, and it is wrong or too long
};

struct proxy_header {
    size_t length;        // bytes that it takes; what follows is the connection's own
    bool has_source;      // false: LOCAL or UNKNOWN, or a family that is no IP: the connection's own address holds
    union address source; // of the client
};

// `in`: all bytes so far, contiguous.
enum proxy_header_result proxy_header_read(struct bytes in, struct proxy_header *header);

#endif
