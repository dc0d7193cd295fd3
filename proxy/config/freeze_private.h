// What the files of freezing share: the snapshot in the making. Theirs alone.
#ifndef CONFIG_FREEZE_PRIVATE_H
#define CONFIG_FREEZE_PRIVATE_H

#include "config/freeze.h"
#include "config/merge.h"
#include "config/resource_route.h"
#include "config/resources.h"

struct freezing {
    const struct loading *loading;
    struct snapshot *snapshot;
    struct pool *pool;
    uint32_t capacity; // of snapshot->services
    struct policy_index policies;
    struct map traits;  // of endpoints, by what they are
    struct map entries; // "namespace/name" -> struct frozen_entry, of all ServiceEntries
};

// A ServiceEntry and, once it is frozen, its ports: one service each, in their order.
struct frozen_entry {
    const struct document *document;
    struct service_config **ports; // NULL: not yet
};

// The ports of the ServiceEntry, which is frozen now if it was not; NULL: there is none of that name.
struct frozen_entry *freeze_find_entry(struct freezing *freezing, struct bytes namespace_name, struct bytes name);

// Last of all: rules, tables of routes and destinations, of all services.
void freeze_routes(struct freezing *freezing);

#endif
