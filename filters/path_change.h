// What RequestRedirect and URLRewrite do to a path (Gateway API, HTTPPathModifier).
#ifndef FILTERS_PATH_CHANGE_H
#define FILTERS_PATH_CHANGE_H

#include "base/pool.h"
#include "config/route.h"

// The new path of a request for `path`, with the query that it came with. In `pool`, or `path` itself where nothing changes.
struct bytes path_change_apply(const struct path_change *change, struct bytes path, struct pool *pool);

// Host and path of a request as a backend gets them (Gateway API, HTTPURLRewriteFilter).
void rewrite_apply(const struct route_rewrite *rewrite, struct head *head, struct pool *pool);

#endif
