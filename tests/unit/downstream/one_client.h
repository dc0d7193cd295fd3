// A proxy in memory with one client's connection to it, and servers that answer by themselves.
#ifndef TESTS_DOWNSTREAM_ONE_CLIENT_H
#define TESTS_DOWNSTREAM_ONE_CLIENT_H

#include "unit/downstream/near_drive.h"

#define PATIENCE (10 * NS_PER_S) // limits.headerTimeout

struct world {
    struct fake_downstream near;
    struct near_conn *conn;
};

static inline void world_init(struct world *world, const char *documents, const char *listener) {
    fake_downstream_init(&world->near, documents, NULL);
    world->near.loopback.far.serve = serve_paths;
    world->conn = near_connect(&world->near, listener);
}

static inline void world_dispose(struct world *world) {
    fake_downstream_dispose(&world->near);
}

static inline struct worker_metrics *metrics_of(struct world *world) {
    return &world->near.loopback.far.metrics;
}

#endif
