// The certificates that one socket of a gateway shows, out of files: watched and loaded anew as they change. A set that cannot be used keeps the one before in force.
//
// Owner:      the main thread's composition.
// Start:      edge_identity_create; the files are read in the next turn.
// Callbacks:  `publish`, once for each new version of credentials, never from within create.
// Cancel:     edge_identity_close.
// Memory:     frees itself on the loop's closing list.
#ifndef IDENTITY_EDGE_IDENTITY_H
#define IDENTITY_EDGE_IDENTITY_H

#include "base/bytes.h"
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
    void (*publish)(void *owner, struct bytes socket, struct credentials *credentials); // the reference is the identity's own
    void *owner;
};

struct edge_identity *edge_identity_create(struct loop *loop, const struct edge_identity_options *options);

// Whether it was made of the same hostnames and files in the same order.
bool edge_identity_is_for(const struct edge_identity *identity, struct bytes socket, const struct gateway_config *gateway);

// In force; NULL: none yet. Borrowed.
struct credentials *edge_identity_credentials(const struct edge_identity *identity);

uint64_t edge_identity_generation(const struct edge_identity *identity);

void edge_identity_reload(struct edge_identity *identity);
void edge_identity_close(struct edge_identity *identity);

#endif
