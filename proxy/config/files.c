// Finding and reading the files of a configuration. Knows nothing of what is in them.
#include "config/files.h"

#include "base/check.h"
#include "config/table.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct search {
    struct file_list *files;
    struct pool *pool;
    struct config_errors *errors;
    bool is_full;                           // too many files, and that was said
    struct stat above[FILES_DEPTH_MAX + 1]; // the folders that are open, outermost first
};

static void *grow_list(void *items, uint32_t *capacity, size_t size) {
    *capacity = *capacity == 0 ? 16 : *capacity * 2;
    items = realloc(items, *capacity * size);
    CHECK(items != NULL);
    return items;
}

static void add_file(struct search *search, const char *name, const struct stat *status) {
    struct file_list *files = search->files;
    if (files->count == FILES_MAX) {
        if (!search->is_full)
            config_errors_add(search->errors, (struct place){name, 0}, NULL, NULL, "is one file too many; at most %u are read", FILES_MAX);
        search->is_full = true;
        return;
    }
    if (files->count == files->capacity)
        files->files = grow_list(files->files, &files->capacity, sizeof(files->files[0]));
    files->files[files->count++] = (struct found_file){name, *status};
}

static void add_folder(struct file_list *files, const char *name) {
    if (files->folder_count == files->folder_capacity)
        files->folders = grow_list(files->folders, &files->folder_capacity, sizeof(files->folders[0]));
    files->folders[files->folder_count++] = name;
}

static bool has_suffix_of_documents(struct bytes name) {
    return bytes_ends_with(name, BYTES(".yaml")) || bytes_ends_with(name, BYTES(".yml")) || bytes_ends_with(name, BYTES(".json"));
}

static void search_folder(struct search *search, const char *folder, const struct stat *status, uint32_t depth);

static void search_entry(struct search *search, const char *folder, const char *entry, uint32_t depth) {
    if (entry[0] == '.')
        return;
    const char *separator = bytes_ends_with(bytes_from_text(folder), BYTES("/")) ? "" : "/";
    const char *name = pool_format(search->pool, "%s%s%s", folder, separator, entry).at;
    bool is_wanted = has_suffix_of_documents(bytes_from_text(entry));
    struct stat status;
    if (stat(name, &status) != 0) {
        // A dangling link whose name means nothing to us is nobody's fault here.
        if (is_wanted)
            config_errors_add(search->errors, (struct place){name, 0}, NULL, NULL, "cannot be read: %s", strerror(errno));
    } else if (S_ISDIR(status.st_mode))
        search_folder(search, name, &status, depth + 1);
    else if (S_ISREG(status.st_mode) && is_wanted)
        add_file(search, name, &status);
}

// A symlink back to a folder above it leads to nothing new.
static bool is_above(const struct search *search, const struct stat *status, uint32_t depth) {
    for (uint32_t i = 0; i < depth; i++)
        if (search->above[i].st_dev == status->st_dev && search->above[i].st_ino == status->st_ino)
            return true;
    return false;
}

static void search_folder(struct search *search, const char *folder, const struct stat *status, uint32_t depth) {
    if (depth > FILES_DEPTH_MAX) {
        config_errors_add(search->errors, (struct place){folder, 0}, NULL, NULL, "is nested too deep; folders are read %u deep", FILES_DEPTH_MAX);
        return;
    }
    if (is_above(search, status, depth))
        return;
    search->above[depth] = *status;
    add_folder(search->files, folder);
    DIR *entries = opendir(folder);
    if (entries == NULL) {
        config_errors_add(search->errors, (struct place){folder, 0}, NULL, NULL, "cannot be read: %s", strerror(errno));
        return;
    }
    for (const struct dirent *entry = readdir(entries); entry != NULL && !search->is_full; entry = readdir(entries))
        search_entry(search, folder, entry->d_name, depth);
    closedir(entries);
}

static int compare_names(const void *a, const void *b) {
    const struct found_file *left = a, *right = b;
    return strcmp(left->name, right->name);
}

