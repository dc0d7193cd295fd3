// The decoder: reads any kind by its table. What it cannot know from one field alone is left to the checks of the kind and to check.c.
#include "config/decode.h"

#include "base/check.h"
#include "base/map.h"
#include "config/nearest.h"
#include "config/scalar.h"
#include "config/unit.h"
#include "config/yaml_look.h"

#include <inttypes.h>

// Types are the tables' matter here, but other YAML readers go by the look of a word: what they would read otherwise is worth a word.
static void warn_of_look(const struct target *target) {
    const struct node *node = target->node;
    enum value_type type = target->row->type;
    if (type == VALUE_QUANTITY)
        return; // a size may be a plain number
    bool is_plain_type = type == VALUE_BOOL || type == VALUE_INTEGER;
    const char *look = yaml_look(node->text);
    if (is_plain_type && node->quoted)
        document_warning(target->document, node, NULL, "is in quotes: other YAML readers take it for a text and not for %s", value_form(type));
    else if (!is_plain_type && !node->quoted && look != NULL)
        document_warning(target->document, node, NULL, "should be in quotes: other YAML readers take %.*s for %s", BYTES_FORMAT(node->text), look);
}

static void decode_one_scalar(const struct target *target) {
    if (target->node->kind != NODE_SCALAR) {
        target_wrong_kind(target, value_form(target->row->type));
        return;
    }
    scalar_decode(target, target->node->text);
    if (!target->node->bad)
        warn_of_look(target);
}

static void decode_value(const struct target *target);

// Tells what stands in a list twice; `key` (may be NULL): the field that tells items apart.
static void refuse_twins(struct document *document, const struct node *list, const char *key) {
    struct map seen;
    map_init(&seen);
    for (struct node *item = list->first; item != NULL; item = item->next) {
        struct node *name = key == NULL ? item : node_find(item, key);
        if (name == NULL || name->kind != NODE_SCALAR || name->bad)
            continue;
        const struct node *twin = map_get(&seen, name->text);
        if (twin == NULL) {
            map_put(&seen, name->text, name);
            continue;
        }
        name->bad = true;
        document_error(document, name, NULL, "\"%.*s\" stands twice in the list, first in line %u", BYTES_FORMAT(name->text), twin->line);
    }
    map_dispose(&seen);
}

static bool check_list(const struct target *target) {
    const struct row *row = target->row;
    if (target->node->kind != NODE_LIST) {
        target_wrong_kind(target, "a list");
        return false;
    }
    if (target->node->count >= row->min && target->node->count <= row->max)
        return true;
    target->node->bad = true;
    document_error(target->document, target->node, NULL, "has %u items; allowed: %" PRIu64 " to %" PRIu64, target->node->count, row->min, row->max);
    return target->node->count <= row->max;
}

static void decode_items(const struct target *target) {
    const struct row *row = target->row;
    uint32_t size = row_item_size(row);
    char *items = pool_alloc_zeroed(target->document->loading->values, (size_t)target->node->count * size + 1);
    struct row item_row = *row; // an item as if it were a field at the start of itself
    item_row.type = row->item;
    item_row.offset = 0;
    item_row.width = size;
    item_row.is_required = true;
    for (struct node *node = target->node->first; node != NULL; node = node->next) {
        char *item = items + (size_t)node->index * size;
        if (row->item == VALUE_OBJECT)
            decode_object(target->document, row->object, node, item);
        else
            decode_one_scalar(&(struct target){target->document, node, &item_row, item});
    }
    refuse_twins(target->document, target->node, row->item == VALUE_OBJECT ? row->object->unique_key : NULL);
    memcpy(target_value(target), &items, sizeof(items));
    memcpy((char *)target->object + row->count_offset, &target->node->count, sizeof(target->node->count));
}

static void decode_list(const struct target *target) {
    struct loading *loading = target->document->loading;
    struct pool *values = loading->values;
    if (!check_list(target))
        return;
    const bool is_bulk = target->row->is_bulk && target->node->count >= LIST_BULK_MIN;
    if (is_bulk) {
        loading->values = loading->scratch;
        loading->has_bulk = true;
    }
    decode_items(target);
    loading->values = values;
}

static void set_flags(const struct target *target, bool value) {
    for (const struct choice *choice = target->row->choices; choice->name != NULL; choice++)
        if (!choice->is_later)
            memcpy((char *)target->object + choice->value, &value, sizeof(value));
}

static void decode_flags(const struct target *target) {
    if (target->node->kind != NODE_LIST) {
        target_wrong_kind(target, "a list");
        return;
    }
    set_flags(target, false);
    for (struct node *node = target->node->first; node != NULL; node = node->next) {
        struct target item = {target->document, node, target->row, target->object};
        const bool yes = true;
        const struct choice *choice = NULL;
        if (node->kind != NODE_SCALAR)
            target_wrong_kind(&item, choice_words(target->document, target->row->choices));
        else
            choice = choice_decode(&item, node->text);
        if (choice != NULL)
            memcpy((char *)target->object + choice->value, &yes, sizeof(yes));
    }
    refuse_twins(target->document, target->node, NULL);
}

