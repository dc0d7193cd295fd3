// The documents of this process: reads them at the start, again when they change, and keeps the last good set when the new one is refused.
#ifndef APP_DOCUMENTS_H
#define APP_DOCUMENTS_H

#include "app/options.h"
#include "config/load.h"
#include "net/loop.h"

struct documents {
    struct loop *loop;
    const struct options *options;
    struct snapshot *snapshot;      // in force; one reference
    uint64_t generation;
    uint64_t fingerprint;
    struct config_errors errors;    // of the newest set; empty: it is in force
    struct config_errors warnings;
    uint64_t accepted;
    uint64_t refused;
    nanoseconds loaded_wall;
    nanoseconds checked_wall;
    struct timer poll;
    // A new set is in force: the old snapshot is still whole during the call. ERROR_INVALID with lines added to `errors` refuses it (a socket that cannot be bound, say).
    enum error (*changed)(void *user, struct snapshot *fresh, struct config_errors *errors);
    void *user;
};

// Reads for the first time; on an error the lines are in `documents->errors`.
MUST_CHECK enum error documents_open(struct documents *documents, struct loop *loop, const struct options *options,
                                     enum error (*changed)(void *user, struct snapshot *fresh, struct config_errors *errors), void *user);

// Looks every second whether a file has changed.
void documents_watch(struct documents *documents);

// Reads again whether or not anything changed. The result is in errors.count.
void documents_reload(struct documents *documents);

void documents_close(struct documents *documents);

#endif
