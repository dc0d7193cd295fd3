// What documents say of an endpoint, as a snapshot and the sets of endpoints beside it (upstream/endpoint_set.h) have it.
#ifndef CONFIG_ENDPOINT_CONFIG_H
#define CONFIG_ENDPOINT_CONFIG_H

#include "certs/spiffe_id.h"
#include "config/endpoint_address.h"
#include "config/origin_config.h"

enum tls_mode { TLS_NONE, TLS_MESH, TLS_SIMPLE };

const char *tls_mode_word(enum tls_mode mode); // as documents say it

// What endpoints have in common, once for all that are alike.
struct endpoint_traits {
    enum tls_mode tls;
    const struct spiffe_id *identities; // for Mesh: one must match the peer's
    uint32_t identity_count;
    const struct origin_config *origin; // for Simple; else NULL
    struct bytes zone, region;          // empty: not told
    uint32_t priority;                  // those of the lowest number are used first
    struct bytes peer_key;              // TLS mode and who is expected as text: together with the address the live endpoint is found by it
};

// Small, since a service may have ten thousand.
struct endpoint_config {
    struct endpoint_address address;
    uint32_t weight; // 1 unless said otherwise; 0: takes no new requests
    const struct endpoint_traits *traits;
};

// What one endpoint of a service that is resolved is made of: as many endpoints as its name has addresses.
struct endpoint_source {
    struct bytes name;               // lower-case; NUL behind it; empty: `endpoint` is whole
    struct endpoint_config endpoint; // else without its address; with SRV without port and weight too
};

enum resolution { RESOLUTION_STATIC, RESOLUTION_DNS, RESOLUTION_SRV };

#endif
