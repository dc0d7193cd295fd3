// Files beside the documents whose content is part of what these say: keys of tokens, tables of keys. They are read in each load, since they change without the documents; the
// fingerprint of the load is over them too, and they are watched with the documents (load.h).
#ifndef CONFIG_CONTENT_H
#define CONFIG_CONTENT_H

#include "base/bytes.h"

#include <stdint.h>

struct loading;

struct content {
    struct content *next;
    struct bytes path; // NUL behind it
    uint64_t mark;     // content_mark before it was read
    struct bytes text; // at NULL: it cannot be read, which has been told as an error
};

// Once in a load, whoever asks. Lives as long as the load.
const struct content *content_read(struct loading *loading, struct bytes path);

// What has been read; not NULL.
const struct content *content_find(const struct loading *loading, struct bytes path);

// Size and time of change of what `path` leads to, as a number; 0 where nothing is.
uint64_t content_mark(const char *path);

#endif
