// See documents.h. Whoever changes several files, or one in several writes, leaves a set that is wrong for a moment: it is read once the files have been still for a little
// while, and one with errors is read once more before it is refused.
#include "app/documents.h"

#include "base/check.h"
#include "base/log.h"

#include <stdio.h>

// What inotify does not tell shows after this time at the latest.
#define POLL_NS (5 * NS_PER_S)

// After a change the files are to be still for this long before they are read; somebody who never stops writing does not put it off for more than SETTLE_MAX_NS.
#define SETTLE_NS (50 * NS_PER_MS)
#define SETTLE_MAX_NS (250 * NS_PER_MS)

// A set with errors that was changed less than this ago may be half written: it is read once more when it was still for so long, at the latest after DOUBT_MAX_NS.
#define DOUBT_NS (250 * NS_PER_MS)
#define DOUBT_MAX_NS (2 * NS_PER_S)

// As deep as folders are read.
#define FOLLOW_DEPTH_MAX 17

static void set_phase(struct documents *documents, enum documents_phase phase) {
    static const bool legal[3][3] = {
        [DOCUMENTS_STEADY] = {[DOCUMENTS_SETTLING] = true},
        [DOCUMENTS_SETTLING] = {[DOCUMENTS_STEADY] = true, [DOCUMENTS_DOUBTED] = true},
        [DOCUMENTS_DOUBTED] = {[DOCUMENTS_STEADY] = true},
    };
    CHECK(legal[documents->phase][phase]);
    documents->phase = phase;
}

// Of the first set whole and at once, for whoever started us; of later ones as the log's lines, which hold nobody up.
static void print_lines(const struct documents *documents, const struct config_errors *lines, const char *what) {
    for (uint32_t i = 0; i < lines->count; i++) {
        if (documents->generation == 0)
            fprintf(stderr, "%s: %s\n", what, lines->lines[i]);
        else
            log_text(what, lines->lines[i]);
    }
}

static uint64_t fingerprint_now(const struct documents *documents) {
    return config_fingerprint(documents->cache, documents->options->paths, documents->options->path_count);
}

// --- a set of documents ---

struct reading {
    struct snapshot *fresh; // NULL where there are errors
    struct config_errors errors;
    struct config_errors warnings;
};

// Reads and offers the set.
static enum error read_set(struct documents *documents, struct reading *reading) {
    *reading = (struct reading){0};
    config_errors_init(&reading->errors);
    config_errors_init(&reading->warnings);
    documents->checked_wall = clock_wall_ns();
    nanoseconds begun = clock_monotonic_ns();
    enum error error = config_load(documents->cache, documents->options->paths, documents->options->path_count, &reading->fresh, &reading->errors,
                                   &reading->warnings);
    // It is that of the files before they were read: what changed meanwhile is a further change.
    documents->fingerprint = config_cache_figures(documents->cache)->fingerprint;
    documents->load_duration = clock_monotonic_ns() - begun;
    if (error != OK)
        return error;
    reading->fresh->generation = documents->generation + 1;
    error = documents->changed(documents->user, reading->fresh, &reading->errors);
    documents->load_duration = clock_monotonic_ns() - begun;
    if (error != OK) {
        snapshot_unref(reading->fresh);
        reading->fresh = NULL;
    }
    return error;
}

// The one before stays the caller's.
static void take(struct documents *documents, struct snapshot *fresh) {
    documents->snapshot = fresh;
    documents->generation++;
    documents->accepted++;
    documents->loaded_wall = documents->checked_wall;
    documents->figures = *config_cache_figures(documents->cache);
    log_event(LOG_INFO, "config_accepted", "generation=%llu services=%u files=%u decoded=%u documents=%u took_ms=%llu",
              (unsigned long long)documents->generation, fresh->service_count, documents->figures.files, documents->figures.files_decoded,
              documents->figures.documents, (unsigned long long)(documents->load_duration / NS_PER_MS));
}

static void refuse(struct documents *documents) {
    documents->refused++;
    log_event(LOG_ERROR, "config_refused", "errors=%u generation=%llu", documents->errors.count, (unsigned long long)documents->generation);
}

// Folders may have come and gone, symlinks lead elsewhere. In a new folder there may be another one by the time that it is watched: again, until nothing is new.
static void follow_files(struct documents *documents) {
    bool has_new = documents->watch != NULL;
    for (unsigned depth = 0; has_new && depth < FOLLOW_DEPTH_MAX; depth++) {
        struct pool pool;
        const char *const *paths;
        uint32_t count;
        pool_init(&pool, &documents->loop->pools);
        config_watch_list(documents->cache, documents->options->paths, documents->options->path_count, &pool, &paths, &count);
        has_new = file_watch_set(documents->watch, paths, count);
        pool_dispose(&pool);
    }
}

