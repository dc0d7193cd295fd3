// Checked documents to a snapshot.
#ifndef CONFIG_FREEZE_H
#define CONFIG_FREEZE_H

#include "config/document.h"
#include "config/snapshot.h"

// What a snapshot owns: all its values lie in one pool of its own.
struct snapshot_memory {
    struct pool_source source;
    struct pool pool;
};

struct snapshot_memory *snapshot_memory_create(void);
void snapshot_memory_destroy(struct snapshot_memory *memory);

// Takes over `memory`, which is also loading->values. One reference.
struct snapshot *config_freeze(const struct loading *loading, const struct document *proxy, struct snapshot_memory *memory);

#endif
