// Documents in files to a snapshot: decode, check all, freeze. Every error of every document is collected; with any error there is no snapshot.
#ifndef CONFIG_LOAD_H
#define CONFIG_LOAD_H

#include "base/error.h"
#include "base/pool.h"
#include "config/otel_environment.h"
#include "config/snapshot.h"

// Messages in the order of files and lines: "file:line: kind/namespace/name: path: what is wrong, what is allowed". What a message has no place,
// document or path for is left out with its colon: "file: cannot be read: ...".
struct config_errors {
    char **lines;
    uint32_t count;
    uint32_t capacity;
    struct place *places; // config/'s own, for sorting
};

void config_errors_init(struct config_errors *errors);
void config_errors_dispose(struct config_errors *errors);

// `place.file` must live until config_errors_dispose or the end of the config_load that it is passed to.
void config_errors_add(struct config_errors *errors, struct place place, const char *document, const char *path, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

// What loads keep for those that follow: the decoded documents of the last one, file by file, so that only files that have changed are read and decoded again. Of one thread.
struct config_cache;

// More kinds of documents than there are.
#define CONFIG_KINDS_MAX 32

// Of the last load.
struct config_load_figures {
    uint64_t fingerprint; // as config_fingerprint; from before the files were read
    uint32_t files;
    uint32_t files_read;    // their bytes were looked at
    uint32_t files_decoded; // they say something else than before
    uint32_t files_revived; // had to be parsed again so that an error has its line
    uint32_t documents;
    uint32_t by_kind[CONFIG_KINDS_MAX]; // documents, in the order of config_kinds
    uint64_t text_bytes;
};

// `wall`: the time of day, by which files that were written a moment ago are told.
struct config_cache *config_cache_create(nanoseconds (*wall)(void));
void config_cache_destroy(struct config_cache *cache);

// The next load trusts no time of change: it reads all files, and goes by what is in them.
void config_cache_doubt(struct config_cache *cache);

// What OTEL_* variables say where documents are silent, in the loads that follow; it outlives them. NULL: nothing.
void config_cache_set_environment(struct config_cache *cache, const struct otel_environment *environment);

const struct config_load_figures *config_cache_figures(const struct config_cache *cache);

// Reads files and folders as policy.md says ("Reading"). On OK `*snapshot` has one reference, generation 0 (the caller counts); on ERROR_INVALID
// `errors` has at least one line and `*snapshot` is NULL. Certificates are not read here. `warnings` gets what is allowed but doubtful. With a `cache` (NULL: none) the result is the
// same, only sooner.
enum error config_load(struct config_cache *cache, const char *const *paths, uint32_t path_count, struct snapshot **snapshot,
                       struct config_errors *errors, struct config_errors *warnings) MUST_CHECK;

// The same with one file whose text is at hand; `name` is what messages and places call it.
enum error config_load_text(const char *name, struct bytes text, struct snapshot **snapshot, struct config_errors *errors,
                            struct config_errors *warnings) MUST_CHECK;

// More are not worth their watches: looking at the fingerprint every few seconds finds the rest.
#define CONFIG_WATCH_MAX 512

// What config_load depends on in the file system, for watching: the folders that `paths` lie in, the folders that are read, those of the files beside the documents that the last load with
// `cache` (NULL: none) has read, and the files that symlinks lead to. In `pool`; most telling first.
void config_watch_list(const struct config_cache *cache, const char *const *paths, uint32_t path_count, struct pool *pool,
                       const char *const **watched, uint32_t *watched_count);

// A number over names, sizes and times of change of all files that config_load would read (symlinks followed), and of the files beside them as above: changed = load again.
uint64_t config_fingerprint(const struct config_cache *cache, const char *const *paths, uint32_t path_count);

// Whether one of the files beside the documents is called `name`, without its folder.
bool config_cache_has_file(const struct config_cache *cache, const char *name);

#endif
