// One watch for the files of all sets. A change is waited out for a moment, since whoever writes a file may not be done; what is still of no use then is refused, told once, and tried again with
// each look.
#include "identity/ca_files.h"

#include "base/check.h"
#include "base/log.h"
#include "base/pool.h"
#include "config/load.h"
#include "identity/secret_file.h"
#include "net/file_watch.h"
#include "net/loop.h"
#include "net/tls.h"

#include <stdio.h>
#include <stdlib.h>

#define POLL_INTERVAL_DEFAULT (5 * NS_PER_S)
#define SETTLE_FIRST (20 * NS_PER_MS)
#define SETTLE_AGAIN (200 * NS_PER_MS)
#define SETTLE_MAX (2 * NS_PER_S)

#define REASON_MAX 384

struct watched_set {
    struct bytes key;   // owned, as all here
    struct bytes names; // of its files, for people
    char **paths;
    uint64_t *marks; // of the files that were tried last
    uint32_t count;
    struct credentials *credentials;
    unsigned char digest[CERTIFICATE_DIGEST_SIZE];
    char last_error[REASON_MAX];
    bool refused; // and told
    uint64_t accepted_count, refused_count;
    bool is_wanted;
    struct watched_set *next;
};

struct ca_files {
    struct loop *loop;
    struct ca_files_options options;
    struct watched_set *first;
    struct file_watch *watch;
    struct timer attempt;
    nanoseconds settle_until;
    uint64_t generation; // of the newest version of any set: no two are alike
    struct task release;
};

// --- reading ---

static enum error read_all(const struct bytes *files, uint32_t count, struct ca_set **set, char *reason, size_t reason_size) {
    struct ca_set *made = ca_set_create();
    enum error error = OK;
    for (uint32_t i = 0; i < count && error == OK; i++) {
        struct bytes content = BYTES_NONE;
        char text[192];
        error = secret_file_read(files[i].at, &content, reason, reason_size);
        if (error != OK)
            break;
        error = ca_set_add(made, content, text, sizeof text);
        if (error != OK)
            snprintf(reason, reason_size, "%.*s: %s", BYTES_FORMAT(files[i]), text);
        secret_file_forget(&content);
    }
    if (error == OK)
        *set = made;
    else
        ca_set_destroy(made);
    return error;
}

static bool has_changed(const struct watched_set *set) {
    for (uint32_t i = 0; i < set->count; i++)
        if (secret_file_mark(set->paths[i]) != set->marks[i])
            return true;
    return false;
}

static enum error read_set(struct watched_set *set, struct ca_set **made, char *reason, size_t reason_size) {
    struct bytes *files = alloc_zeroed_or_abort(set->count, sizeof *files);
    for (uint32_t i = 0; i < set->count; i++) {
        set->marks[i] = secret_file_mark(set->paths[i]);
        files[i] = bytes_from_text(set->paths[i]);
    }
    enum error error = read_all(files, set->count, made, reason, reason_size);
    free(files);
    if (error == OK && has_changed(set)) {
        ca_set_destroy(*made);
        snprintf(reason, reason_size, "the files change while they are read");
        error = ERROR_IO;
    }
    return error;
}

// Takes over `made`.
static void put_in_force(struct ca_files *files, struct watched_set *set, struct ca_set *made) {
    unsigned char digest[CERTIFICATE_DIGEST_SIZE];
    char subject[256];
    ca_set_digest(made, digest);
    if (set->credentials != NULL && memcmp(digest, set->digest, sizeof digest) == 0) {
        ca_set_destroy(made); // touched, or swapped for the same: nobody needs new connections for it
        return;
    }
    const int64_t first_end = ca_set_first_end(made, subject, sizeof subject);
    memcpy(set->digest, digest, sizeof digest);
    credentials_unref(set->credentials);
    set->credentials = credentials_create_origin(made, ++files->generation);
    log_event(LOG_INFO, "ca_set_loaded", "files=\"%.*s\" certificates=%u first_end=%lld", BYTES_FORMAT(set->names),
              ca_set_count(credentials_authorities(set->credentials)), (long long)first_end);
    files->options.publish(files->options.owner, set->key, set->names, set->credentials);
}

