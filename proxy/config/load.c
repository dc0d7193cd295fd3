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

static void read_documents(struct loading *loading, const char *file, struct bytes text) {
    struct tree *trees;
    struct tree_fault fault;
    if (tree_read(loading->scratch, text, &trees, &fault) != OK) {
        config_errors_add(loading->errors, (struct place){file, fault.line}, NULL, NULL, "%.*s", BYTES_FORMAT(fault.text));
        loading->is_partial = true;
    }
    for (const struct tree *tree = trees; tree != NULL; tree = tree->next)
        (void)document_read(loading, file, tree->root);
}

static void read_files(struct loading *loading, const struct file_list *files) {
    for (uint32_t i = 0; i < files->count; i++) {
        char *text;
        size_t length;
        if (file_read(files->names[i], loading->errors, &text, &length) != OK) {
            loading->is_partial = true;
            continue;
        }
        read_documents(loading, files->names[i], bytes_from(text, length));
        free(text);
    }
}

struct load {
    struct loading loading;
    struct snapshot_memory *memory, *scratch;
};

static void load_begin(struct load *load, struct config_errors *errors, struct config_errors *warnings) {
    CHECK(errors->count == 0);
    load->memory = snapshot_memory_create();
    load->scratch = snapshot_memory_create();
    load->loading = (struct loading){.scratch = &load->scratch->pool, .values = &load->memory->pool, .errors = errors, .warnings = warnings};
    load->loading.next = &load->loading.first;
}

// All has been read: a snapshot, if nothing is wrong.
static enum error load_end(struct load *load, const char *first_path, const char *const *files, uint32_t file_count, struct snapshot **snapshot) {
    const struct document *proxy = NULL;
    config_check(&load->loading, first_path, &proxy);
    bool is_good = load->loading.errors->count == 0;
    *snapshot = is_good ? config_freeze(&load->loading, proxy, load->memory) : NULL;
    config_errors_sort(load->loading.errors, files, file_count);
    config_errors_sort(load->loading.warnings, files, file_count);
    snapshot_memory_destroy(load->scratch);
    if (!is_good)
        snapshot_memory_destroy(load->memory);
    return is_good ? OK : ERROR_INVALID;
}

enum error config_load(const char *const *paths, uint32_t path_count, struct snapshot **snapshot, struct config_errors *errors,
                       struct config_errors *warnings) {
    CHECK(path_count > 0);
    struct load load;
    struct file_list files;
    load_begin(&load, errors, warnings);
    file_list_read(&files, &load.memory->pool, paths, path_count, errors);
    load.loading.is_partial = errors->count > 0;
    read_files(&load.loading, &files);
    enum error error = load_end(&load, paths[0], files.names, files.count, snapshot);
    file_list_dispose(&files);
    return error;
}

enum error config_load_text(const char *name, struct bytes text, struct snapshot **snapshot, struct config_errors *errors,
                            struct config_errors *warnings) {
    struct load load;
    load_begin(&load, errors, warnings);
    const char *file = pool_copy(&load.memory->pool, bytes_from_text(name)).at;
    read_documents(&load.loading, file, text);
    return load_end(&load, name, &file, 1, snapshot);
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
