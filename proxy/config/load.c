// A load from files: find, read, decode, check, freeze. Nothing is kept between loads.
#include "config/load.h"

#include "base/check.h"
#include "config/check.h"
#include "config/document.h"
#include "config/errors.h"
#include "config/files.h"
#include "config/freeze.h"
#include "config/table.h"

#include <stdlib.h>
#include <sys/stat.h>

static void read_documents(struct loading *loading, const char *file) {
    char *text;
    size_t length;
    if (file_read(file, loading->errors, &text, &length) != OK)
        return;
    struct tree *trees;
    struct tree_fault fault;
    if (tree_read(loading->scratch, bytes_from(text, length), &trees, &fault) != OK)
        config_errors_add(loading->errors, (struct place){file, fault.line}, NULL, NULL, "%.*s", BYTES_FORMAT(fault.text));
    free(text);
    for (const struct tree *tree = trees; tree != NULL; tree = tree->next)
        (void)document_read(loading, file, tree->root);
}

// Decodes and checks all; a snapshot only if nothing is wrong.
static struct snapshot *load_files(struct loading *loading, const struct file_list *files, const char *first_path, struct snapshot_memory *memory) {
    const struct document *proxy = NULL;
    for (uint32_t i = 0; i < files->count; i++)
        read_documents(loading, files->names[i]);
    config_check(loading, first_path, &proxy);
    return loading->errors->count == 0 ? config_freeze(loading, proxy, memory) : NULL;
}

enum error config_load(const char *const *paths, uint32_t path_count, struct snapshot **snapshot, struct config_errors *errors,
                       struct config_errors *warnings) {
    CHECK(path_count > 0 && errors->count == 0);
    struct snapshot_memory *memory = snapshot_memory_create();
    struct snapshot_memory *scratch = snapshot_memory_create();
    struct loading loading = {.scratch = &scratch->pool, .values = &memory->pool, .errors = errors, .warnings = warnings};
    loading.next = &loading.first;
    struct file_list files;
    file_list_read(&files, &memory->pool, paths, path_count, errors);
    *snapshot = load_files(&loading, &files, paths[0], memory);
    config_errors_sort(errors, files.names, files.count);
    config_errors_sort(warnings, files.names, files.count);
    file_list_dispose(&files);
    snapshot_memory_destroy(scratch);
    if (*snapshot == NULL)
        snapshot_memory_destroy(memory);
    return *snapshot != NULL ? OK : ERROR_INVALID;
}

uint64_t config_fingerprint(const char *const *paths, uint32_t path_count) {
    struct snapshot_memory *memory = snapshot_memory_create();
    struct config_errors unread;
    config_errors_init(&unread);
    struct file_list files;
    file_list_read(&files, &memory->pool, paths, path_count, &unread);
    uint64_t digest = digest_number(DIGEST_START, unread.count);
    for (uint32_t i = 0; i < files.count; i++) {
        struct stat status = {0};
        digest = digest_bytes(digest, bytes_from_text(files.names[i]));
        if (stat(files.names[i], &status) != 0)
            continue;
        digest = digest_number(digest, (uint64_t)status.st_dev);
        digest = digest_number(digest, status.st_ino);
        digest = digest_number(digest, (uint64_t)status.st_size);
        digest = digest_number(digest, (uint64_t)status.st_mtim.tv_sec);
        digest = digest_number(digest, (uint64_t)status.st_mtim.tv_nsec);
    }
    config_errors_dispose(&unread);
    file_list_dispose(&files);
    snapshot_memory_destroy(memory);
    return digest;
}
