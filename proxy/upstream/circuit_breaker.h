// A circuit breaker: closed while its service answers, open for a while when it fails, then half-open: some attempts are let through to see whether it is back.
//
// Pure but for its log lines: time and chance are passed in. One for all workers: any of them may ask, begin and settle at any time. An attempt is counted by its outcome, at
// its end, and only where nothing has changed since it began: each change of state is another generation.
#ifndef UPSTREAM_CIRCUIT_BREAKER_H
#define UPSTREAM_CIRCUIT_BREAKER_H

#include "base/rng.h"
#include "config/circuit_breaker_config.h"

enum circuit_state { CIRCUIT_CLOSED, CIRCUIT_OPEN, CIRCUIT_HALF_OPEN };
#define CIRCUIT_STATES 3

enum circuit_outcome {
    CIRCUIT_NONE, // cancelled, or not the service's doing: says nothing, and a probe is given back
    CIRCUIT_SUCCEEDED,
    CIRCUIT_FAILED
};

enum circuit_pass {
    CIRCUIT_REFUSED,
    CIRCUIT_PASSES,
    CIRCUIT_PROBES // it is half-open: there may be no room for others now
};

struct circuit_breaker;

// What somebody sees who looks at it now.
struct circuit_view {
    enum circuit_state state;          // that the next attempt would meet
    nanoseconds wait;                  // until one may pass; 0: one does, or that is not known
    bool refuses;                      // one that came now
    uint32_t in_a_row;                 // failures, while it is closed
    uint64_t requests, failures, slow; // in the window, while it is closed
    uint64_t changes[CIRCUIT_STATES];  // how often it came to each state
};

// Closed, by the numbers of `config`. `policy` and `target` are what the log calls it. One reference.
struct circuit_breaker *circuit_breaker_create(const struct circuit_breaker_config *config, struct bytes policy, struct bytes target);
void circuit_breaker_unref(struct circuit_breaker *breaker);

// Other numbers: what was counted stays. The window is as long as it was.
void circuit_breaker_set(struct circuit_breaker *breaker, const struct circuit_breaker_config *config);

// Changes nothing.
struct circuit_view circuit_breaker_look(struct circuit_breaker *breaker, nanoseconds now);

// Whether one that came now would be refused; `*wait`: as in the view. Cheap while it is closed.
bool circuit_breaker_refuses(struct circuit_breaker *breaker, nanoseconds now, nanoseconds *wait);

// An attempt begins, in `*generation`: to be settled exactly once, until when the breaker is kept; or it is refused, `*wait` as above.
enum circuit_pass circuit_breaker_begin(struct circuit_breaker *breaker, nanoseconds now, uint64_t *generation, nanoseconds *wait);

// `took`: from when it was sent to the head of its answer, or until it failed. True: others may be refused that were not, or the other way round.
bool circuit_breaker_settle(struct circuit_breaker *breaker, uint64_t generation, enum circuit_outcome outcome, nanoseconds took, nanoseconds now,
                            struct rng *rng);

// "closed", "open", "half_open".
const char *circuit_state_name(enum circuit_state state);

#endif
