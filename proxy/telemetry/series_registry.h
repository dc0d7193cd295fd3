// Which series of requests a process has, over all its workers: at most so many of each family, whatever peers send. What comes beyond counts in the family's one overflow series.
//
// A worker enters a series when it meets it for the first time, and leaves it when it lets go of it: both take a lock. Once a family is full, what is unknown is told from
// what another worker has by a filter of bits, so that a flood of new names takes none. Series are known by 64 bits of a hash with a key of this process.
//
// From the first that enters to the last that leaves is one life of a series; if it returns it begins another. Gatherings, in which main asks all workers for copies, have
// numbers, so that a worker can know which of them may still be told of a life that is over (series_left.h).
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
    SERIES_ENDS,   // how all of these ended: counted, not timed
    SERIES_FAMILIES
};

// OpenTelemetry's limit, and the most that may be asked for: one has 0.2 KiB in each worker, 2.5 KiB of a page. The most is also what SERIES_ENDS may have, whatever is asked for:
// nothing that a peer sends makes one, one is a line of 0.1 KiB, and alarms go by them.
#define SERIES_MAX_DEFAULT 2000
#define SERIES_MAX_MAX 20000

struct series_registry;

struct series_registry *series_registry_create(void);

// No worker has a series any more.
void series_registry_destroy(struct series_registry *registry);

// Any thread. `max`: series of each family of durations; those that are there stay. `exponential`: durations are recorded in exponential histograms too, from now (`wall`) on where they were not.
void series_registry_set(struct series_registry *registry, uint32_t max, bool exponential, nanoseconds wall);

// Any worker, lock-free. 0: they are not.
nanoseconds series_registry_exponential_since(const struct series_registry *registry);

struct series_life {
    uint64_t number;   // no other life of any series has it; a later one of the same series a higher one
    nanoseconds begun; // by the wall clock
};

// A worker begins its part of a series; false: there are too many. A worker may have several parts of one.
MUST_CHECK bool series_registry_enter(struct series_registry *registry, enum series_family family, uint64_t fingerprint, nanoseconds wall,
                                      struct series_life *life);

// Once for each that entered. True: it was the last, and that life is over.
bool series_registry_leave(struct series_registry *registry, enum series_family family, uint64_t fingerprint);

// Whether that life is not over.
bool series_registry_lives(struct series_registry *registry, enum series_family family, uint64_t fingerprint, uint64_t life);

// Main thread: a gathering begins, and has the number that is returned; all up to that number are over.
uint64_t series_registry_gather(struct series_registry *registry);
void series_registry_gathered(struct series_registry *registry, uint64_t number);

// Any thread: the number of the last gathering that has begun; whether all up to that number are over; changes when a life or a gathering is over.
uint64_t series_registry_gatherings(const struct series_registry *registry);
bool series_registry_is_over(const struct series_registry *registry, uint64_t number);
uint64_t series_registry_changes(const struct series_registry *registry);

// Series of the family that there are. Any thread.
uint32_t series_registry_count(const struct series_registry *registry, enum series_family family);

#endif
