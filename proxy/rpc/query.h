// Parameters of a query, `a=1&b=2`, as forms write them (application/x-www-form-urlencoded).
#ifndef RPC_QUERY_H
#define RPC_QUERY_H

#include "base/bytes.h"
#include "base/pool.h"

#include <stdbool.h>

// Takes the next parameter off `query`, decoded into `pool`. A parameter without `=` has an empty value. What is not a valid escape stays as it is.
// False at the end.
bool query_next(struct bytes *query, struct pool *pool, struct bytes *name, struct bytes *value);

// The first parameter of that name; false when there is none.
bool query_find(struct bytes query, struct bytes name, struct pool *pool, struct bytes *value);

#endif
