// The matches of a table of routes in the order in which stream/route_match tries them.
#ifndef ADMIN_ROUTE_WALK_H
#define ADMIN_ROUTE_WALK_H

#include "base/pool.h"
#include "config/route.h"

// Calls `each` for all of a table of requests; of opaque connections there are none.
void route_walk(const struct route_table *table, struct pool *pool, void (*each)(void *user, const struct route_match *match), void *user);

#endif
