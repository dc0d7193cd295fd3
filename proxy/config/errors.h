// What config/ itself needs of the list of messages beyond load.h.
#ifndef CONFIG_ERRORS_H
#define CONFIG_ERRORS_H

#include "config/load.h"

#include <stdarg.h>

void config_errors_add_list(struct config_errors *errors, struct place place, const char *document, const char *path, const char *format,
                            va_list arguments) __attribute__((format(printf, 5, 0)));

// Copies all lines of `from`.
void config_errors_add_all(struct config_errors *errors, const struct config_errors *from);

// Into the order of `files` (compared by address; others last) and lines; what stands on one line keeps its order. The places' files may be freed afterwards.
void config_errors_sort(struct config_errors *errors, const char *const *files, uint32_t file_count);

#endif
