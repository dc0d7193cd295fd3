// Where the endpoints of a service are, and which of them come first.
#ifndef UPSTREAM_LOCALITY_H
#define UPSTREAM_LOCALITY_H

#include "base/bytes.h"
#include "config/snapshot.h"

// Told apart by all three.
struct locality {
    struct bytes zone, region; // owned
    uint32_t priority;
    uint16_t level; // those of level 0 come first
};

// Those of one service. All zero: none.
struct localities {
    struct locality *items;
    uint16_t count;
    uint16_t capacity;
    uint16_t levels; // how many there are
};

// The number of the one that these endpoints are in; added where it is new. There are at most as many as the service has endpoints: 10,000.
uint16_t localities_find(struct localities *localities, const struct endpoint_traits *traits);

// By priority, and in each by how near it is to `zone` and `region`, ours, as the policy says.
void localities_order(struct localities *localities, const struct traffic_config *traffic, struct bytes zone, struct bytes region);

void localities_dispose(struct localities *localities);

#endif