static void decode_numbers(const struct target *target) {
    const struct row *row = target->row;
    if (target->node->kind != NODE_LIST) {
        target_wrong_kind(target, value_form(row->type));
        return;
    }
    memset(target_value(target), 0, row->width);
    const struct row number_row = {.type = VALUE_INTEGER, .width = sizeof(uint64_t), .min = row->min, .max = row->max};
    for (struct node *node = target->node->first; node != NULL; node = node->next) {
        uint64_t number = UINT64_MAX;
        decode_one_scalar(&(struct target){target->document, node, &number_row, &number});
        if (number == UINT64_MAX)
            continue; // what is wrong with it was told
        uint64_t word;
        char *at = target_value(target) + (number - row->min) / 64 * sizeof(word);
        CHECK((number - row->min) / 64 < row->width / sizeof(word));
        memcpy(&word, at, sizeof(word));
        word |= UINT64_C(1) << ((number - row->min) % 64);
        memcpy(at, &word, sizeof(word));
    }
    refuse_twins(target->document, target->node, NULL);
}

static void decode_text_map(const struct target *target) {
    if (target->node->kind != NODE_OBJECT) {
        target_wrong_kind(target, "an object of texts");
        return;
    }
    for (struct node *node = target->node->first; node != NULL; node = node->next) {
        static const struct row text = {.type = VALUE_TEXT, .width = sizeof(struct bytes)};
        struct bytes value;
        decode_one_scalar(&(struct target){target->document, node, &text, &value});
    }
}

static void tell_unknown(struct document *document, const struct table *table, struct node *node) {
    node->bad = true;
    if (table_has_later(table, node->name)) {
        document_error(document, node, NULL, "is not supported by this version");
        return;
    }
    struct nearest nearest;
    nearest_init(&nearest, node->name);
    struct bytes names = BYTES("");
    for (const struct row *row = table->rows; row->name != NULL; row++) {
        nearest_try(&nearest, row->name);
        names = pool_format(document->loading->scratch, "%.*s%s%s", BYTES_FORMAT(names), names.len > 0 ? ", " : "", row->name);
    }
    if (nearest.name != NULL)
        document_error(document, node, NULL, "unknown field; did you mean %s?", nearest.name);
    else
        document_error(document, node, NULL, "unknown field; allowed: %.*s", BYTES_FORMAT(names));
}

static void decode_fields(struct document *document, const struct table *table, struct node *node, void *object) {
    if (node->kind != NODE_OBJECT) {
        target_wrong_kind(&(struct target){document, node, NULL, NULL}, "an object");
        return;
    }
    for (struct node *field = node->first; field != NULL; field = field->next) {
        const struct row *row = table_find(table, field->name);
        if (row == NULL)
            tell_unknown(document, table, field);
        else if (!node_is_null(field))
            decode_value(&(struct target){document, field, row, object});
    }
    for (const struct row *row = table->rows; row->name != NULL; row++)
        if (row->is_required && node_find(node, row->name) == NULL)
            document_error(document, node, row->name, "is required: %s", row->describes);
}

static void decode_value(const struct target *target) {
    switch (target->row->type) {
    case VALUE_OBJECT:
        decode_fields(target->document, target->row->object, target->node, target->object);
        return;
    case VALUE_LIST:
        decode_list(target);
        return;
    case VALUE_FLAGS:
        decode_flags(target);
        return;
    case VALUE_NUMBERS:
        decode_numbers(target);
        return;
    case VALUE_TEXT_MAP:
        decode_text_map(target);
        return;
    default:
        decode_one_scalar(target);
        return;
    }
}

static void set_flags_by_words(const struct target *target, struct bytes words) {
    const bool yes = true;
    struct bytes word;
    while (bytes_next(&words, ' ', &word)) {
        const struct choice *choice = choice_find(target->row->choices, word);
        CHECK(choice != NULL && !choice->is_later);
        memcpy((char *)target->object + choice->value, &yes, sizeof(yes));
    }
}

static void set_defaults(const struct table *table, void *object) {
    for (const struct row *row = table->rows; row->name != NULL; row++) {
        struct target target = {.row = row, .object = object};
        if (row->type == VALUE_OBJECT)
            set_defaults(row->object, object);
        else if (row->fallback != NULL && row->type == VALUE_FLAGS)
            set_flags_by_words(&target, bytes_from_text(row->fallback));
        else if (row->fallback != NULL)
            scalar_decode(&target, bytes_from_text(row->fallback));
    }
}

void decode_defaults(const struct table *table, void *object) {
    CHECK(table->size > 0);
    memset(object, 0, table->size);
    set_defaults(table, object);
}

void decode_object(struct document *document, const struct table *table, struct node *node, void *object) {
    decode_defaults(table, object);
    if (table->has_place) {
        struct place place = document_place(document, node);
        memcpy((char *)object + table->place_offset, &place, sizeof(place));
    }
    if (node != NULL)
        decode_fields(document, table, node, object);
}
