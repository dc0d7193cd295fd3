// Which series of requests a process has, over all its workers: at most so many of each family, whatever peers send. What comes beyond counts in the family's one overflow series.
//
// A worker enters a series when it meets it for the first time, and leaves it when it forgets it: both take a lock. Once a family is full, what is unknown is told from
// what another worker has by a filter of bits, so that a flood of new names takes none. Series are known by 64 bits of hash: should two ever be alike, one more is let in.
#ifndef TELEMETRY_SERIES_REGISTRY_H
#define TELEMETRY_SERIES_REGISTRY_H

#include "base/clock.h"
#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

enum series_family {
    SERIES_HTTP_SERVER,
    SERIES_HTTP_CLIENT,
    SERIES_RPC_SERVER,
    SERIES_RPC_CLIENT,
    SERIES_OPAQUE, // connections whose bytes are not looked into
    SERIES_FAMILIES
};

// OpenTelemetry's limit, and the most that may be asked for: one has 0.2 KiB in each worker, 2.5 KiB of a page.
#define SERIES_MAX_DEFAULT 2000
#define SERIES_MAX_MAX 20000

struct series_registry;

struct series_registry *series_registry_create(void);

// No worker has a series any more.
void series_registry_destroy(struct series_registry *registry);

// Any thread. `max`: series of each family; those that are there stay. `exponential`: durations are recorded in exponential histograms too, from now (`wall`) on where they were not.
void series_registry_set(struct series_registry *registry, uint32_t max, bool exponential, nanoseconds wall);

// Any worker, lock-free. 0: they are not.
nanoseconds series_registry_exponential_since(const struct series_registry *registry);

// A worker begins a series; false: there are too many. `*begun`: when the first worker did, by the wall clock.
MUST_CHECK bool series_registry_enter(struct series_registry *registry, enum series_family family, uint64_t fingerprint, nanoseconds wall,
                                      nanoseconds *begun);

// Once for each that entered. With the last worker the series is forgotten.
void series_registry_leave(struct series_registry *registry, enum series_family family, uint64_t fingerprint);

// Series of the family that there are. Any thread.
uint32_t series_registry_count(const struct series_registry *registry, enum series_family family);

#endif
