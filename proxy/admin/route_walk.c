// See route_walk.h: exact paths, regular expressions, prefixes from the longest, methods, all paths.
#include "admin/route_walk.h"

#include <stdlib.h>

struct walk {
    void (*each)(void *user, const struct route_match *match);
    void *user;
};

static void walk_list(const struct walk *walk, const struct route_match *match) {
    for (; match != NULL; match = match->next)
        walk->each(walk->user, match);
}

static int longest_first(const void *left, const void *right) {
    const struct route_match *const *a = left, *const *b = right;
    size_t x = (*a)->path.len, y = (*b)->path.len;
    return x != y ? (x > y ? -1 : 1) : memcmp((*a)->path.at, (*b)->path.at, x);
}

// Of different paths the longer goes first; no request has two of the same length.
static void walk_map(const struct walk *walk, const struct map *map, struct pool *pool) {
    const struct route_match **heads = pool_alloc(pool, (map->count + 1) * sizeof(*heads));
    uint32_t count = 0, position = 0;
    struct bytes key;
    void *value;
    while (map_next(map, &position, &key, &value))
        heads[count++] = value;
    qsort(heads, count, sizeof(*heads), longest_first);
    for (uint32_t i = 0; i < count; i++)
        walk_list(walk, heads[i]);
}

void route_walk(const struct route_table *table, struct pool *pool, void (*each)(void *user, const struct route_match *match), void *user) {
    const struct walk walk = {each, user};
    walk_map(&walk, &table->exact, pool);
    walk_list(&walk, table->regexes);
    walk_map(&walk, &table->prefixes, pool);
    walk_list(&walk, table->methods);
    walk_list(&walk, table->any_path);
}
