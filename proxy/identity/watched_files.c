// Two things tell of a change: the system, for the folders that the files are in (a swap of symbolic links is a change of the folder, not of the files), and a
// look every few seconds at where the links lead, for file systems that tell nothing. Neither is believed to mean that the set is whole.
//
//   steady -> settling: the marks of the files have changed
//   settling -> steady: loaded
//   settling -> refused: still not usable after SETTLE_MAX
//   refused -> settling: the marks have changed again
//   refused -> steady: usable after all (a certificate has become valid)
#include "identity/watched_files.h"

#include "base/check.h"
#include "base/pool.h"
#include "identity/secret_file.h"
#include "net/file_watch.h"
#include "net/loop.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POLL_INTERVAL_DEFAULT (5 * NS_PER_S)
#define SETTLE_FIRST (20 * NS_PER_MS) // after a change: whoever writes three files one by one is done by then, mostly
#define SETTLE_AGAIN (200 * NS_PER_MS)
#define SETTLE_MAX (2 * NS_PER_S)

enum files_phase { FILES_STEADY, FILES_SETTLING, FILES_REFUSED };

struct watched_files {
    struct loop *loop;
    struct watched_files_options options;
    const char **paths;
    uint64_t *marks; // of the set that was tried last
    struct file_watch *watch;
    enum files_phase phase;
    nanoseconds settle_until;
    struct timer attempt;
    struct task release;
};

static void set_phase(struct watched_files *files, enum files_phase phase) {
    CHECK(files->phase != phase);
    files->phase = phase;
}

static bool have_changed(const struct watched_files *files) {
    for (uint32_t i = 0; i < files->options.count; i++)
        if (secret_file_mark(files->paths[i]) != files->marks[i])
            return true;
    return false;
}

enum error watched_files_confirm(const struct watched_files *files, char *reason, size_t reason_size) {
    if (!have_changed(files))
        return OK;
    snprintf(reason, reason_size, "the files change while they are read");
    return ERROR_IO;
}

// The marks are of the set that was meant, taken before: what changes in the middle of the try will still be seen as a change.
static void try_to_load(struct watched_files *files) {
    char reason[WATCHED_FILES_REASON_SIZE] = "";
    if (files->options.load(files->options.owner, reason, sizeof reason) == OK) {
        if (files->phase != FILES_STEADY)
            set_phase(files, FILES_STEADY);
        return;
    }
    if (files->phase == FILES_REFUSED)
        return; // said already
    if (files->loop->now < files->settle_until) {
        loop_timer_start(files->loop, &files->attempt, SETTLE_AGAIN);
        return;
    }
    set_phase(files, FILES_REFUSED);
    files->options.refuse(files->options.owner, reason);
}

static void on_attempt(struct timer *timer) {
    struct watched_files *files = CONTAINER_OF(timer, struct watched_files, attempt);
    for (uint32_t i = 0; i < files->options.count; i++)
        files->marks[i] = secret_file_mark(files->paths[i]);
    try_to_load(files);
}

static void settle(struct watched_files *files) {
    if (files->phase == FILES_SETTLING)
        return;
    set_phase(files, FILES_SETTLING);
    files->settle_until = files->loop->now + SETTLE_MAX;
    loop_timer_start(files->loop, &files->attempt, SETTLE_FIRST);
}

void watched_files_look(struct watched_files *files) {
    if (have_changed(files))
        settle(files);
    else if (files->phase == FILES_REFUSED)
        try_to_load(files);
}

static void on_look(void *owner) {
    struct watched_files *files = owner;
    watched_files_look(files);
    if (files->options.looked != NULL)
        files->options.looked(files->options.owner);
}

static void on_release(struct task *task) {
    struct watched_files *files = CONTAINER_OF(task, struct watched_files, release);
    files->loop->handles--;
    free(files->paths);
    free(files->marks);
    free(files);
}

struct watched_files *watched_files_create(struct loop *loop, const struct watched_files_options *options) {
    CHECK(options->count > 0);
    struct watched_files *files = alloc_zeroed_or_abort(1, sizeof *files);
    const char **paths = alloc_zeroed_or_abort(options->count, sizeof *paths);
    memcpy(paths, options->paths, options->count * sizeof *paths);
    files->loop = loop;
    files->options = *options;
    files->paths = paths;
    files->marks = alloc_zeroed_or_abort(options->count, sizeof *files->marks);
    task_init(&files->release, on_release);
    timer_init(&files->attempt, on_attempt);
    loop->handles++;
    const struct file_watch_options watch = {
        .poll_interval = options->poll_interval > 0 ? options->poll_interval : POLL_INTERVAL_DEFAULT,
        .look = on_look,
        .owner = files,
    };
    files->watch = file_watch_create(loop, &watch);
    (void)file_watch_set_files(files->watch, paths, options->count);
    files->phase = FILES_SETTLING;
    files->settle_until = loop->now + SETTLE_MAX;
    loop_timer_start(loop, &files->attempt, 0);
    return files;
}

bool watched_files_are_settling(const struct watched_files *files) {
    return files->phase == FILES_SETTLING;
}

void watched_files_close(struct watched_files *files) {
    file_watch_close(files->watch);
    files->watch = NULL;
    loop_timer_stop(files->loop, &files->attempt);
    loop_defer(files->loop, &files->release);
}
