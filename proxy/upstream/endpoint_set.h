// The endpoints of a service whose addresses are looked up, as they are known at one moment: made by the resolver on the main thread, handed to the workers by message, each of which
// gives them to its cluster. Immutable, counted over threads. Endpoints change without a new snapshot: the set replaces the one before.
#ifndef UPSTREAM_ENDPOINT_SET_H
#define UPSTREAM_ENDPOINT_SET_H

#include "base/error.h"
#include "base/pool.h"
#include "config/snapshot.h"

struct loop;

struct endpoint_set {
    _Atomic uint32_t references;
    struct loop *home;         // of the thread that frees it; NULL: whichever is the last
    struct snapshot *snapshot; // that `service` and the endpoints' traits lie in; one reference
    const struct service_config *service;
    struct endpoint_config *endpoints;
    uint32_t count;
    enum error error;    // OK with endpoints; DNS_TIMEOUT, DNS_ERROR: there are none, for that; CANCELLED: no answer has come yet
    struct bytes detail; // of an error, for people: "courses.example: nxdomain"
    uint64_t digest;     // of all that a cluster takes from it, set by who makes it; 0: unlike any other
    struct pool_source chunks;
    struct pool pool; // all of it
};

// Empty; one reference.
struct endpoint_set *endpoint_set_create(struct snapshot *snapshot, const struct service_config *service);

struct endpoint_set *endpoint_set_ref(struct endpoint_set *set);
void endpoint_set_unref(struct endpoint_set *set); // any thread

// The same on the loop of `home`, by message: with a set the last reference to an old snapshot may go, which takes milliseconds to free. Here where its mailbox is full.
void endpoint_set_give_back(struct endpoint_set *set);

#endif
