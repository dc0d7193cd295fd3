// The chains of a snapshot, one for each of its destinations: built once, on the main thread, and shared by all workers. Immutable, reference-counted over threads.
#ifndef STREAM_CHAIN_SET_H
#define STREAM_CHAIN_SET_H

#include "base/pool.h"
#include "config/snapshot.h"
#include "stream/filter.h"

#include <stdatomic.h>

struct loop;

struct chain_set {
    _Atomic uint32_t references;
    struct snapshot *snapshot; // one reference: configs of filters may point into it
    struct loop *home;         // of the thread that frees it; NULL: whichever is the last
    struct pool_source chunks;
    struct pool pool;            // the chains and their configs
    const struct chain **chains; // in the order of snapshot->destinations
    const struct chain **attempt_chains;
};

// Takes over the caller's reference to the snapshot. One reference. `filters` and `states` as for chain_build. `home`: see chain_set_give_back; NULL: none.
struct chain_set *chain_set_create(struct snapshot *snapshot, const struct filter_type *const *filters, const struct policy_states *states,
                                   struct loop *home);

struct chain_set *chain_set_ref(struct chain_set *set);

// Any thread. With the last the filters' configs are disposed of, once each, then the snapshot's reference goes.
void chain_set_unref(struct chain_set *set);

// The same, on the loop of `home`, by message: freeing thousands of documents takes milliseconds, which no worker has. Here after all where its mailbox is full.
void chain_set_give_back(struct chain_set *set);

// What a service is to its chain: an application behind a listener, or something to call.
enum filter_role chain_role(const struct service_config *service);

#endif
