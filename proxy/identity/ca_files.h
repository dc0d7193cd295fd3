// The CA sets of a snapshot out of their files: read when documents come to name them, watched, and read anew as they change. A set that cannot be used keeps the one before in force.
//
// Owner:      the main thread's composition.
// Start:      ca_files_create; nothing is read before ca_files_follow.
// Callbacks:  `publish`, from within ca_files_follow and _reload, and as files change: once for each new version of a set. `withdraw`, from within ca_files_forget, with the last version.
// Cancel:     ca_files_close.
// Memory:     frees itself on the loop's closing list.
#ifndef IDENTITY_CA_FILES_H
#define IDENTITY_CA_FILES_H

#include "base/bytes.h"
#include "base/clock.h"
#include "config/snapshot.h"

#include <stdbool.h>
#include <stdint.h>

struct config_errors;
struct credentials;
struct loop;

struct ca_files;

struct ca_files_options {
    nanoseconds poll_interval; // 0: 5 s
    // `key` as in ca_set_config; `files`: all, with commas between; the reference is this object's own.
    void (*publish)(void *owner, struct bytes key, struct bytes files, struct credentials *credentials);
    void (*withdraw)(void *owner, struct bytes key, struct credentials *credentials);
    // Newer files of a set cannot be used. NULL: nobody wants to hear of it.
    void (*refused)(void *owner, struct bytes files, const char *reason);
    void *owner;
};

struct ca_files *ca_files_create(struct loop *loop, const struct ca_files_options *options);

// Before the workers are given the snapshot: sets that it names and those before did not are read now, so that its first request finds them.
void ca_files_follow(struct ca_files *files, const struct snapshot *snapshot);

// Behind the snapshot and what follows it: the sets that it does not name go.
void ca_files_forget(struct ca_files *files);

// Looks at all files now.
void ca_files_reload(struct ca_files *files);

// Whether files that cannot be used are waited for, at most two seconds: what comes of them is not known yet.
bool ca_files_are_settling(const struct ca_files *files);

void ca_files_close(struct ca_files *files);

// What there is to say of one set, for pages. Borrowed until the next turn.
struct ca_files_state {
    const struct credentials *credentials; // in force; NULL: none
    struct bytes files;                    // all, with commas between
    const char *last_error;                // of the newest files; "": they are in force
    uint64_t accepted, refused;            // loads, by result
};
uint32_t ca_files_count(const struct ca_files *files);
struct ca_files_state ca_files_state(const struct ca_files *files, uint32_t index);

// Without any of that, for who only looks: an error for each set of the snapshot that cannot be used. False: there was one.
bool ca_files_check(const struct snapshot *snapshot, struct config_errors *errors);

#endif