static bool is_due(const struct watched_set *set) {
    return set->last_error[0] != '\0' || has_changed(set);
}

static enum error load(struct ca_files *files, struct watched_set *set) {
    struct ca_set *made;
    enum error error = read_set(set, &made, set->last_error, sizeof set->last_error);
    if (error != OK)
        return error;
    set->last_error[0] = '\0';
    set->refused = false;
    set->accepted_count++;
    put_in_force(files, set, made);
    return OK;
}

static void settle(struct ca_files *files, nanoseconds after) {
    if (!timer_is_running(&files->attempt))
        files->settle_until = files->loop->now + SETTLE_MAX;
    loop_timer_start(files->loop, &files->attempt, after);
}

static void refuse(const struct ca_files *files, struct watched_set *set) {
    set->refused = true;
    set->refused_count++;
    log_event(LOG_ERROR, "ca_set_refused", "files=\"%.*s\" in_force=%s reason=\"%s\"", BYTES_FORMAT(set->names),
              set->credentials != NULL ? "true" : "false", set->last_error);
    if (files->options.refused != NULL)
        files->options.refused(files->options.owner, set->names, set->last_error);
}

static void on_attempt(struct timer *timer) {
    struct ca_files *files = CONTAINER_OF(timer, struct ca_files, attempt);
    const bool is_last = files->loop->now >= files->settle_until;
    bool goes_on = false;
    for (struct watched_set *set = files->first; set != NULL; set = set->next) {
        if (!is_due(set) || load(files, set) == OK || set->refused)
            continue;
        goes_on |= !is_last;
        if (is_last)
            refuse(files, set);
    }
    if (goes_on)
        loop_timer_start(files->loop, &files->attempt, SETTLE_AGAIN);
}

static void on_look(void *owner) {
    struct ca_files *files = owner;
    bool any = false;
    for (const struct watched_set *set = files->first; set != NULL && !any; set = set->next)
        any = is_due(set);
    if (any && !timer_is_running(&files->attempt))
        settle(files, SETTLE_FIRST);
}

// --- which sets there are ---

static struct watched_set **find(struct ca_files *files, struct bytes key) {
    struct watched_set **at = &files->first;
    while (*at != NULL && !bytes_equal((*at)->key, key))
        at = &(*at)->next;
    return at;
}

static struct bytes join(const struct ca_set_config *config) {
    size_t length = 0;
    for (uint32_t i = 0; i < config->file_count; i++)
        length += config->files[i].len + 1;
    char *text = alloc_or_abort(length);
    size_t used = 0;
    for (uint32_t i = 0; i < config->file_count; i++) {
        memcpy(text + used, config->files[i].at, config->files[i].len);
        used += config->files[i].len;
        text[used++] = i + 1 < config->file_count ? ',' : '\0';
    }
    return bytes_from(text, length - 1);
}

static struct watched_set *add(struct ca_files *files, const struct ca_set_config *config) {
    struct watched_set *set = alloc_zeroed_or_abort(1, sizeof *set);
    set->key = bytes_keep(config->key);
    set->names = join(config);
    set->count = config->file_count;
    set->paths = alloc_zeroed_or_abort(set->count, sizeof *set->paths);
    set->marks = alloc_zeroed_or_abort(set->count, sizeof *set->marks);
    for (uint32_t i = 0; i < set->count; i++)
        set->paths[i] = copy_text_or_abort(config->files[i]);
    *find(files, set->key) = set;
    return set;
}

static void drop(struct watched_set **at) {
    struct watched_set *set = *at;
    *at = set->next;
    credentials_unref(set->credentials);
    for (uint32_t i = 0; i < set->count; i++)
        free(set->paths[i]);
    free(set->paths);
    free(set->marks);
    bytes_drop(&set->key);
    bytes_drop(&set->names);
    free(set);
}

