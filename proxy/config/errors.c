// The list of messages that a load collects: one line each, sorted by file and line at the end. Used by config/ alone to write, by app and cli to print.
#include "config/errors.h"

#include "base/check.h"
#include "base/pool.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void config_errors_init(struct config_errors *errors) {
    *errors = (struct config_errors){0};
}

void config_errors_dispose(struct config_errors *errors) {
    for (uint32_t i = 0; i < errors->count; i++)
        free(errors->lines[i]);
    free(errors->lines);
    free(errors->places);
    config_errors_init(errors);
}

static void make_room(struct config_errors *errors) {
    if (errors->count < errors->capacity)
        return;
    errors->capacity = errors->capacity == 0 ? 16 : errors->capacity * 2;
    errors->lines = realloc(errors->lines, errors->capacity * sizeof(errors->lines[0]));
    errors->places = realloc(errors->places, errors->capacity * sizeof(errors->places[0]));
    CHECK(errors->lines != NULL && errors->places != NULL);
}

// What a document says may stand in a message: nothing of it may break the line or speak to the terminal. In UTF-8 the second set of control
// characters, U+0080 to U+009F, begins with the byte C2.
static void clean(char *line) {
    for (unsigned char *at = (unsigned char *)line; *at != '\0'; at++) {
        if (*at < 0x20 || *at == 0x7f)
            *at = '?';
        else if (at[0] == 0xc2 && at[1] >= 0x80 && at[1] <= 0x9f)
            at[0] = at[1] = '?';
    }
}

__attribute__((format(printf, 5, 0))) static void write_line(FILE *out, struct place place, const char *document, const char *path,
                                                             const char *format, va_list arguments) {
    if (place.file != NULL && place.line != 0)
        fprintf(out, "%s:%u: ", place.file, place.line);
    else if (place.file != NULL)
        fprintf(out, "%s: ", place.file);
    if (document != NULL && document[0] != '\0')
        fprintf(out, "%s: ", document);
    if (path != NULL && path[0] != '\0')
        fprintf(out, "%s: ", path);
    vfprintf(out, format, arguments);
}

void config_errors_add_list(struct config_errors *errors, struct place place, const char *document, const char *path, const char *format,
                            va_list arguments) {
    make_room(errors);
    char *line = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&line, &length);
    CHECK(out != NULL);
    write_line(out, place, document, path, format, arguments);
    CHECK(fclose(out) == 0 && line != NULL);
    clean(line);
    errors->lines[errors->count] = line;
    errors->places[errors->count] = place;
    errors->count++;
}

void config_errors_add(struct config_errors *errors, struct place place, const char *document, const char *path, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    config_errors_add_list(errors, place, document, path, format, arguments);
    va_end(arguments);
}

void config_errors_add_all(struct config_errors *errors, const struct config_errors *from) {
    for (uint32_t i = 0; i < from->count; i++) {
        make_room(errors);
        errors->lines[errors->count] = copy_text_or_abort(bytes_from_text(from->lines[i]));
        errors->places[errors->count++] = from->places[i];
    }
}

struct ranked {
    uint32_t file;
    uint32_t line;
    uint32_t sequence;
    char *text;
};

static int compare_ranked(const void *a, const void *b) {
    const struct ranked *left = a, *right = b;
    if (left->file != right->file)
        return left->file < right->file ? -1 : 1;
    if (left->line != right->line)
        return left->line < right->line ? -1 : 1;
    return left->sequence < right->sequence ? -1 : 1;
}

static uint32_t file_rank(const char *file, const char *const *files, uint32_t file_count) {
    uint32_t rank = 0;
    while (rank < file_count && files[rank] != file)
        rank++;
    return file == NULL ? 0 : rank;
}

void config_errors_sort(struct config_errors *errors, const char *const *files, uint32_t file_count) {
    if (errors->count == 0)
        return;
    struct ranked *ranked = alloc_zeroed_or_abort(errors->count, sizeof(ranked[0]));
    const char *last_file = NULL;
    uint32_t last_rank = 0;
    for (uint32_t i = 0; i < errors->count; i++) {
        if (i == 0 || errors->places[i].file != last_file) {
            last_file = errors->places[i].file;
            last_rank = file_rank(last_file, files, file_count);
        }
        ranked[i] = (struct ranked){last_rank, errors->places[i].line, i, errors->lines[i]};
    }
    qsort(ranked, errors->count, sizeof(ranked[0]), compare_ranked);
    for (uint32_t i = 0; i < errors->count; i++) {
        errors->lines[i] = ranked[i].text;
        errors->places[i] = (struct place){NULL, ranked[i].line}; // the file's name may go now
    }
    free(ranked);
}
