// Finds the addresses of services whose endpoints have names, keeps looking as their TTLs end, and makes an endpoint_set of each change. One for the process, on the main thread.
//
// Each name is looked up once, however many services use it. Its last good answer stays in force whatever comes after: a server that fails, a name that is gone, an empty answer, SRV
// records of which no target has an address. It is asked again after a second, then after longer and longer.
//
// Owner:      the main thread's composition.
// Start:      resolver_apply, for each new snapshot.
// Callbacks:  `publish`, for each service of the snapshot at once (from within resolver_apply), then whenever its endpoints have changed.
// Cancel:     resolver_close.
// Memory:     frees itself on the loop's closing list.
#ifndef UPSTREAM_RESOLVER_H
#define UPSTREAM_RESOLVER_H

#include "base/map.h"
#include "net/dns.h"
#include "net/loop.h"
#include "telemetry/dns_metrics.h"
#include "upstream/endpoint_set.h"

struct resolver;

struct resolver_options {
    // Tests put their own name server here; NULL: net/dns.
    struct dns_lookup *(*look_up)(struct dns *dns, struct bytes name, enum dns_kind kind, nanoseconds timeout,
                                  void (*done)(void *user, const struct dns_result *result), void *user);
    void (*cancel)(struct dns_lookup *lookup);
    nanoseconds (*wall_clock)(void);                        // NULL: the system's
    void (*publish)(void *owner, struct endpoint_set *set); // the reference is the owner's
    void *owner;
};

struct resolver *resolver_create(struct loop *loop, const struct resolver_options *options);

// What is looked up from now on. Answers of names that stay are kept.
void resolver_apply(struct resolver *resolver, struct snapshot *snapshot);

void resolver_close(struct resolver *resolver);

// The figures of this moment.
void resolver_metrics(const struct resolver *resolver, struct dns_metrics *metrics);

// What there is to say of one name.
struct resolved_name_state {
    struct bytes name; // borrowed
    enum dns_kind kind;
    enum dns_name_state state;
    bool asked;                // some answer came
    enum dns_outcome outcome;  // of the newest look-up
    uint32_t records;          // of the answer in force
    uint32_t ttl_s;            // of the newest good answer
    nanoseconds answered_wall; // when that came, since 1970
    uint32_t failures;         // look-ups without a good answer since
    nanoseconds next;          // until the next look-up; 0: it is under way
};

// The names of a service in the order of its endpoints, targets of SRV records behind, those of records that are not in force yet too; at most `max`. Returns how many there are.
uint32_t resolver_names(const struct resolver *resolver, const struct service_config *service, struct resolved_name_state *states, uint32_t max);

#endif
