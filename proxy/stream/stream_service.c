// See stream_service.h. The order is that of docs/protocols.md, "Which service is meant".
#include "stream/stream_service.h"

#include "base/check.h"

static uint16_t port_of(const union address *address) {
    return ntohs(address->any.sa_family == AF_INET ? address->v4.sin_port : address->v6.sin6_port);
}

static bool same_host(const union address *a, const union address *b) {
    if (a->any.sa_family != b->any.sa_family)
        return false;
    return a->any.sa_family == AF_INET ? a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr
                                       : memcmp(&a->v6.sin6_addr, &b->v6.sin6_addr, sizeof a->v6.sin6_addr) == 0;
}

static bool is_loopback(const union address *address) {
    return address->any.sa_family == AF_INET ? ntohl(address->v4.sin_addr.s_addr) >> 24 == 127 : IN6_IS_ADDR_LOOPBACK(&address->v6.sin6_addr);
}

static struct bound_destination *passthrough_of(const struct stream *stream) {
    const struct service_config *passthrough = stream->listener->passthrough;
    return passthrough == NULL || stream->client.destination == NULL ? NULL : bound_find(stream->bound, passthrough);
}

static struct bound_destination *inbound_service(const struct stream *stream) {
    const struct listener_config *listener = stream->listener;
    const struct forward_config *forward = stream->client.destination == NULL ? NULL : listener_forward(listener, &stream->client.destination->any);
    if (forward != NULL)
        return bound_find(stream->bound, forward->service);
    return listener->service != NULL ? bound_find(stream->bound, listener->service) : passthrough_of(stream);
}

static struct bound_destination *outbound_service(const struct stream *stream) {
    const struct head *request = stream->request;
    const union address *destination = stream->client.destination;
    struct bound_destination *service = destination == NULL ? NULL : bound_find_address(stream->bound, &destination->any);
    if (service == NULL && request->opaque && request->authority.len > 0)
        service = bound_find_server_name(stream->bound, request->authority, destination == NULL ? 0 : port_of(destination));
    else if (service == NULL && !request->opaque)
        service = bound_find_host(stream->bound, request->authority);
    return service != NULL ? service : passthrough_of(stream);
}

struct bound_destination *stream_service(const struct stream *stream) {
    switch (stream->listener->role) {
    case ROLE_TCP:
        return bound_find(stream->bound, stream->listener->service);
    case ROLE_INBOUND:
        return inbound_service(stream);
    case ROLE_GATEWAY: // route.c finds it by its own
    case ROLE_OUTBOUND:
        break;
    }
    return outbound_service(stream);
}

bool stream_returns(const struct stream *stream) {
    const union address *destination = stream->client.destination;
    CHECK(destination != NULL);
    // Redirected connections of this machine come from an address of it, and those of others to one.
    bool is_here = is_loopback(destination) || same_host(destination, stream->client.address) || stream->listener->role == ROLE_INBOUND;
    return snapshot_listens_at(stream->bound->snapshot, &destination->any, is_here);
}
