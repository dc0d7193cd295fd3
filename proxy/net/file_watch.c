// See file_watch.h. An inotify watch is on what a path led to when it began: once that was replaced by renaming, or removed, the watch says nothing more. So each look first
// compares what the paths lead to now, and begins anew where it is another.
#include "net/file_watch.h"

#include "base/check.h"
#include "base/pool.h"
#include "net/loop.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct watched {
    struct list link;
    uv_fs_event_t handle;
    struct file_watch *watch;
    char *path;
    dev_t device; // of what it is on
    ino_t inode;
    bool is_folder;
    bool is_lost; // what it was on was moved or removed
    bool is_wanted;
};

struct file_watch {
    struct loop *loop;
    struct file_watch_options options;
    struct list watched;
    struct timer poll;
    struct task look;
    struct task release;
    uint32_t handles; // open or closing
    bool closing;
};

static bool is_own_name(const struct watched *watched, const char *name) {
    const char *slash = strrchr(watched->path, '/');
    return name == NULL || strcmp(name, slash == NULL ? watched->path : slash + 1) == 0;
}

static void on_event(uv_fs_event_t *handle, const char *name, int events, int status) {
    struct watched *watched = handle->data;
    struct file_watch *watch = watched->watch;
    loop_enter(watch->loop);
    bool moved = status < 0 || (events & UV_RENAME) != 0;
    bool own = is_own_name(watched, name);
    if (moved && own)
        watched->is_lost = true;
    if (!moved && !own && watched->is_folder && watch->options.matters != NULL && !watch->options.matters(watch->options.owner, name))
        return;
    loop_wake(watch->loop, &watch->look);
}

static void renew(struct watched *watched) {
    struct stat now;
    bool is_there = stat(watched->path, &now) == 0;
    bool active = uv_is_active((uv_handle_t *)&watched->handle) != 0;
    bool same = is_there && now.st_dev == watched->device && now.st_ino == watched->inode && !watched->is_lost;
    if (active && same)
        return;
    if (active)
        uv_fs_event_stop(&watched->handle);
    watched->is_lost = false;
    // Where it fails (nothing there, no watches left) the look every poll_interval does alone, and tries again.
    if (!is_there || uv_fs_event_start(&watched->handle, on_event, watched->path, 0) != 0)
        return;
    watched->device = now.st_dev;
    watched->inode = now.st_ino;
    watched->is_folder = S_ISDIR(now.st_mode);
}

static void look_now(struct file_watch *watch) {
    // Watched first and looked at then: what changes in between is told.
    LIST_EACH(&watch->watched, node, following)
        renew(LIST_ENTRY(node, struct watched, link));
    watch->options.look(watch->options.owner);
}

static void on_look(struct task *task) {
    look_now(CONTAINER_OF(task, struct file_watch, look));
}

static void on_poll(struct timer *timer) {
    struct file_watch *watch = CONTAINER_OF(timer, struct file_watch, poll);
    loop_timer_start(watch->loop, timer, watch->options.poll_interval);
    loop_wake(watch->loop, &watch->look);
}

// --- what is watched ---

static void on_release(struct task *task) {
    struct file_watch *watch = CONTAINER_OF(task, struct file_watch, release);
    watch->loop->handles--;
    free(watch);
}

static void release_when_closed(struct file_watch *watch) {
    if (watch->closing && watch->handles == 0)
        loop_defer(watch->loop, &watch->release);
}

static void on_closed(uv_handle_t *handle) {
    struct watched *watched = handle->data;
    struct file_watch *watch = watched->watch;
    CHECK(watch->handles > 0);
    watch->handles--;
    free(watched->path);
    free(watched);
    release_when_closed(watch);
}

static void forget(struct watched *watched) {
    list_remove(&watched->link);
    uv_close((uv_handle_t *)&watched->handle, on_closed);
}

static struct watched *find(const struct file_watch *watch, const char *path) {
    LIST_EACH(&watch->watched, node, following) {
        struct watched *watched = LIST_ENTRY(node, struct watched, link);
        if (strcmp(watched->path, path) == 0)
            return watched;
    }
    return NULL;
}

static struct watched *add(struct file_watch *watch, const char *path) {
    struct watched *watched = alloc_zeroed_or_abort(1, sizeof(*watched));
    watched->watch = watch;
    watched->path = copy_text_or_abort(bytes_from_text(path));
    list_init(&watched->link);
    list_push_back(&watch->watched, &watched->link);
    int failed = uv_fs_event_init(&watch->loop->uv, &watched->handle);
    CHECK(failed == 0);
    watched->handle.data = watched;
    watch->handles++;
    renew(watched);
    return watched;
}

bool file_watch_set(struct file_watch *watch, const char *const *paths, uint32_t count) {
    CHECK(!watch->closing);
    bool has_new = false;
    LIST_EACH(&watch->watched, node, following)
        LIST_ENTRY(node, struct watched, link)->is_wanted = false;
    for (uint32_t i = 0; i < count && i < FILE_WATCH_PATHS_MAX; i++) {
        struct watched *watched = find(watch, paths[i]);
        if (watched == NULL) {
            watched = add(watch, paths[i]);
            has_new = true;
        }
        watched->is_wanted = true;
    }
    LIST_EACH(&watch->watched, other, next) {
        struct watched *watched = LIST_ENTRY(other, struct watched, link);
        if (!watched->is_wanted)
            forget(watched);
    }
    return has_new;
}

bool file_watch_set_files(struct file_watch *watch, const char *const *files, uint32_t count) {
    char **folders = alloc_zeroed_or_abort(count + 1, sizeof *folders);
    for (uint32_t i = 0; i < count; i++) {
        const char *slash = strrchr(files[i], '/');
        folders[i] = copy_text_or_abort(slash == NULL       ? BYTES(".")
                                        : slash == files[i] ? BYTES("/")
                                                            : bytes_from(files[i], (size_t)(slash - files[i])));
    }
    bool has_new = file_watch_set(watch, (const char *const *)folders, count);
    for (uint32_t i = 0; i < count; i++)
        free(folders[i]);
    free(folders);
    return has_new;
}

// --- life ---

struct file_watch *file_watch_create(struct loop *loop, const struct file_watch_options *options) {
    CHECK(options->poll_interval > 0 && options->look != NULL);
    struct file_watch *watch = alloc_zeroed_or_abort(1, sizeof(*watch));
    watch->loop = loop;
    watch->options = *options;
    list_init(&watch->watched);
    task_init(&watch->look, on_look);
    task_init(&watch->release, on_release);
    timer_init(&watch->poll, on_poll);
    loop_timer_start(loop, &watch->poll, options->poll_interval);
    loop->handles++;
    return watch;
}

void file_watch_close(struct file_watch *watch) {
    CHECK(!watch->closing);
    watch->closing = true;
    task_cancel(&watch->look);
    loop_timer_stop(watch->loop, &watch->poll);
    LIST_EACH(&watch->watched, node, following)
        forget(LIST_ENTRY(node, struct watched, link));
    release_when_closed(watch);
}
