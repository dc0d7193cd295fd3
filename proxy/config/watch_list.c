// What to watch so that a change of documents is seen at once: see config_watch_list in load.h.
#include "config/load.h"

#include "base/check.h"
#include "config/cache.h"
#include "config/files.h"

#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>

struct watch_list {
    struct pool *pool;
    const char **paths;
    uint32_t count;
    uint32_t capacity;
};

static void add(struct watch_list *list, const char *path) {
    for (uint32_t i = 0; i < list->count; i++)
        if (strcmp(list->paths[i], path) == 0)
            return;
    if (list->count < list->capacity)
        list->paths[list->count++] = path;
}

// A symlink at `path` itself may be pointed elsewhere, a file replaced by another: its folder tells.
static void add_folder_of(struct watch_list *list, const char *path) {
    const char *slash = strrchr(path, '/');
    while (slash != NULL && slash > path && slash[1] == '\0') // "folder/"
        slash = memrchr(path, '/', (size_t)(slash - path));
    struct bytes folder = slash == NULL ? BYTES(".") : slash == path ? BYTES("/") : bytes_from(path, (size_t)(slash - path));
    add(list, pool_copy(list->pool, folder).at);
}

// What is written to the file that a link leads to shows nowhere else.
static void add_target(struct watch_list *list, const char *name) {
    struct stat status;
    char target[PATH_MAX];
    if (lstat(name, &status) == 0 && S_ISLNK(status.st_mode) && realpath(name, target) != NULL)
        add(list, pool_copy(list->pool, bytes_from_text(target)).at);
}

void config_watch_list(const struct config_cache *cache, const char *const *paths, uint32_t path_count, struct pool *pool,
                       const char *const **watched, uint32_t *watched_count) {
    struct config_errors unread;
    struct file_list files;
    config_errors_init(&unread);
    file_list_read(&files, pool, paths, path_count, &unread);
    struct watch_list list = {.pool = pool, .capacity = CONFIG_WATCH_MAX};
    list.paths = pool_alloc(pool, list.capacity * sizeof(list.paths[0]));
    for (uint32_t i = 0; i < path_count; i++)
        add_folder_of(&list, paths[i]);
    for (uint32_t i = 0; i < files.folder_count; i++)
        add(&list, files.folders[i]);
    for (uint32_t i = 0; cache != NULL && i < cache->content_count; i++)
        add_folder_of(&list, cache->contents[i].at);
    for (uint32_t i = 0; cache != NULL && i < cache->content_count; i++)
        add_target(&list, cache->contents[i].at);
    for (uint32_t i = 0; i < files.count; i++)
        add_target(&list, files.files[i].name);
    config_errors_dispose(&unread);
    file_list_dispose(&files);
    *watched = list.paths;
    *watched_count = list.count;
}
