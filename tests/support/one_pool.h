// The pool of a test, one for each.
#ifndef SUPPORT_ONE_POOL_H
#define SUPPORT_ONE_POOL_H

#include "base/pool.h"

static struct pool_source chunks;
static struct pool pool;

static inline int pool_set_up(void **state) {
    (void)state;
    pool_source_init(&chunks, 8);
    pool_init(&pool, &chunks);
    return 0;
}

static inline int pool_tear_down(void **state) {
    (void)state;
    pool_dispose(&pool);
    pool_source_dispose(&chunks);
    return 0;
}

#endif
