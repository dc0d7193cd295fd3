// Which backend of a rule a key belongs to: weighted rendezvous hashing, so that a tenant stays with its shard. Pure.
#ifndef STREAM_BACKEND_HASH_H
#define STREAM_BACKEND_HASH_H

#include "config/route.h"

// The place among rule->destinations. Of many keys each backend has a share by its weight; a backend that comes or goes, or another weight, moves the keys alone that this
// gives or takes. The same in every proxy. A backend of weight 0 has none; where all have that weight it is the first.
uint32_t backend_by_hash(const struct route_rule *rule, uint64_t key);

#endif
