// One text of a document to one C value, by the row of its field; used by decode.c for fields, items of lists and defaults.
#ifndef CONFIG_SCALAR_H
#define CONFIG_SCALAR_H

#include "config/document.h"

// Where a value goes, and whose it is. `document` and `node` are NULL while a default is decoded: then nothing may be wrong.
struct target {
    struct document *document;
    struct node *node;
    const struct row *row;
    void *object; // what the row's offset counts from
};

// The place of the value in its struct.
char *target_value(const struct target *target);

// Tells that a list stands where a text should, or the like. `form`: what is allowed.
void target_wrong_kind(const struct target *target, const char *form);

// Sets the value, or tells what is wrong and leaves it.
void scalar_decode(const struct target *target, struct bytes text);

// The word of row->choices, NULL where there is none.
const struct choice *choice_find(const struct choice *choices, struct bytes text);

// The same; NULL with an error where it is no word that may stand here.
const struct choice *choice_decode(const struct target *target, struct bytes text);

// "Strict, Permissive, Disable": what may stand here.
const char *choice_words(struct document *document, const struct choice *choices);

// "a duration, as 250ms or 1h30m": for messages.
const char *value_form(enum value_type type);

#endif
