// Which files a set of paths means, and their bytes: a folder is read recursively, *.yaml *.yml *.json in byte order, names that start with a dot are skipped,
// symlinks are followed.
#ifndef CONFIG_FILES_H
#define CONFIG_FILES_H

#include "base/pool.h"
#include "config/load.h"

#include <sys/stat.h>

// A set of documents above these is a mistake, not a mesh: 4 MiB is some 40,000 endpoints.
#define FILE_BYTES_MAX (4u << 20)
#define FILES_MAX 10000
// A folder in a folder ...: also what ends a loop of symlinks.
#define FILES_DEPTH_MAX 16

// Names in the order of reading, in `pool`; the folders that were looked through for them. A path that cannot be read is an error in `errors`.
struct file_list {
    struct found_file {
        const char *name;
        struct stat status;
    } * files;
    uint32_t count;
    uint32_t capacity;
    const char **folders;
    uint32_t folder_count;
    uint32_t folder_capacity;
    uint32_t missing; // what was told as an error
};

void file_list_read(struct file_list *files, struct pool *pool, const char *const *paths, uint32_t path_count, struct config_errors *errors);
void file_list_dispose(struct file_list *files);

// A number over names, sizes and times of change of the files: see config_fingerprint.
uint64_t file_list_fingerprint(const struct file_list *files);

// Whether it is the same file and nothing tells of a change.
bool file_is_unchanged(const struct stat *before, const struct stat *now);

// The whole file, to be freed with free(). ERROR_INVALID: the reason is in `errors`.
enum error file_read(const char *name, struct config_errors *errors, char **text, size_t *length) MUST_CHECK;

#endif
