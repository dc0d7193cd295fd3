// A pool with its own source of chunks: memory that goes from thread to thread as a whole.
#ifndef CONFIG_MEMORY_H
#define CONFIG_MEMORY_H

#include "base/pool.h"

struct config_memory {
    struct pool_source source;
    struct pool pool;
};

struct config_memory *config_memory_create(void);
void config_memory_destroy(struct config_memory *memory);

#endif
