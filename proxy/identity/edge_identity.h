// The certificates that one socket of a gateway shows, out of files: watched and loaded anew as they change. One that cannot be used keeps the one before from the same files in force, whatever comes of
// the others; one that no document names any more is shown no longer, whatever comes of the others.
//
// Owner:      the main thread's composition.
// Start:      edge_identity_create; the files are read in the next turn.
// Callbacks:  `publish`, once for each new version of credentials, never from within create.
// Cancel:     edge_identity_close.
// Memory:     frees itself on the loop's closing list.
#ifndef IDENTITY_EDGE_IDENTITY_H
#define IDENTITY_EDGE_IDENTITY_H

#include "base/bytes.h"
#include "base/clock.h"
#include "config/gateway_config.h"

#include <stdbool.h>
#include <stdint.h>

struct credentials;
struct loop;
struct ticket_keys;

struct edge_identity;

struct edge_identity_options {
    struct bytes socket;                  // the listener of the Proxy: what it is called in logs and published for. Copied
    const struct gateway_config *gateway; // read during create alone
    struct ticket_keys *ticket_keys;      // must outlive all credentials
    uint64_t generation_before;           // versions count on from it
    const struct edge_identity *before; // of the same socket, to be closed behind create: what it has of the same files is good here too. NULL: none
    void (*publish)(void *owner, struct bytes socket, struct credentials *credentials); // the reference is the identity's own; NULL: nothing is shown
    void (*refused)(void *owner, struct bytes socket, const char *reason); // newer files cannot be used. NULL: nobody wants to hear of it
    void *owner;
};

struct edge_identity *edge_identity_create(struct loop *loop, const struct edge_identity_options *options);

// Whether it was made of the same hostnames and files in the same order.
bool edge_identity_is_for(const struct edge_identity *identity, struct bytes socket, const struct gateway_config *gateway);

// In force; NULL: none yet. Borrowed.
struct credentials *edge_identity_credentials(const struct edge_identity *identity);

// Each of its certificates is there.
bool edge_identity_is_complete(const struct edge_identity *identity);

uint64_t edge_identity_generation(const struct edge_identity *identity);

// What there is to say of it.
struct edge_identity_state {
    struct bytes socket;  // as in the options
    char last_error[384]; // of the newest files, while older ones stay in force; "": none
    uint64_t accepted;    // loads, by result
    uint64_t refused;
    nanoseconds loaded_wall; // since 1970; 0: never
    uint32_t certificates;
};

const struct edge_identity_state *edge_identity_state(const struct edge_identity *identity);

// What a certificate is for, by its place; in the order of the credentials' own. Borrowed.
struct edge_certificate {
    struct bytes hostname; // "": any; ".example.com": all below
    struct bytes name;     // in the documents
    struct bytes file;
};

struct edge_certificate edge_identity_certificate(const struct edge_identity *identity, uint32_t index);

// The files are looked at again now, changed or not yet usable.
void edge_identity_reload(struct edge_identity *identity);

// Whether files that have changed are waited for, at most two seconds: what comes of them is not known yet.
bool edge_identity_is_settling(const struct edge_identity *identity);

void edge_identity_close(struct edge_identity *identity);

#endif
