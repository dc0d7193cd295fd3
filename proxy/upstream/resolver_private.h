// What resolver.c (names) and resolver_service.c (services, their sets of endpoints) share. Not for anyone else.
#ifndef UPSTREAM_RESOLVER_PRIVATE_H
#define UPSTREAM_RESOLVER_PRIVATE_H

#include "upstream/lookup_queue.h"
#include "upstream/resolver.h"

// What a name server has said of a name.
struct name_answer {
    struct pool pool; // of the records
    struct dns_record *records;
    uint32_t count;
    struct resolved_name **targets; // of SRV records, one for each; NULL: it has none ("not available")
    nanoseconds confirmed_at;       // when it was last the newest answer
};

// A name, as long as some service, or SRV records of another name, use it.
struct resolved_name {
    struct resolver *resolver;
    struct bytes key; // "a courses.example", "srv _http._tcp.courses.example"; owned
    struct bytes name;
    enum dns_kind kind;
    uint32_t references;
    struct dns_lookup *lookup; // under way
    struct lookup_turn turn;   // to be looked up
    struct timer timer;        // the next time
    nanoseconds begun;         // of the look-up under way
    struct name_answer answer; // the last good one, in force
    struct name_answer newer;  // of SRV records: what is to follow it once one of its targets has an address
    struct list held;          // in resolver.held while there is a newer one
    bool answered;
    bool asked;
    enum dns_outcome outcome;
    uint32_t failures;
    uint32_t ttl_s;
    nanoseconds answered_wall;
    bool changed; // since the services were made of it
};

struct resolved_service {
    const struct service_config *config; // in resolver.snapshot
    struct resolved_name **names;        // one for each source; NULL: it is an address
    uint64_t digest;                     // of the set that was published last
};

struct resolver {
    struct loop *loop;
    struct resolver_options options;
    struct dns *dns;
    struct bytes dns_servers;  // that `dns` was made with; owned
    struct snapshot *snapshot; // NULL: none yet
    struct map names;
    struct map by_key; // service key -> struct resolved_service
    struct resolved_service *services;
    uint32_t service_count;
    struct lookup_queue queue;
    struct list held; // names whose newer answer leads nowhere yet
    struct task work; // services whose names have changed
    struct dns_metrics metrics;
    bool closing;
    struct task release;
};

static inline bool name_has_newer(const struct resolved_name *name) {
    return !list_is_empty(&name->held);
}

enum dns_name_state resolved_name_state(const struct resolved_name *name);

// Makes the set of a service out of what its names say now, and publishes it where it differs from the last (or `always`).
void resolved_service_publish(struct resolver *resolver, struct resolved_service *service, bool always);

// Whether one of its names has changed.
bool resolved_service_is_touched(const struct resolved_service *service);

#endif
