// Live state of policies: what limits, breakers and bulkheads remember. It is found by policy, rule and target, is one for all workers, and outlives snapshots: documents that
// are read anew find it again as long as one that has it is in use.
//
// A process has two sets of them: what is enforced, and the shadows of policies in a dry run, which count alike and refuse nothing (policy_states).
#ifndef UPSTREAM_POLICY_STATE_H
#define UPSTREAM_POLICY_STATE_H

#include "base/bytes.h"
#include "base/list.h"
#include "telemetry/metrics.h"
#include "upstream/circuit_breaker.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct policy_state;

// A queue in front of so many places, at one moment, and how long it was waited in.
struct policy_queue {
    uint32_t running, limit, queued;
    uint64_t waits[DURATION_BUCKETS];
    nanoseconds waited; // all together
};

// What a kind of state is made of. Const, one for each kind.
struct policy_state_type {
    // A new one, as the policy says; its first member is the struct policy_state, which the set fills. On the main thread.
    struct policy_state *(*create)(const void *config);
    // Its last user is gone. Any thread.
    void (*destroy)(struct policy_state *state);
    // How often it had no room for something; NULL: it never needs any. Any thread.
    uint64_t (*overflows)(struct policy_state *state);
    // Of a circuit breaker (breaker_state.h); NULL: it is none. Any thread.
    struct circuit_breaker *(*breaker)(struct policy_state *state);
    // There is one for each endpoint, so that there may be many more of them than of all others together.
    bool is_of_endpoint;
    // Its queue; NULL: it has none. Any thread.
    void (*queue)(struct policy_state *state, struct policy_queue *queue);
};

// The first member of each.
struct policy_state {
    const struct policy_state_type *type;
    struct policy_state_set *set;
    struct bytes key;    // owned: policy, '\n', rule, '\n', target
    struct bytes policy; // in it
    struct bytes rule, target;
    uint64_t form; // of what is remembered: other numbers have the same, another algorithm or window has another
    uint32_t references;
    struct list link;          // of the set, in the order of their making
    nanoseconds begun;         // by the wall clock
    bool has_figures;          // of its own, from the beginning until it is gone or another form takes its place
    _Atomic uint64_t refusals; // or, of a shadow, what would have been one
    _Atomic uint64_t delays;   // the same of requests that had to wait
};

// Of what remembers nothing, and is only counted.
extern const struct policy_state_type policy_state_counts;

struct policy_state_set;

struct policy_state_set *policy_state_set_create(void);

// All references are gone.
void policy_state_set_destroy(struct policy_state_set *set);

// The state of that rule of that policy for that target; made where there is none, or where the one that is there has another form (whoever has that one keeps it). One reference.
// Any thread.
struct policy_state *policy_state_get(struct policy_state_set *set, struct bytes policy, struct bytes rule, struct bytes target, uint64_t form,
                                      const struct policy_state_type *type, const void *config);

// That one, where it is in use; NULL: it is not. One reference. Any thread.
struct policy_state *policy_state_find(struct policy_state_set *set, struct bytes policy, struct bytes rule, struct bytes target);

// Any thread.
void policy_state_release(struct policy_state *state);

// All of a list: those of the rules of one policy. Any thread.
void policy_states_release(struct policy_state *const *states, uint32_t count);

// So many states of a kind (of endpoints; all others) have figures of their own, those that were there first.
#define POLICY_FIGURES_MAX 1000

// What states have counted together.
struct policy_totals {
    uint64_t refusals, delays, overflows;
    uint64_t changes[CIRCUIT_STATES]; // of breakers
    struct policy_queue queue;        // places and who waits: of those that there are
    bool has_queue;                   // some of these have one
};

// Adds what it has counted.
void policy_totals_add(struct policy_totals *totals, struct policy_state *state);

// Calls `each` for those that have figures of their own, in the order of their making, one of a key; their set is locked meanwhile: `each` neither gets nor releases. Adds to `*rest`
// what all others have counted: that are too many, whose place one of another form has taken, that are gone. What was counted once is in one or the other, at any time. Any thread.
void policy_state_figures(struct policy_state_set *set, void (*each)(struct policy_state *state, void *user), void *user, struct policy_totals *rest);

// Both sets of a process.
struct policy_states {
    struct policy_state_set *live, *shadow;
};

#endif