static void watch_all(struct ca_files *files) {
    uint32_t count = 0, used = 0;
    for (const struct watched_set *set = files->first; set != NULL; set = set->next)
        count += set->count;
    const char **paths = alloc_zeroed_or_abort(count + 1, sizeof *paths);
    for (const struct watched_set *set = files->first; set != NULL; set = set->next)
        for (uint32_t i = 0; i < set->count; i++)
            paths[used++] = set->paths[i];
    (void)file_watch_set_files(files->watch, paths, count);
    free(paths);
}

void ca_files_follow(struct ca_files *files, const struct snapshot *snapshot) {
    bool failed = false, has_new = false;
    for (struct watched_set *set = files->first; set != NULL; set = set->next)
        set->is_wanted = false;
    for (const struct ca_set_config *config = snapshot->ca_sets; config != NULL; config = config->next) {
        struct watched_set *set = *find(files, config->key);
        const bool is_new = set == NULL;
        if (is_new)
            set = add(files, config);
        set->is_wanted = true;
        has_new |= is_new;
        failed |= is_new && load(files, set) != OK;
    }
    if (has_new)
        watch_all(files);
    if (failed)
        settle(files, SETTLE_AGAIN);
}

void ca_files_forget(struct ca_files *files) {
    bool any = false;
    for (struct watched_set **at = &files->first; *at != NULL;) {
        struct watched_set *set = *at;
        if (set->is_wanted) {
            at = &set->next;
            continue;
        }
        if (set->credentials != NULL)
            files->options.withdraw(files->options.owner, set->key, set->credentials);
        drop(at);
        any = true;
    }
    if (any)
        watch_all(files);
}

void ca_files_reload(struct ca_files *files) {
    bool failed = false;
    for (struct watched_set *set = files->first; set != NULL; set = set->next)
        failed |= is_due(set) && load(files, set) != OK;
    if (failed)
        settle(files, SETTLE_AGAIN);
}

bool ca_files_are_settling(const struct ca_files *files) {
    return timer_is_running(&files->attempt);
}

// --- life ---

static void on_release(struct task *task) {
    struct ca_files *files = CONTAINER_OF(task, struct ca_files, release);
    files->loop->handles--;
    while (files->first != NULL)
        drop(&files->first);
    free(files);
}

struct ca_files *ca_files_create(struct loop *loop, const struct ca_files_options *options) {
    struct ca_files *files = alloc_zeroed_or_abort(1, sizeof *files);
    files->loop = loop;
    files->options = *options;
    task_init(&files->release, on_release);
    timer_init(&files->attempt, on_attempt);
    loop->handles++;
    const struct file_watch_options watch = {
        .poll_interval = options->poll_interval > 0 ? options->poll_interval : POLL_INTERVAL_DEFAULT,
        .look = on_look,
        .owner = files,
    };
    files->watch = file_watch_create(loop, &watch);
    return files;
}

void ca_files_close(struct ca_files *files) {
    file_watch_close(files->watch);
    loop_timer_stop(files->loop, &files->attempt);
    loop_defer(files->loop, &files->release);
}

uint32_t ca_files_count(const struct ca_files *files) {
    uint32_t count = 0;
    for (const struct watched_set *set = files->first; set != NULL; set = set->next)
        count++;
    return count;
}

struct ca_files_state ca_files_state(const struct ca_files *files, uint32_t index) {
    const struct watched_set *set = files->first;
    for (; index > 0; index--)
        set = set->next;
    return (struct ca_files_state){.credentials = set->credentials,
                                   .files = set->names,
                                   .last_error = set->last_error,
                                   .accepted = set->accepted_count,
                                   .refused = set->refused_count};
}

bool ca_files_check(const struct snapshot *snapshot, struct config_errors *errors) {
    bool all = true;
    for (const struct ca_set_config *config = snapshot->ca_sets; config != NULL; config = config->next) {
        struct ca_set *set;
        char reason[REASON_MAX];
        if (read_all(config->files, config->file_count, &set, reason, sizeof reason) == OK) {
            ca_set_destroy(set);
            continue;
        }
        config_errors_add(errors, config->place, config->document, "caCertificates", "%s", reason);
        all = false;
    }
    return all;
}
