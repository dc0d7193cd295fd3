// The documents of this process: reads them at the start, again when they change, and keeps the last good set when the new one is refused.
//
// Owner:      the proxy.
// Start:      documents_open reads for the first time, documents_watch begins to follow changes.
// Callbacks:  `changed`, for each set that has no error, from documents_open and _reload too.
// Cancel:     documents_close.
// Memory:     the caller's.
#ifndef APP_DOCUMENTS_H
#define APP_DOCUMENTS_H

#include "app/options.h"
#include "config/load.h"
#include "net/file_watch.h"
#include "net/loop.h"

//   steady -> settling: the files have changed
//   settling -> steady: the set was taken; or refused, where its last change is long ago
//   settling -> doubted: it has errors, and may be half written
//   doubted -> steady: read once more, and taken or refused
enum documents_phase { DOCUMENTS_STEADY, DOCUMENTS_SETTLING, DOCUMENTS_DOUBTED };

struct documents {
    struct loop *loop;
    const struct options *options;
    struct config_cache *cache;
    struct snapshot *snapshot; // in force; one reference
    uint64_t generation;
    struct config_load_figures figures; // of the set in force
    nanoseconds load_duration;          // of the newest set: until it was refused, or handed to the workers
    uint64_t fingerprint;               // of the files as they were last seen
    struct config_errors errors;        // of the newest set; empty: it is in force
    struct config_errors warnings;
    uint64_t accepted;
    uint64_t refused;
    nanoseconds loaded_wall;
    nanoseconds checked_wall;
    struct file_watch *watch; // NULL: not watched
    enum documents_phase phase;
    nanoseconds unsettled_since;
    nanoseconds changed_at; // last
    struct timer settle;
    // A new set is in force: the old snapshot is still whole during the call. ERROR_INVALID with lines added to `errors` refuses it (a socket that cannot be bound, say).
    enum error (*changed)(void *user, struct snapshot *fresh, struct config_errors *errors);
    // A set was accepted or refused: `cause`, `generation` and `errors` say which; `before` was in force, NULL: none. NULL: nobody wants to hear of it.
    void (*settled)(void *user, const struct documents *documents, const struct snapshot *before);
    const char *cause; // why the newest set was read: "start", "files" (they have changed), or as whoever asked for it says
    void *user;
};

// Reads for the first time; on an error the lines are in `documents->errors`. `environment` outlives it.
MUST_CHECK enum error documents_open(struct documents *documents, struct loop *loop, const struct options *options,
                                     const struct otel_environment *environment,
                                     enum error (*changed)(void *user, struct snapshot *fresh, struct config_errors *errors), void *user);

// Reads again when files change.
void documents_watch(struct documents *documents);

// Reads again at once, whether or not anything seems to have changed: all files, byte for byte. The result is in errors.count.
// `cause`: who asks, a constant.
void documents_reload(struct documents *documents, const char *cause);

void documents_close(struct documents *documents);

#endif
