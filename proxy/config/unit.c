// A file's documents between loads. They are of the main thread; only their memory is shared, by the snapshots that point into it.
#include "config/unit.h"

#include "base/check.h"
#include "config/errors.h"

#include <stdlib.h>

// Those up to the fault, where there is one.
static struct tree *read_trees(struct loading *loading, const struct unit *unit, struct tree_fault *fault) {
    struct tree *trees;
    enum error error = tree_read(loading->scratch, unit->text, &trees, fault);
    CHECK(error == OK || fault->text.len > 0);
    return trees;
}

static void decode(struct unit *unit, struct loading *loading) {
    struct tree_fault fault = {0};
    struct document **next = &unit->first;
    uint32_t index = 0;
    for (const struct tree *tree = read_trees(loading, unit, &fault); tree != NULL; tree = tree->next, index++) {
        struct document *document = document_read(loading, unit->file, tree->root);
        if (document == NULL)
            continue;
        document->unit = unit;
        document->index = index;
        *next = document;
        next = &document->in_unit;
    }
    if (fault.text.len == 0)
        return;
    config_errors_add(loading->errors, (struct place){unit->file, fault.line}, NULL, NULL, "%.*s", BYTES_FORMAT(fault.text));
    loading->is_partial = true;
}

struct unit *unit_create(struct loading *loading, const char *file, struct bytes text) {
    struct unit *unit = alloc_zeroed_or_abort(1, sizeof(*unit));
    atomic_init(&unit->references, 1);
    unit->memory = config_memory_create();
    unit->file = pool_copy(&unit->memory->pool, bytes_from_text(file)).at;
    unit->text = text;
    config_errors_init(&unit->warnings);
    struct config_errors *warnings = loading->warnings;
    struct named_path *paths = loading->paths;
    loading->values = &unit->memory->pool;
    loading->warnings = &unit->warnings;
    loading->paths = NULL;
    loading->has_bulk = false;
    decode(unit, loading);
    unit->is_bulky = loading->has_bulk;
    unit->paths = loading->paths;
    loading->paths = paths;
    loading->warnings = warnings;
    loading->values = NULL;
    return unit;
}

struct unit *unit_ref(struct unit *unit) {
    uint32_t before = atomic_fetch_add_explicit(&unit->references, 1, memory_order_relaxed);
    CHECK(before > 0);
    return unit;
}

void unit_unref(struct unit *unit) {
    uint32_t before = atomic_fetch_sub_explicit(&unit->references, 1, memory_order_acq_rel);
    CHECK(before > 0);
    if (before > 1)
        return;
    config_errors_dispose(&unit->warnings);
    bytes_drop(&unit->text);
    config_memory_destroy(unit->memory);
    free(unit);
}

void unit_revive(struct unit *unit, struct loading *loading) {
    struct tree_fault fault;
    const struct tree *tree = read_trees(loading, unit, &fault);
    uint32_t index = 0;
    for (struct document *document = unit->first; document != NULL; document = document->in_unit) {
        for (; tree != NULL && index < document->index; index++)
            tree = tree->next;
        CHECK(tree != NULL && tree->root->kind == NODE_OBJECT); // it was there when the unit was made
        document_take_tree(document, tree->root);
    }
    loading->revived++;
}

static bool needs_trees(const struct unit *unit) {
    for (const struct document *document = unit->first; document != NULL; document = document->in_unit)
        if (document->root == NULL && !document->kind->is_light)
            return true;
    return false;
}

void unit_join(struct unit *unit, struct loading *loading) {
    for (struct document *document = unit->first; document != NULL; document = document->in_unit) {
        document->loading = loading;
        document->next = NULL;
        *loading->next = document;
        loading->next = &document->next;
        loading->count++;
    }
    for (const struct named_path *path = unit->paths; path != NULL; path = path->next) {
        struct named_path *named = pool_alloc(loading->scratch, sizeof(*named));
        *named = (struct named_path){.path = path->path, .next = loading->paths};
        loading->paths = named;
    }
    config_errors_add_all(loading->warnings, &unit->warnings);
    if (needs_trees(unit))
        unit_revive(unit, loading);
}

void unit_leave(struct unit *unit) {
    for (struct document *document = unit->first; document != NULL; document = document->in_unit) {
        document->root = document->metadata = document->spec_node = NULL;
        document->loading = NULL;
        document->next = NULL;
    }
    if (unit->is_bulky)
        bytes_drop(&unit->text); // nobody reads it again
}
