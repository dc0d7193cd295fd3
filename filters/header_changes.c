// Sets, adds and removes fields by their names.
#include "filters/header_changes.h"

#include "http/headers.h"

// As a copy: the head may outlive the documents.
static void add(struct fields *fields, const struct header_change *change) {
    fields_add(fields, pool_copy(fields->pool, change->name), pool_copy(fields->pool, change->value));
}

void header_changes_apply(const struct header_changes *changes, struct fields *fields) {
    for (uint32_t i = 0; i < changes->set_count; i++) {
        fields_remove_name(fields, changes->set[i].name);
        add(fields, &changes->set[i]);
    }
    for (uint32_t i = 0; i < changes->add_count; i++)
        add(fields, &changes->add[i]);
    for (uint32_t i = 0; i < changes->remove_count; i++)
        fields_remove_name(fields, changes->remove[i]);
}
