// The life of a set: counted, freed by the thread that lets go of it last.
#include "upstream/endpoint_set.h"

#include "base/check.h"
#include "net/loop.h"

#include <stdlib.h>

struct endpoint_set *endpoint_set_create(struct snapshot *snapshot, const struct service_config *service) {
    struct endpoint_set *set = alloc_zeroed_or_abort(1, sizeof *set);
    atomic_init(&set->references, 1);
    set->snapshot = snapshot_ref(snapshot);
    set->service = service;
    pool_source_init(&set->chunks, 0); // of its own: it changes threads
    pool_init(&set->pool, &set->chunks);
    return set;
}

struct endpoint_set *endpoint_set_ref(struct endpoint_set *set) {
    uint32_t before = atomic_fetch_add_explicit(&set->references, 1, memory_order_relaxed);
    CHECK(before > 0);
    return set;
}

void endpoint_set_unref(struct endpoint_set *set) {
    uint32_t before = atomic_fetch_sub_explicit(&set->references, 1, memory_order_acq_rel);
    CHECK(before > 0);
    if (before > 1)
        return;
    pool_dispose(&set->pool);
    pool_source_dispose(&set->chunks);
    snapshot_unref(set->snapshot);
    free(set);
}

static void take_back(void *receiver, void *argument) {
    (void)receiver;
    endpoint_set_unref(argument);
}

void endpoint_set_give_back(struct endpoint_set *set) {
    if (set->home == NULL || loop_send(set->home, take_back, set) != OK)
        endpoint_set_unref(set);
}
