// See documents.h.
#include "app/documents.h"

#include "base/check.h"
#include "base/log.h"

#include <stdio.h>

#define POLL_NS NS_PER_S

static void print_lines(const struct config_errors *lines, const char *what) {
    for (uint32_t i = 0; i < lines->count; i++)
        fprintf(stderr, "%s: %s\n", what, lines->lines[i]);
}

// Decodes and offers the set; true when it is in force afterwards.
static bool take(struct documents *documents) {
    struct snapshot *fresh = NULL;
    config_errors_dispose(&documents->errors);
    config_errors_dispose(&documents->warnings);
    config_errors_init(&documents->errors);
    config_errors_init(&documents->warnings);
    documents->fingerprint = config_fingerprint(documents->options->paths, documents->options->path_count);
    documents->checked_wall = clock_wall_ns();
    enum error error = config_load(documents->options->paths, documents->options->path_count, &fresh, &documents->errors, &documents->warnings);
    if (error == OK) {
        fresh->generation = documents->generation + 1;
        error = documents->changed(documents->user, fresh, &documents->errors);
    }
    print_lines(&documents->warnings, "warning");
    print_lines(&documents->errors, "error");
    if (error != OK) {
        if (fresh != NULL)
            snapshot_unref(fresh);
        documents->refused++;
        log_event(LOG_ERROR, "config_refused", "errors=%u generation=%llu", documents->errors.count, (unsigned long long)documents->generation);
        return false;
    }
    if (documents->snapshot != NULL)
        snapshot_unref(documents->snapshot);
    documents->snapshot = fresh;
    documents->generation++;
    documents->accepted++;
    documents->loaded_wall = documents->checked_wall;
    log_event(LOG_INFO, "config_accepted", "generation=%llu services=%u", (unsigned long long)documents->generation, fresh->service_count);
    return true;
}

static void on_poll(struct timer *timer) {
    struct documents *documents = CONTAINER_OF(timer, struct documents, poll);
    if (config_fingerprint(documents->options->paths, documents->options->path_count) != documents->fingerprint)
        (void)take(documents);
    loop_timer_start(documents->loop, &documents->poll, POLL_NS);
}

enum error documents_open(struct documents *documents, struct loop *loop, const struct options *options,
                          enum error (*changed)(void *user, struct snapshot *fresh, struct config_errors *errors), void *user) {
    *documents = (struct documents){.loop = loop, .options = options, .changed = changed, .user = user};
    config_errors_init(&documents->errors);
    config_errors_init(&documents->warnings);
    timer_init(&documents->poll, on_poll);
    return take(documents) ? OK : ERROR_INVALID;
}

void documents_watch(struct documents *documents) {
    loop_timer_start(documents->loop, &documents->poll, POLL_NS);
}

void documents_reload(struct documents *documents) {
    (void)take(documents);
}

void documents_close(struct documents *documents) {
    loop_timer_stop(documents->loop, &documents->poll);
    config_errors_dispose(&documents->errors);
    config_errors_dispose(&documents->warnings);
    if (documents->snapshot != NULL)
        snapshot_unref(documents->snapshot);
}
