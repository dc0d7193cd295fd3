// Sets, adds and removes fields by their names.
#include "filters/header_changes.h"

#include "http/headers.h"

void header_changes_apply(const struct header_changes *changes, struct fields *fields) {
    for (uint32_t i = 0; i < changes->set_count; i++) {
        fields_remove_name(fields, changes->set[i].name);
        fields_add(fields, changes->set[i].name, changes->set[i].value);
    }
    for (uint32_t i = 0; i < changes->add_count; i++)
        fields_add(fields, changes->add[i].name, changes->add[i].value);
    for (uint32_t i = 0; i < changes->remove_count; i++)
        fields_remove_name(fields, changes->remove[i]);
}
