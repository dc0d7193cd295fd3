// The units of the last load by the names of their files, for the next one: only files that have changed are read and decoded again.
#ifndef CONFIG_CACHE_H
#define CONFIG_CACHE_H

#include "base/map.h"
#include "config/content.h"
#include "config/files.h"
#include "config/unit.h"

struct config_cache {
    nanoseconds (*wall)(void);
    struct map units; // file name -> struct unit, one reference each
    uint64_t load;    // number of the load that is under way
    const struct otel_environment *environment;
    bool is_doubted; // the next load goes by the bytes of the files alone
    struct config_load_figures figures;
    struct bytes *contents; // paths of the files beside the documents that the last load has read, in its order; NUL behind each
    uint32_t content_count;
};

// A load begins.
void cache_begin(struct config_cache *cache);

// The unit of a file that cannot have changed since it was read. A reference for the caller; NULL: it must be read.
struct unit *cache_find(struct config_cache *cache, const struct found_file *file);

// The same by the text of the file, which stays the caller's: it has been written again, or is another one, and says the same.
struct unit *cache_find_text(struct config_cache *cache, const struct found_file *file, struct bytes text);

// A unit in which nothing is wrong, with the status of its file from before it was read.
void cache_keep(struct config_cache *cache, struct unit *unit, const struct found_file *file);

// The files beside the documents that the load has read: they count in its fingerprint.
void cache_take_contents(struct config_cache *cache, const struct content *first);

// The load is over: units that it had no use for go, and so do all trees.
void cache_end(struct config_cache *cache);

#endif