// What was read is the newest set, for better or worse.
static void settle(struct documents *documents, struct reading *reading) {
    loop_timer_stop(documents->loop, &documents->settle);
    if (documents->phase != DOCUMENTS_STEADY)
        set_phase(documents, DOCUMENTS_STEADY);
    config_errors_dispose(&documents->errors);
    config_errors_dispose(&documents->warnings);
    documents->errors = reading->errors;
    documents->warnings = reading->warnings;
    print_lines(documents, &documents->warnings, "warning");
    print_lines(documents, &documents->errors, "error");
    struct snapshot *const before = documents->snapshot;
    if (reading->fresh != NULL)
        take(documents, reading->fresh);
    else
        refuse(documents);
    if (documents->settled != NULL)
        documents->settled(documents->user, documents, before);
    if (before != NULL && before != documents->snapshot)
        snapshot_unref(before);
}

// --- changes ---

// After `patience`, counted from now, but not later than `most` after the files began to change.
static void wait_for_quiet(struct documents *documents, nanoseconds patience, nanoseconds most) {
    nanoseconds end = documents->loop->now + patience;
    if (end > documents->unsettled_since + most)
        end = documents->unsettled_since + most;
    timer_start(&documents->loop->timers, &documents->settle, end);
}

// What kept the newest set from being used may lie outside of it (no descriptor to read it, an address in use) and go by itself. Said once.
static void try_again(struct documents *documents) {
    struct reading reading;
    if (read_set(documents, &reading) == OK) {
        settle(documents, &reading);
        return;
    }
    config_errors_dispose(&reading.errors);
    config_errors_dispose(&reading.warnings);
}

static void on_look(void *owner) {
    struct documents *documents = owner;
    documents->cause = "files";
    follow_files(documents);
    uint64_t fingerprint = fingerprint_now(documents);
    if (fingerprint == documents->fingerprint) {
        if (documents->phase == DOCUMENTS_STEADY && documents->errors.count > 0)
            try_again(documents);
        return;
    }
    documents->fingerprint = fingerprint;
    documents->changed_at = documents->loop->now;
    switch (documents->phase) {
    case DOCUMENTS_STEADY:
        documents->unsettled_since = documents->loop->now;
        set_phase(documents, DOCUMENTS_SETTLING);
        wait_for_quiet(documents, SETTLE_NS, SETTLE_MAX_NS);
        break;
    case DOCUMENTS_SETTLING:
        wait_for_quiet(documents, SETTLE_NS, SETTLE_MAX_NS);
        break;
    case DOCUMENTS_DOUBTED:
        wait_for_quiet(documents, DOUBT_NS, DOUBT_MAX_NS);
        break;
    }
}

static void on_settle(struct timer *timer) {
    struct documents *documents = CONTAINER_OF(timer, struct documents, settle);
    struct reading reading;
    bool may_be_partial = documents->phase == DOCUMENTS_SETTLING && documents->loop->now < documents->changed_at + DOUBT_NS;
    if (read_set(documents, &reading) == OK || !may_be_partial) {
        settle(documents, &reading);
        return;
    }
    log_event(LOG_DEBUG, "config_doubted", "errors=%u", reading.errors.count);
    config_errors_dispose(&reading.errors);
    config_errors_dispose(&reading.warnings);
    set_phase(documents, DOCUMENTS_DOUBTED);
    wait_for_quiet(documents, DOUBT_NS, DOUBT_MAX_NS);
}

// A log that lies beside the documents, say, is not read.
static bool matters(void *owner, const char *name) {
    const struct documents *documents = owner;
    static const struct bytes suffixes[] = {BYTES(".yaml"), BYTES(".yml"), BYTES(".json")};
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++)
        if (bytes_ends_with(bytes_from_text(name), suffixes[i]))
            return true;
    return config_cache_has_file(documents->cache, name);
}

// --- life ---

enum error documents_open(struct documents *documents, struct loop *loop, const struct options *options, const struct otel_environment *environment,
                          enum error (*changed)(void *user, struct snapshot *fresh, struct config_errors *errors), void *user) {
    *documents = (struct documents){.loop = loop, .options = options, .changed = changed, .user = user};
    documents->cache = config_cache_create(clock_wall_ns);
    config_cache_set_environment(documents->cache, environment);
    timer_init(&documents->settle, on_settle);
    documents_reload(documents, "start");
    return documents->snapshot != NULL ? OK : ERROR_INVALID;
}

void documents_watch(struct documents *documents) {
    const struct file_watch_options options = {.poll_interval = POLL_NS, .look = on_look, .matters = matters, .owner = documents};
    documents->watch = file_watch_create(documents->loop, &options);
    on_look(documents); // what has changed since they were read
}

void documents_reload(struct documents *documents, const char *cause) {
    struct reading reading;
    documents->cause = cause;
    config_cache_doubt(documents->cache);
    (void)read_set(documents, &reading);
    settle(documents, &reading);
}

void documents_close(struct documents *documents) {
    if (documents->watch != NULL)
        file_watch_close(documents->watch);
    documents->watch = NULL;
    loop_timer_stop(documents->loop, &documents->settle);
    config_errors_dispose(&documents->errors);
    config_errors_dispose(&documents->warnings);
    if (documents->snapshot != NULL)
        snapshot_unref(documents->snapshot);
    config_cache_destroy(documents->cache);
}
