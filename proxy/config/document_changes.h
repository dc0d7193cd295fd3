// Which documents one set has that another has not, or has in other words: for whoever tells what was changed. Main thread.
#ifndef CONFIG_DOCUMENT_CHANGES_H
#define CONFIG_DOCUMENT_CHANGES_H

#include "config/snapshot.h"

// Names of what has changed, at most so many bytes: of a large change the first ones.
#define DOCUMENT_CHANGES_NAMES_MAX 352

struct document_changes {
    uint32_t added, changed, removed;
    // "+kind/namespace/name ~kind/namespace/name ...": + is added, ~ changed, - removed, in the order of the files; "..." at the end where some are left out.
    char names[DOCUMENT_CHANGES_NAMES_MAX];
    size_t names_length;
    // Over all documents of the fresh set: the same where they say the same, in whatever files and order, on whatever machine. No proof against whoever makes documents
    // to fit it.
    uint64_t fingerprint;
};

// `before` NULL: there was none.
void document_changes_find(const struct snapshot *before, const struct snapshot *fresh, struct document_changes *changes);

#endif
