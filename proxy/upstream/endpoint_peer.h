// Who is expected at endpoints, and how connections to them are protected: what endpoints of one worker that are alike share. Outlives snapshots with its endpoints.
#ifndef UPSTREAM_ENDPOINT_PEER_H
#define UPSTREAM_ENDPOINT_PEER_H

#include "certs/server_name.h"
#include "certs/spiffe_id.h"
#include "config/endpoint_config.h"

struct upstream;

struct endpoint_peer {
    struct bytes key; // owned, as all below
    enum tls_mode tls;
    struct spiffe_id *identities;
    uint32_t identity_count;
    struct server_name *names; // Simple, as the two below
    uint32_t name_count;
    struct bytes server_name;
    struct bytes authorities; // ca_set_config.key
    uint32_t references;
};

// With one reference more.
struct endpoint_peer *endpoint_peer_get(struct upstream *upstream, const struct endpoint_traits *traits);
void endpoint_peer_release(struct upstream *upstream, struct endpoint_peer *peer);

#endif
