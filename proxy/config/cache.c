// See cache.h. Its memory is bounded by that of one set of documents: what the last load did not have is not kept.
#include "config/cache.h"

#include "base/check.h"

#include <stdlib.h>

// Clocks of file systems tick in steps of up to two seconds: a file may be written twice in one, and look the same. What was younger than this when it was read is read again.
#define SETTLED_AFTER_NS (3 * NS_PER_S)

struct config_cache *config_cache_create(nanoseconds (*wall)(void)) {
    struct config_cache *cache = alloc_zeroed_or_abort(1, sizeof(*cache));
    cache->wall = wall;
    map_init(&cache->units);
    return cache;
}

static void drop_contents(struct config_cache *cache) {
    for (uint32_t i = 0; i < cache->content_count; i++)
        bytes_drop(&cache->contents[i]);
    free(cache->contents);
    cache->contents = NULL;
    cache->content_count = 0;
}

void config_cache_destroy(struct config_cache *cache) {
    drop_contents(cache);
    uint32_t position = 0;
    struct bytes name;
    void *unit;
    while (map_next(&cache->units, &position, &name, &unit))
        unit_unref(unit);
    map_dispose(&cache->units);
    free(cache);
}

void config_cache_doubt(struct config_cache *cache) {
    cache->is_doubted = true;
}

void config_cache_set_environment(struct config_cache *cache, const struct otel_environment *environment) {
    cache->environment = environment;
}

const struct config_load_figures *config_cache_figures(const struct config_cache *cache) {
    return &cache->figures;
}

void cache_begin(struct config_cache *cache) {
    cache->load++;
    cache->figures = (struct config_load_figures){0};
}

// NULL also for one that stands in this load already: a file may be reached in two ways.
static struct unit *find(const struct config_cache *cache, const char *name) {
    struct unit *unit = map_get(&cache->units, bytes_from_text(name));
    return unit == NULL || unit->used == cache->load ? NULL : unit;
}

static struct unit *use(const struct config_cache *cache, struct unit *unit) {
    unit->used = cache->load;
    return unit_ref(unit);
}

static void note_status(const struct config_cache *cache, struct unit *unit, const struct stat *status) {
    const nanoseconds changed = (nanoseconds)status->st_ctim.tv_sec * NS_PER_S + (nanoseconds)status->st_ctim.tv_nsec;
    unit->status = *status;
    unit->is_settled = changed + SETTLED_AFTER_NS < cache->wall();
}

struct unit *cache_find(struct config_cache *cache, const struct found_file *file) {
    struct unit *unit = find(cache, file->name);
    if (unit == NULL || cache->is_doubted || !unit->is_settled || !file_is_unchanged(&unit->status, &file->status))
        return NULL;
    return use(cache, unit);
}

struct unit *cache_find_text(struct config_cache *cache, const struct found_file *file, struct bytes text) {
    struct unit *unit = find(cache, file->name);
    if (unit == NULL || !bytes_equal(unit->text, text))
        return NULL;
    note_status(cache, unit, &file->status);
    return use(cache, unit);
}

void cache_keep(struct config_cache *cache, struct unit *unit, const struct found_file *file) {
    if (unit->is_bulky)
        return;
    struct unit *before = map_get(&cache->units, bytes_from_text(file->name));
    if (before != NULL && before->used == cache->load)
        return; // it is in this load twice
    if (before != NULL)
        unit_unref(before);
    note_status(cache, unit, &file->status);
    map_put(&cache->units, bytes_from_text(file->name), use(cache, unit));
}

void cache_take_contents(struct config_cache *cache, const struct content *first) {
    uint32_t count = 0;
    drop_contents(cache);
    for (const struct content *content = first; content != NULL; content = content->next)
        count++;
    cache->contents = alloc_zeroed_or_abort(count + 1, sizeof(*cache->contents));
    for (const struct content *content = first; content != NULL; content = content->next) {
        cache->contents[cache->content_count++] = bytes_keep(content->path);
        cache->figures.fingerprint = digest_number(cache->figures.fingerprint, content->mark);
    }
}

bool config_cache_has_file(const struct config_cache *cache, const char *name) {
    for (uint32_t i = 0; i < cache->content_count; i++) {
        const char *slash = strrchr(cache->contents[i].at, '/');
        if (strcmp(slash == NULL ? cache->contents[i].at : slash + 1, name) == 0)
            return true;
    }
    return false;
}

void cache_end(struct config_cache *cache) {
    struct unit **unused = alloc_zeroed_or_abort(cache->units.count + 1, sizeof(*unused));
    uint32_t unused_count = 0;
    uint32_t position = 0;
    struct bytes name;
    void *value;
    while (map_next(&cache->units, &position, &name, &value)) {
        struct unit *unit = value;
        if (unit->used != cache->load)
            unused[unused_count++] = unit;
    }
    for (uint32_t i = 0; i < unused_count; i++) {
        map_remove(&cache->units, bytes_from_text(unused[i]->file));
        unit_unref(unused[i]);
    }
    free(unused);
    cache->is_doubted = false;
}
