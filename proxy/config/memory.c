// See memory.h. What a snapshot, a unit and the scratch of a load lie in.
#include "config/memory.h"

#include <stdlib.h>

struct config_memory *config_memory_create(void) {
    struct config_memory *memory = alloc_zeroed_or_abort(1, sizeof(*memory));
    pool_source_init(&memory->source, 0);
    pool_init(&memory->pool, &memory->source);
    return memory;
}

void config_memory_destroy(struct config_memory *memory) {
    pool_dispose(&memory->pool);
    pool_source_dispose(&memory->source);
    free(memory);
}
