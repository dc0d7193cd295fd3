// Files that are of use together, a certificate and its key: watched, and loaded anew as they change. A set that cannot be used is tried again for a moment, since a
// certificate may be there before its key, before it counts as refused.
//
// Owner:      an identity, on the main thread.
// Start:      watched_files_create; the files are tried in the next turn.
// Callbacks:  `load`, for each try; `refuse`, once for each set that stays of no use; `looked`, after each look. Never from within create.
// Cancel:     watched_files_close: none follows.
// Memory:     frees itself on the loop's closing list.
#ifndef IDENTITY_WATCHED_FILES_H
#define IDENTITY_WATCHED_FILES_H

#include "base/clock.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop;

struct watched_files;

// With its NUL.
#define WATCHED_FILES_REASON_SIZE 384

struct watched_files_options {
    const char *const *paths; // the texts must outlive it; the list is copied
    uint32_t count;
    nanoseconds poll_interval; // the files are looked at this often, whatever the system tells of changes; 0: 5 s
    // Takes what the files say now, or keeps what there was and says why in `reason`. It asks watched_files_confirm between reading and using them.
    enum error (*load)(void *owner, char *reason, size_t reason_size);
    void (*refuse)(void *owner, const char *reason);
    void (*looked)(void *owner); // may be NULL
    void *owner;
};

struct watched_files *watched_files_create(struct loop *loop, const struct watched_files_options *options);

// Whether what `load` has read is of one set. ERROR_IO with a text in `reason`: a file has changed since the try began.
enum error watched_files_confirm(const struct watched_files *files, char *reason, size_t reason_size) MUST_CHECK;

// Looks at them now. A set that was refused is tried once more at once: a certificate may have become valid.
void watched_files_look(struct watched_files *files);

// Whether a set was neither loaded nor refused yet, at most two seconds.
bool watched_files_are_settling(const struct watched_files *files);

void watched_files_close(struct watched_files *files);

#endif
