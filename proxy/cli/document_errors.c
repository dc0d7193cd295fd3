// Lines as config_load has made them: see document_errors.h.
#include "cli/document_errors.h"

#include <stdio.h>

void document_errors_print(const struct config_errors *errors, const char *prefix) {
    for (uint32_t i = 0; i < errors->count; i++)
        fprintf(stderr, "%s%s\n", prefix, errors->lines[i]);
}