static void search_path(struct search *search, const char *path) {
    struct stat status;
    uint32_t before = search->files->count;
    const char *name = pool_copy(search->pool, bytes_from_text(path)).at;
    if (stat(name, &status) != 0)
        config_errors_add(search->errors, (struct place){name, 0}, NULL, NULL, "cannot be read: %s", strerror(errno));
    else if (S_ISDIR(status.st_mode))
        search_folder(search, name, &status, 0);
    else if (S_ISREG(status.st_mode))
        add_file(search, name, &status);
    else
        config_errors_add(search->errors, (struct place){name, 0}, NULL, NULL, "is neither a file nor a folder");
    if (search->files->count > before)
        qsort(search->files->files + before, search->files->count - before, sizeof(search->files->files[0]), compare_names);
}

void file_list_read(struct file_list *files, struct pool *pool, const char *const *paths, uint32_t path_count, struct config_errors *errors) {
    *files = (struct file_list){0};
    struct search search = {.files = files, .pool = pool, .errors = errors};
    const uint32_t errors_before = errors->count;
    for (uint32_t i = 0; i < path_count; i++)
        search_path(&search, paths[i]);
    files->missing = errors->count - errors_before;
}

void file_list_dispose(struct file_list *files) {
    free(files->files);
    free(files->folders);
    *files = (struct file_list){0};
}

uint64_t file_list_fingerprint(const struct file_list *files) {
    uint64_t digest = digest_number(DIGEST_START, files->missing);
    for (uint32_t i = 0; i < files->count; i++) {
        const struct stat *status = &files->files[i].status;
        digest = digest_bytes(digest, bytes_from_text(files->files[i].name));
        digest = digest_number(digest, (uint64_t)status->st_dev);
        digest = digest_number(digest, status->st_ino);
        digest = digest_number(digest, (uint64_t)status->st_size);
        digest = digest_number(digest, (uint64_t)status->st_mtim.tv_sec);
        digest = digest_number(digest, (uint64_t)status->st_mtim.tv_nsec);
    }
    return digest;
}

static bool is_same_time(const struct timespec *a, const struct timespec *b) {
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

bool file_is_unchanged(const struct stat *before, const struct stat *now) {
    return before->st_dev == now->st_dev && before->st_ino == now->st_ino && before->st_size == now->st_size &&
           is_same_time(&before->st_mtim, &now->st_mtim) && is_same_time(&before->st_ctim, &now->st_ctim);
}

struct reading {
    char *text;
    size_t length;
    size_t capacity; // at most one byte over the bound: that one tells that there is more
};

static enum error grow(struct reading *reading, size_t capacity) {
    capacity = capacity > FILE_BYTES_MAX ? FILE_BYTES_MAX + 1 : capacity;
    char *larger = try_alloc(capacity);
    if (larger == NULL)
        return ERROR_NO_MEMORY;
    if (reading->length > 0)
        memcpy(larger, reading->text, reading->length);
    free(reading->text);
    reading->text = larger;
    reading->capacity = capacity;
    return OK;
}

// A file may grow while it is read: what is read is bounded by itself, not by what fstat said.
static enum error read_all(int descriptor, struct reading *reading) {
    struct stat status;
    if (fstat(descriptor, &status) != 0)
        return ERROR_IO;
    enum error error = grow(reading, (size_t)(status.st_size < 0 ? 0 : status.st_size) + 1);
    while (error == OK) {
        ssize_t got = read(descriptor, reading->text + reading->length, reading->capacity - reading->length);
        if (got == 0)
            return OK;
        if (got < 0 && errno != EINTR)
            return ERROR_IO;
        reading->length += got > 0 ? (size_t)got : 0;
        if (reading->length > FILE_BYTES_MAX)
            return ERROR_FULL;
        if (reading->length == reading->capacity)
            error = grow(reading, reading->capacity * 2);
    }
    return error;
}

enum error file_read(const char *name, struct config_errors *errors, char **text, size_t *length) {
    struct place place = {name, 0};
    int descriptor = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0) {
        config_errors_add(errors, place, NULL, NULL, "cannot be read: %s", strerror(errno));
        return ERROR_INVALID;
    }
    struct reading reading = {0};
    enum error error = read_all(descriptor, &reading);
    if (error == ERROR_FULL)
        config_errors_add(errors, place, NULL, NULL, "is too large; at most %u bytes are read", FILE_BYTES_MAX);
    else if (error != OK)
        config_errors_add(errors, place, NULL, NULL, "cannot be read: %s", error == ERROR_NO_MEMORY ? "no memory" : strerror(errno));
    close(descriptor);
    if (error != OK) {
        free(reading.text);
        return ERROR_INVALID;
    }
    *text = reading.text;
    *length = reading.length;
    return OK;
}
