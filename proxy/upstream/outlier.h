// Whether an endpoint is ejected: left out for a while since it failed in a row. One state for all workers, in atomics alone, so that a failure is counted exactly and nobody waits; time is
// passed in. What counts as a failure is not known here, nor what becomes of an endpoint that is ejected.
//
// The n-th ejection lasts n x ejectFor, at most maxEjectFor. Each interval that passes without one, counted from the endpoint's return, takes one off n again.
#ifndef UPSTREAM_OUTLIER_H
#define UPSTREAM_OUTLIER_H

#include "base/clock.h"
#include "config/health_config.h"

#include <stdatomic.h>

// Of one endpoint. All zero: it never failed.
struct outlier {
    _Atomic uint32_t failures; // in a row
    _Atomic uint64_t word;     // outlier.c
};

// Of a service: what its endpoints have in common. Shadow: of a policy in a dry run.
struct outlier_counts {
    _Atomic uint32_t ejected, shadow_ejected; // now
    _Atomic uint64_t ejections, shadow_ejections;
    _Atomic uint64_t refused; // ejections that were not made, since maxEjectedPercent were
};

enum outlier_change {
    OUTLIER_NONE,
    OUTLIER_EJECTED,
    OUTLIER_REFUSED, // it would have been ejected, but as many as may be are
    OUTLIER_RETURNED
};

// What is known of one at a time.
struct outlier_view {
    bool is_ejected;
    bool is_shadow;       // it would be, were the policy not in a dry run
    uint32_t ejections;   // in a row, as they count for the next one; ejected: this one too
    nanoseconds until;    // ejected: when it returns
    nanoseconds returned; // else when it last did; 0: never was ejected
};

// A request to it went well.
static inline void outlier_note_success(struct outlier *outlier) {
    if (atomic_load_explicit(&outlier->failures, memory_order_relaxed) != 0)
        atomic_store_explicit(&outlier->failures, 0, memory_order_relaxed);
}

// One failed. `endpoints`: how many the service has. RETURNED comes from nobody but outlier_end.
enum outlier_change outlier_note_failure(struct outlier *outlier, struct outlier_counts *counts, const struct outlier_config *config,
                                         uint32_t endpoints, nanoseconds now);

// Ends an ejection whose time is over. RETURNED: this call did, and no other does.
enum outlier_change outlier_end(struct outlier *outlier, struct outlier_counts *counts, nanoseconds now);

// The endpoint is gone: what it takes of the service's share is given back. Nobody else has it any more.
void outlier_dispose(struct outlier *outlier, struct outlier_counts *counts);

struct outlier_view outlier_look(const struct outlier *outlier);

#endif
