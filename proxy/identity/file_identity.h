// The proxy's identity out of files: certificate, key and trust bundle as PEM, watched and loaded anew as they change, as Kubernetes does with a mounted
// secret (symbolic links swapped) or people do with mv. A set that cannot be used keeps the one before in force.
//
// Owner:      the main thread's composition.
// Start:      file_identity_create; the files are read in the next turn.
// Callbacks:  `publish`, once for each new version of credentials, never from within create.
// Cancel:     file_identity_close.
// Memory:     frees itself on the loop's closing list.
#ifndef IDENTITY_FILE_IDENTITY_H
#define IDENTITY_FILE_IDENTITY_H

#include "base/bytes.h"
#include "base/clock.h"

#include <stdbool.h>
#include <stdint.h>

struct credentials;
struct loop;
struct ticket_keys;

struct file_identity;

struct file_identity_options {
    struct bytes certificate; // paths. Copied
    struct bytes private_key;
    struct bytes trust_bundle;
    struct ticket_keys *ticket_keys; // must outlive all credentials
    uint64_t generation_before; // of what another identity published before this one: versions count on from it, so that no two are taken for one
    nanoseconds poll_interval;  // the files are looked at this often, whatever the system tells of changes; 0: 5 s

    nanoseconds (*wall_clock)(void); // tests; NULL: the system's

    // The reference is the identity's own: the owner takes one to keep it.
    void (*publish)(void *owner, struct credentials *credentials);
    // Newer files cannot be used: those in force stay. NULL: nobody wants to hear of it.
    void (*refused)(void *owner, const char *reason);
    void *owner;
};

// What there is to say about it, for admin pages and metrics. The certificates themselves are in the credentials.
struct identity_state {
    uint64_t generation;     // of the credentials in force, counted on from `generation_before`; that one: none yet
    uint64_t refused;        // sets of files that could not be used
    nanoseconds loaded_wall; // when the ones in force were loaded, since 1970
    char last_error[384];    // of the newest set of files; "": it is in force
};

struct file_identity *file_identity_create(struct loop *loop, const struct file_identity_options *options);

const struct identity_state *file_identity_state(const struct file_identity *identity);

// In force; NULL: none yet. Borrowed.
struct credentials *file_identity_credentials(const struct file_identity *identity);

// Looks at the files now, as a signal or an admin's reload asks.
void file_identity_reload(struct file_identity *identity);

// Whether files that have changed were neither loaded nor refused yet.
bool file_identity_is_settling(const struct file_identity *identity);

void file_identity_close(struct file_identity *identity);

#endif
