// Who a request comes from when its peer is a proxy that we trust (spec.trustedProxies): what x-forwarded-for says, read from its end. Each proxy adds whom it was asked by: the first entry
// from the end that is none of the trusted proxies is the client, since the one that added it is one; what stands before it anybody may have written.
#ifndef STREAM_FORWARDED_FOR_H
#define STREAM_FORWARDED_FOR_H

#include "base/cidr.h"
#include "net/transport.h"

#include <stdbool.h>

struct stream;

struct forwarded_for {
    bool is_believed;     // the peer is trusted
    bool names_client;    // and tells who the client is; else that is the peer
    union address client; // no port
    struct bytes chain;   // the client's entry and those behind it, as they came; empty: none
};

// All lines of x-forwarded-for as one list, in the stream's pool; empty: there is none.
struct bytes forwarded_for_list(struct stream *stream);

// When the head is there, before any field of it is changed.
void forwarded_for_read(struct stream *stream);

// The client's address: what a trusted peer told, else the peer's.
const union address *stream_client_address(const struct stream *stream);

// False: that is none of IP.
bool stream_client_ip(const struct stream *stream, struct ip *ip);

#endif
