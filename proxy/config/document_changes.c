// Documents are told by kind, namespace and name, and compared by the digests of what they say. See document_changes.h.
#include "config/document_changes.h"

#include "base/check.h"
#include "base/map.h"
#include "config/unit.h"

#define MORE BYTES(" ...")

static struct bytes label_of(const struct document *document) {
    return bytes_from_text(document->label);
}

static void index_documents(const struct snapshot *snapshot, struct map *map) {
    map_init(map);
    if (snapshot == NULL)
        return;
    for (struct unit *const *unit = snapshot->units; *unit != NULL; unit++)
        for (struct document *document = (*unit)->first; document != NULL; document = document->in_unit)
            map_put(map, label_of(document), document);
}

static void append(struct document_changes *changes, struct bytes text) {
    memcpy(changes->names + changes->names_length, text.at, text.len);
    changes->names_length += text.len;
}

// Behind one that is left out no other one stands.
static void add_name(struct document_changes *changes, char sign, struct bytes label) {
    const uint32_t count = changes->added + changes->changed + changes->removed;
    const size_t left = sizeof changes->names - changes->names_length;
    const struct bytes names = bytes_from(changes->names, changes->names_length);
    if (count > 1 && bytes_ends_with(names, MORE))
        return;
    if (2 + label.len + MORE.len > left) {
        append(changes, MORE);
        return;
    }
    if (count > 1)
        append(changes, BYTES(" "));
    append(changes, bytes_from(&sign, 1));
    append(changes, label);
}

static void compare(const struct snapshot *fresh, struct map *before, struct document_changes *changes) {
    for (struct unit *const *unit = fresh->units; *unit != NULL; unit++)
        for (const struct document *document = (*unit)->first; document != NULL; document = document->in_unit) {
            const struct document *old = map_remove(before, label_of(document));
            changes->fingerprint += digest_number(digest_bytes(0, label_of(document)), document->digest); // in whatever order
            if (old == NULL) {
                changes->added++;
                add_name(changes, '+', label_of(document));
            } else if (old->digest != document->digest) {
                changes->changed++;
                add_name(changes, '~', label_of(document));
            }
        }
}

void document_changes_find(const struct snapshot *before, const struct snapshot *fresh, struct document_changes *changes) {
    struct map rest;
    *changes = (struct document_changes){0};
    index_documents(before, &rest);
    compare(fresh, &rest, changes);
    if (before != NULL)
        for (struct unit *const *unit = before->units; *unit != NULL; unit++)
            for (const struct document *document = (*unit)->first; document != NULL; document = document->in_unit)
                if (map_get(&rest, label_of(document)) != NULL) {
                    changes->removed++;
                    add_name(changes, '-', label_of(document));
                }
    map_dispose(&rest);
}
