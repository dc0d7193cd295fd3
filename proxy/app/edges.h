// The certificates of the proxy's gateway sockets: one edge_identity for each that ends TLS, made and ended as documents come. Main thread.
#ifndef APP_EDGES_H
#define APP_EDGES_H

#include "config/snapshot.h"
#include "identity/edge_identity.h"

struct edges {
    struct loop *loop;
    struct ticket_keys *ticket_keys;
    void (*publish)(void *owner, struct bytes socket, struct credentials *credentials);
    void (*refused)(void *owner, struct bytes socket, const char *reason);
    void *owner;
    struct edge_identity **items;
    uint32_t count;
    uint64_t generation; // the highest of any that has ended
};

// After the workers have been given the snapshot: what is published goes to listeners that they know.
void edges_follow(struct edges *edges, const struct snapshot *snapshot);

// Whether all have certificates.
bool edges_are_loaded(const struct edges *edges);

// Whether the files of one have changed and it is not known yet what comes of that.
bool edges_are_settling(const struct edges *edges);

void edges_reload(struct edges *edges);
void edges_close(struct edges *edges);

#endif
