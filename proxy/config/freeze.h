// Checked documents to a snapshot.
#ifndef CONFIG_FREEZE_H
#define CONFIG_FREEZE_H

#include "config/document.h"
#include "config/memory.h"
#include "config/snapshot.h"

// One reference. The snapshot holds all `units` of the load, since it points into them.
struct snapshot *config_freeze(const struct loading *loading, const struct document *proxy, struct unit *const *units, uint32_t unit_count);

#endif
