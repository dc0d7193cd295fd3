// Builds and ends the chains of a snapshot. Which filters there are and in which order stands elsewhere: the registered types and chain_order.c.
#include "stream/chain_set.h"

#include "base/check.h"
#include "net/loop.h"

#include <stdlib.h>

enum filter_role chain_role(const struct service_config *service) {
    return service->is_application ? FILTER_INBOUND : FILTER_OUTBOUND;
}

struct chain_set *chain_set_create(struct snapshot *snapshot, const struct filter_type *const *filters, const struct policy_states *states,
                                   struct loop *home) {
    struct chain_set *set = alloc_zeroed_or_abort(1, sizeof *set);
    atomic_init(&set->references, 1);
    set->snapshot = snapshot;
    set->home = home;
    pool_source_init(&set->chunks, 0);
    pool_init(&set->pool, &set->chunks);
    set->chains = pool_alloc_zeroed(&set->pool, (snapshot->destination_count + 1) * sizeof set->chains[0]);
    set->attempt_chains = pool_alloc_zeroed(&set->pool, (snapshot->destination_count + 1) * sizeof set->attempt_chains[0]);
    for (uint32_t i = 0; i < snapshot->destination_count; i++) {
        const struct destination *destination = snapshot->destinations[i];
        enum filter_role role = chain_role(destination->service);
        CHECK(destination->index == i);
        set->chains[i] = chain_build(filters, destination, role, FILTER_ABOVE_ATTEMPTS, states, &set->pool);
        set->attempt_chains[i] = chain_build(filters, destination, role, FILTER_BELOW_ATTEMPTS, states, &set->pool);
    }
    return set;
}

struct chain_set *chain_set_ref(struct chain_set *set) {
    uint32_t before = atomic_fetch_add_explicit(&set->references, 1, memory_order_relaxed);
    CHECK(before > 0);
    return set;
}

static void dispose_filters(const struct chain *chain) {
    for (uint32_t i = 0; i < chain->count; i++) {
        const struct filter *filter = &chain->filters[i];
        if (filter->type->ops.dispose != NULL)
            filter->type->ops.dispose(filter->config);
    }
}

void chain_set_unref(struct chain_set *set) {
    uint32_t before = atomic_fetch_sub_explicit(&set->references, 1, memory_order_acq_rel);
    CHECK(before > 0);
    if (before > 1)
        return;
    for (uint32_t i = 0; i < set->snapshot->destination_count; i++) {
        dispose_filters(set->chains[i]);
        dispose_filters(set->attempt_chains[i]);
    }
    pool_dispose(&set->pool);
    pool_source_dispose(&set->chunks);
    snapshot_unref(set->snapshot);
    free(set);
}

static void take_back(void *receiver, void *argument) {
    (void)receiver;
    chain_set_unref(argument);
}

void chain_set_give_back(struct chain_set *set) {
    if (set->home == NULL || loop_send(set->home, take_back, set) != OK)
        chain_set_unref(set);
}
