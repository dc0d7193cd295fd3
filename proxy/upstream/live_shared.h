// Live state that all workers of a process share exactly: retry budgets by service, open connections by endpoint. Found by key when a snapshot is applied
// (under a lock, off the data path), then used through atomics alone.
#ifndef UPSTREAM_LIVE_SHARED_H
#define UPSTREAM_LIVE_SHARED_H

#include "base/bytes.h"
#include "upstream/retry_budget.h"

#include <stdatomic.h>

struct live_shared;

struct service_shared {
    struct retry_budget budget;
    uint32_t references;
};

struct endpoint_shared {
    _Atomic uint32_t connections;
    uint32_t references;
};

struct live_shared *live_shared_create(void);
void live_shared_destroy(struct live_shared *shared);

// Any thread. The object for that key, made when new; one reference each, given back by the _release functions.
struct service_shared *live_shared_service(struct live_shared *shared, struct bytes key);
void live_shared_service_release(struct live_shared *shared, struct bytes key);
struct endpoint_shared *live_shared_endpoint(struct live_shared *shared, struct bytes key);
void live_shared_endpoint_release(struct live_shared *shared, struct bytes key);

#endif
