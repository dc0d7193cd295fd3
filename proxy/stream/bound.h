// A snapshot as one worker uses it: for each of its destinations the live cluster and the chain of filters. Pinned by streams with a plain counter.
#ifndef STREAM_BOUND_H
#define STREAM_BOUND_H

#include "config/snapshot.h"
#include "stream/chain_set.h"
#include "upstream/cluster.h"

struct bound_destination {
    const struct destination *config;
    struct cluster *cluster; // of config->service; one reference
    struct list of_cluster;  // cluster->bound; of one that is shared: linked nowhere
    const struct chain *chain;
    const struct chain *attempt_chain; // of each attempt
    struct series_scope *series;       // of config->rule and its service; one reference; NULL: not used yet
    struct series_scope *ends;         // the same of its service alone
    enum filter_role role;             // inbound: the application behind a listener
    int64_t share;                     // of a rule's backend: how far it is behind what its weight gives it
    struct keepsake *keepsakes;        // by `next`, one for each listener; one reference each
};

// Hosts that were asked for lately: a caller asks for the same few again and again, letter by letter alike.
#define BOUND_HOSTS 16
#define BOUND_HOST_BYTES 112

struct bound_host {
    struct bound_destination *destination; // NULL: nothing is known
    uint8_t length;
    char authority[BOUND_HOST_BYTES];
};

struct bound_snapshot {
    struct upstream *upstream;
    struct snapshot *snapshot;              // that of the chains
    struct chain_set *chains;               // one reference
    struct bound_destination *destinations; // in the order of snapshot->destinations
    uint32_t bound_count;                   // of these, so many are bound
    struct regex_matcher *matcher;          // NULL: no rule needs one
    struct bound_host hosts[BOUND_HOSTS];   // one place for each authority, by its length and last byte
    uint32_t pins;                          // one of the worker while it is the newest, of each listener and stream that uses it
    struct list streams;                    // struct stream.of_bound
    struct list stayed;                     // the same: those that could not let go when they were looked at
    bool is_retired;                        // there is a newer one
    struct task task; // some work in each turn: looks at its streams once it is retired; lets go of destinations once there is no pin
};

// Worker's thread, once the clusters of chains->snapshot are there (upstream_change.h). Takes over the caller's reference to the chains. One pin. It may be used once
// bound_next has said that nothing is left.
struct bound_snapshot *bound_create(struct upstream *upstream, struct chain_set *chains);

// Binds one more destination. False: none was left.
bool bound_next(struct bound_snapshot *bound);

// A newer one is in force. Takes over the worker's pin. Streams that can do without it take a keepsake (keepsake.h) and let go, some in each turn; others when they can.
void bound_retire(struct bound_snapshot *bound);

static inline void bound_pin(struct bound_snapshot *bound) {
    bound->pins++;
}

// With the last pin the references to the clusters and to the chains go, some in each turn of the loop, then it is freed.
void bound_unpin(struct bound_snapshot *bound);

// The same cluster and series, with references of its own, for `config`, which says the same and lies elsewhere. Without chains.
struct bound_destination bound_share(const struct bound_destination *destination, const struct destination *config);
void bound_let_go(struct bound_destination *destination);

// Where its requests are counted, and how they ended. Borrowed. Whichever snapshot's destination is the first to ask, those of all others that have its rule and service hold
// it too from then on: what a stream counts at its end stays as long as the newest documents have what it was for, however old its own are.
struct series_scope *bound_series(struct bound_destination *destination);
struct series_scope *bound_ends(struct bound_destination *destination);

// The service as such, whatever routes it has.
struct bound_destination *bound_find(struct bound_snapshot *bound, const struct service_config *service);

// The service that a request for `authority` means, without a port that of the scheme: 80. NULL: none.
struct bound_destination *bound_find_host(struct bound_snapshot *bound, struct bytes authority);

// The backend of the rule that this request goes to: each in turn by its weight, evenly over any few requests. `rule` has at least one.
struct bound_destination *bound_choose(struct bound_snapshot *bound, const struct route_rule *rule);

// That which the next request would go to. Changes nothing.
struct bound_destination *bound_foresee(struct bound_snapshot *bound, const struct route_rule *rule);

// That to which the key of a request belongs (stream/backend_hash.h).
struct bound_destination *bound_choose_by_hash(struct bound_snapshot *bound, const struct route_rule *rule, uint64_t key);

// The service of protocol TLS that a client means who asks for `name` (SNI) at `port`; 0: any. NULL: none.
struct bound_destination *bound_find_server_name(struct bound_snapshot *bound, struct bytes name, uint16_t port);

// The service among whose hosts the address stands that a connection was going to. NULL: none.
struct bound_destination *bound_find_address(struct bound_snapshot *bound, const struct sockaddr *destination);

#endif
