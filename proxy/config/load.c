// A load from files: find, read, decode, check, freeze. What is kept between loads stands in cache.h.
#include "config/load.h"

#include "base/check.h"
#include "config/cache.h"
#include "config/check.h"
#include "config/document.h"
#include "config/errors.h"
#include "config/files.h"
#include "config/freeze.h"
#include "config/unit.h"

#include <stdlib.h>

// All documents together: some 25 times what 5,000 documents take.
#define TEXT_BYTES_MAX (UINT64_C(64) << 20)

struct load {
    struct loading loading;
    struct config_cache *cache; // NULL: none
    struct config_memory *scratch;
    struct unit **units; // in the order of the files, one reference each
    uint32_t unit_count;
    uint64_t text_bytes;
};

static void load_begin(struct load *load, struct config_cache *cache, struct config_errors *errors, struct config_errors *warnings) {
    CHECK(errors->count == 0);
    *load = (struct load){.cache = cache, .scratch = config_memory_create()};
    load->loading = (struct loading){.scratch = &load->scratch->pool, .errors = errors, .warnings = warnings};
    load->loading.next = &load->loading.first;
    load->loading.environment = cache == NULL ? NULL : cache->environment;
    if (cache != NULL)
        cache_begin(cache);
}

static struct unit *decode_file(struct load *load, const struct found_file *file, struct bytes text) {
    const uint32_t errors_before = load->loading.errors->count;
    struct unit *unit = unit_create(&load->loading, file->name, text);
    if (load->cache == NULL)
        return unit;
    load->cache->figures.files_decoded++;
    if (load->loading.errors->count == errors_before)
        cache_keep(load->cache, unit, file);
    return unit;
}

// NULL: it cannot be read, and that was told.
static struct unit *read_unit(struct load *load, const struct found_file *file) {
    char *text;
    size_t length;
    if (file_read(file->name, load->loading.errors, &text, &length) != OK) {
        load->loading.is_partial = true;
        return NULL;
    }
    struct unit *unit = NULL;
    if (load->cache != NULL) {
        load->cache->figures.files_read++;
        unit = cache_find_text(load->cache, file, bytes_from(text, length));
    }
    if (unit == NULL)
        return decode_file(load, file, bytes_from(text, length));
    free(text);
    return unit;
}

static void read_files(struct load *load, const struct file_list *files) {
    load->units = alloc_zeroed_or_abort(files->count + 1, sizeof(*load->units));
    for (uint32_t i = 0; i < files->count; i++) {
        struct unit *unit = load->cache != NULL ? cache_find(load->cache, &files->files[i]) : NULL;
        if (unit == NULL)
            unit = read_unit(load, &files->files[i]);
        if (unit == NULL)
            continue;
        load->units[load->unit_count++] = unit;
        load->text_bytes += unit->text.len;
        if (load->text_bytes > TEXT_BYTES_MAX) {
            config_errors_add(load->loading.errors, (struct place){unit->file, 0}, NULL, NULL,
                              "is too much: all documents together may have at most %u bytes", (unsigned)TEXT_BYTES_MAX);
            load->loading.is_partial = true;
            return;
        }
        unit_join(unit, &load->loading);
    }
}

// Places name files by the units' own texts.
static const char **unit_files(const struct load *load) {
    const char **names = alloc_zeroed_or_abort(load->unit_count + 1, sizeof(*names));
    for (uint32_t i = 0; i < load->unit_count; i++)
        names[i] = load->units[i]->file;
    return names;
}

static void note_figures(const struct load *load, const struct file_list *files) {
    struct config_load_figures *figures = &load->cache->figures;
    figures->fingerprint = file_list_fingerprint(files);
    figures->files = files->count;
    figures->documents = load->loading.count;
    memset(figures->by_kind, 0, sizeof(figures->by_kind));
    for (const struct document *document = load->loading.first; document != NULL; document = document->next) {
        if (document->kind == NULL)
            continue; // told as unknown
        CHECK(document->kind - config_kinds < CONFIG_KINDS_MAX);
        figures->by_kind[document->kind - config_kinds]++;
    }
    figures->files_revived = load->loading.revived;
    figures->text_bytes = load->text_bytes;
}

// All has been read: a snapshot, if nothing is wrong.
static enum error load_end(struct load *load, const char *first_path, struct snapshot **snapshot) {
    struct loading *loading = &load->loading;
    const struct document *proxy = NULL;
    config_check(loading, first_path, &proxy);
    if (load->cache != NULL)
        cache_take_contents(load->cache, loading->contents);
    const bool is_good = loading->errors->count == 0;
    *snapshot = is_good ? config_freeze(loading, proxy, load->units, load->unit_count) : NULL;
    const char **names = unit_files(load);
    config_errors_sort(loading->errors, names, load->unit_count);
    config_errors_sort(loading->warnings, names, load->unit_count);
    free(names);
    for (uint32_t i = 0; i < load->unit_count; i++) {
        unit_leave(load->units[i]);
        unit_unref(load->units[i]);
    }
    free(load->units);
    if (load->cache != NULL)
        cache_end(load->cache);
    config_memory_destroy(load->scratch);
    return is_good ? OK : ERROR_INVALID;
}

enum error config_load(struct config_cache *cache, const char *const *paths, uint32_t path_count, struct snapshot **snapshot,
                       struct config_errors *errors, struct config_errors *warnings) {
    CHECK(path_count > 0);
    struct load load;
    struct file_list files;
    load_begin(&load, cache, errors, warnings);
    file_list_read(&files, load.loading.scratch, paths, path_count, errors);
    load.loading.is_partial = errors->count > 0;
    read_files(&load, &files);
    if (cache != NULL)
        note_figures(&load, &files);
    enum error error = load_end(&load, paths[0], snapshot);
    file_list_dispose(&files);
    return error;
}

enum error config_load_text(const char *name, struct bytes text, struct snapshot **snapshot, struct config_errors *errors,
                            struct config_errors *warnings) {
    struct load load;
    load_begin(&load, NULL, errors, warnings);
    load.units = alloc_zeroed_or_abort(1, sizeof(*load.units));
    load.units[load.unit_count++] = unit_create(&load.loading, name, bytes_keep(text));
    unit_join(load.units[0], &load.loading);
    return load_end(&load, name, snapshot);
}

uint64_t config_fingerprint(const struct config_cache *cache, const char *const *paths, uint32_t path_count) {
    struct config_memory *memory = config_memory_create();
    struct config_errors unread;
    struct file_list files;
    config_errors_init(&unread);
    file_list_read(&files, &memory->pool, paths, path_count, &unread);
    uint64_t fingerprint = file_list_fingerprint(&files);
    for (uint32_t i = 0; cache != NULL && i < cache->content_count; i++)
        fingerprint = digest_number(fingerprint, content_mark(cache->contents[i].at));
    config_errors_dispose(&unread);
    file_list_dispose(&files);
    config_memory_destroy(memory);
    return fingerprint;
}
