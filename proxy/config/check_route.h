// Whether what routes refer to is there.
#ifndef CONFIG_CHECK_ROUTE_H
#define CONFIG_CHECK_ROUTE_H

#include "base/map.h"
#include "config/document.h"

// `names`: all documents by "Kind/namespace/name". A parent that is not there is an error; a backend that is not is a warning, since Gateway API has requests for it
// answered with 500.
void check_routes(struct loading *loading, const struct map *names);

#endif
