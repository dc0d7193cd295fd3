// The decoder: reads any kind by its table. What it cannot know from one field alone is left to the checks of the kind and to check.c.
#include "config/decode.h"

#include "base/check.h"
#include "config/authority.h"
#include "config/nearest.h"
#include "config/value.h"
#include "config/yaml_look.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

// Where a value goes, and whose it is. `document` and `node` are NULL while a default is decoded: then nothing may be wrong.
struct target {
    struct document *document;
    struct node *node;
    const struct row *row;
    void *object; // what the row's offset counts from
};

static char *value_at(const struct target *target) {
    return (char *)target->object + target->row->offset;
}

// A list where a text should stand, or the like.
static void wrong_kind(const struct target *target, const char *form) {
    target->node->bad = true;
    document_error(target->document, target->node, NULL, "is %s; allowed: %s", node_kind_name(target->node), form);
}

// A text that is not of its form.
static void wrong(const struct target *target, const char *form) {
    CHECK(target->node != NULL && target->node->kind == NODE_SCALAR);
    target->node->bad = true;
    document_error(target->document, target->node, NULL, "\"%.*s\" is not allowed; allowed: %s",
                   (int)(target->node->text.len > 80 ? 80 : target->node->text.len), target->node->text.at, form);
}

static struct bytes keep(const struct target *target, struct bytes text) {
    return target->document == NULL ? text : pool_copy(target->document->loading->values, text);
}

static void store_text(const struct target *target, struct bytes text) {
    text = keep(target, text);
    memcpy(value_at(target), &text, sizeof(text));
}

static bool is_clean(struct bytes text) {
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.at[i] < 0x20 || text.at[i] == 0x7f)
            return false;
    return true;
}

static void decode_text(const struct target *target, struct bytes text) {
    switch (target->row->type) {
    case VALUE_LABEL:
        if (!is_label(text)) {
            wrong(target, "a name of at most 63 lower-case letters, digits and '-', which begins and ends with no '-'");
            return;
        }
        break;
    case VALUE_HOST:
        if (!authority_is_host_pattern(text)) {
            wrong(target, "a host name or IP address, with or without port, or *.example.com");
            return;
        }
        break;
    default:
        if (!is_clean(text)) {
            wrong(target, "a text with no control characters");
            return;
        }
        break;
    }
    store_text(target, text);
}

// A relative path counts from the folder of the document's file.
static void decode_path(const struct target *target, struct bytes text) {
    if (!is_clean(text) || text.len == 0) {
        wrong(target, "the path of a file");
        return;
    }
    const char *slash = target->document == NULL ? NULL : strrchr(target->document->file, '/');
    if (text.at[0] == '/' || slash == NULL) {
        store_text(target, text);
        return;
    }
    struct bytes path = pool_format(target->document->loading->values, "%.*s/%.*s", (int)(slash - target->document->file), target->document->file,
                                    BYTES_FORMAT(text));
    memcpy(value_at(target), &path, sizeof(path));
}

static void decode_bool(const struct target *target, struct bytes text) {
    bool value = bytes_equal(text, BYTES("true"));
    if (!value && !bytes_equal(text, BYTES("false")))
        wrong(target, "true or false");
    else
        memcpy(value_at(target), &value, sizeof(value));
}

static void store_number(const struct target *target, uint64_t number) {
    uint16_t small = (uint16_t)number;
    uint32_t middle = (uint32_t)number;
    switch (target->row->width) {
    case sizeof(small):
        memcpy(value_at(target), &small, sizeof(small));
        return;
    case sizeof(middle):
        memcpy(value_at(target), &middle, sizeof(middle));
        return;
    default:
        CHECK(target->row->width == sizeof(number));
        memcpy(value_at(target), &number, sizeof(number));
        return;
    }
}

static void integer_format(uint64_t number, char text[FORMAT_MAX]) {
    snprintf(text, FORMAT_MAX, "%" PRIu64, number);
}

// The three types that are numbers with bounds.
static void decode_number(const struct target *target, struct bytes text, bool (*parse)(struct bytes, uint64_t *),
                          void (*print)(uint64_t, char[FORMAT_MAX]), const char *form) {
    const struct row *row = target->row;
    uint64_t number = 0;
    bool is_number = parse(text, &number);
    if (is_number && number >= row->min && number <= row->max) {
        store_number(target, number);
        return;
    }
    char low[FORMAT_MAX], high[FORMAT_MAX], allowed[3 * FORMAT_MAX + 80];
    print(row->min, low);
    print(row->max, high);
    snprintf(allowed, sizeof(allowed), "%s%s%s to %s", is_number ? "" : form, is_number ? "" : ", ", low, high);
    wrong(target, allowed);
}

// "Strict, Permissive or Disable"
static const char *words_of(struct document *document, const struct choice *choices) {
    struct bytes words = BYTES("");
    for (const struct choice *choice = choices; choice->name != NULL; choice++)
        if (!choice->is_later)
            words = pool_format(document->loading->scratch, "%.*s%s%s", BYTES_FORMAT(words), words.len > 0 ? ", " : "", choice->name);
    return words.at;
}

static const struct choice *find_choice(const struct choice *choices, struct bytes text) {
    for (const struct choice *choice = choices; choice->name != NULL; choice++)
        if (bytes_equal(bytes_from_text(choice->name), text))
            return choice;
    return NULL;
}

// NULL with an error where `text` is no word that may stand here.
static const struct choice *decode_choice(const struct target *target, struct bytes text) {
    const struct choice *choice = find_choice(target->row->choices, text);
    if (choice != NULL && !choice->is_later)
        return choice;
    const char *words = words_of(target->document, target->row->choices);
    if (choice == NULL) {
        wrong(target, words);
        return NULL;
    }
    target->node->bad = true;
    document_error(target->document, target->node, NULL, "%s is not supported by this version; allowed: %s", choice->name, words);
    return NULL;
}

static void decode_enum(const struct target *target, struct bytes text) {
    const struct choice *choice = decode_choice(target, text);
    if (choice != NULL)
        memcpy(value_at(target), &choice->value, sizeof(choice->value));
}

static const char *address_form(unsigned forms) {
    if ((forms & ADDRESS_UNIX) != 0)
        return "an IP address with a port, as 127.0.0.1:8000 or [::1]:8000, or unix:/path";
    if ((forms & ADDRESS_PORT_OPTIONAL) != 0)
        return "an IP address with or without a port, as 10.0.0.5:8000 or [::1]";
    return "an IP address with a port, as 127.0.0.1:8000 or [::1]:8000";
}

static void decode_address(const struct target *target, struct bytes text) {
    struct socket_address address;
    if (!address_parse(text, target->row->forms, &address)) {
        wrong(target, address_form(target->row->forms));
        return;
    }
    address.text = keep(target, text);
    memcpy(value_at(target), &address, sizeof(address));
}

static void decode_spiffe_id(const struct target *target, struct bytes text) {
    struct spiffe_id id = {0};
    const char *reason = NULL;
    if (text.len == 0 && !target->row->is_required)
        return; // as if it were not there
    text = keep(target, text);
    if (spiffe_id_parse(text, &id, &reason) != OK) {
        target->node->bad = true;
        document_error(target->document, target->node, NULL, "is not a SPIFFE ID: %s; allowed: spiffe://trust-domain/path", reason);
    } else if (id.path.len == 0)
        wrong(target, "the SPIFFE ID of a workload, as spiffe://trust-domain/path; this one names a trust domain alone");
    else
        memcpy(value_at(target), &id, sizeof(id));
}

static const char *form_of(enum value_type type) {
    switch (type) {
    case VALUE_BOOL:
        return "true or false";
    case VALUE_INTEGER:
        return "a whole number";
    case VALUE_DURATION:
        return "a duration, as 250ms or 1h30m";
    case VALUE_QUANTITY:
        return "a size, as 64Ki or 16Mi";
    case VALUE_OBJECT:
    case VALUE_TEXT_MAP:
        return "an object";
    case VALUE_LIST:
    case VALUE_FLAGS:
        return "a list";
    default:
        return "a text";
    }
}

static void decode_scalar(const struct target *target, struct bytes text) {
    enum value_type type = target->row->type;
    switch (type) {
    case VALUE_TEXT:
    case VALUE_LABEL:
    case VALUE_HOST:
        decode_text(target, text);
        return;
    case VALUE_PATH:
        decode_path(target, text);
        return;
    case VALUE_BOOL:
        decode_bool(target, text);
        return;
    case VALUE_INTEGER:
        decode_number(target, text, integer_parse, integer_format, form_of(type));
        return;
    case VALUE_DURATION:
        decode_number(target, text, duration_parse, duration_format, form_of(type));
        return;
    case VALUE_QUANTITY:
        decode_number(target, text, quantity_parse, quantity_format, form_of(type));
        return;
    case VALUE_ENUM:
        decode_enum(target, text);
        return;
    case VALUE_ADDRESS:
        decode_address(target, text);
        return;
    case VALUE_SPIFFE_ID:
        decode_spiffe_id(target, text);
        return;
    default:
        check_failed("a scalar of a type that is none", __FILE__, __LINE__);
    }
}

// Types are the tables' matter here, but other YAML readers go by the look of a word: what they would read otherwise is worth a word.
static void warn_of_look(const struct target *target) {
    const struct node *node = target->node;
    enum value_type type = target->row->type;
    if (type == VALUE_QUANTITY)
        return; // a size may be a plain number
    bool is_plain_type = type == VALUE_BOOL || type == VALUE_INTEGER;
    const char *look = yaml_look(node->text);
    if (is_plain_type && node->quoted)
        document_warning(target->document, node, NULL, "is in quotes: other YAML readers take it for a text and not for %s", form_of(type));
    else if (!is_plain_type && !node->quoted && look != NULL)
        document_warning(target->document, node, NULL, "should be in quotes: other YAML readers take %.*s for %s", BYTES_FORMAT(node->text), look);
}

static void decode_one_scalar(const struct target *target) {
    if (target->node->kind != NODE_SCALAR) {
        wrong_kind(target, form_of(target->row->type));
        return;
    }
    decode_scalar(target, target->node->text);
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
        wrong_kind(target, "a list");
        return false;
    }
    if (target->node->count >= row->min && target->node->count <= row->max)
        return true;
    target->node->bad = true;
    document_error(target->document, target->node, NULL, "has %u items; allowed: %" PRIu64 " to %" PRIu64, target->node->count, row->min, row->max);
    return target->node->count <= row->max;
}

static void decode_list(const struct target *target) {
    const struct row *row = target->row;
    if (!check_list(target))
        return;
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
    memcpy(value_at(target), &items, sizeof(items));
    memcpy((char *)target->object + row->count_offset, &target->node->count, sizeof(target->node->count));
}

static void set_flags(const struct target *target, bool value) {
    for (const struct choice *choice = target->row->choices; choice->name != NULL; choice++)
        if (!choice->is_later)
            memcpy((char *)target->object + choice->value, &value, sizeof(value));
}

static void decode_flags(const struct target *target) {
    if (target->node->kind != NODE_LIST) {
        wrong_kind(target, "a list");
        return;
    }
    set_flags(target, false);
    for (struct node *node = target->node->first; node != NULL; node = node->next) {
        struct target item = {target->document, node, target->row, target->object};
        const bool yes = true;
        const struct choice *choice = NULL;
        if (node->kind != NODE_SCALAR)
            wrong_kind(&item, words_of(target->document, target->row->choices));
        else
            choice = decode_choice(&item, node->text);
        if (choice != NULL)
            memcpy((char *)target->object + choice->value, &yes, sizeof(yes));
    }
    refuse_twins(target->document, target->node, NULL);
}

static void decode_text_map(const struct target *target) {
    if (target->node->kind != NODE_OBJECT) {
        wrong_kind(target, "an object of texts");
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
        wrong_kind(&(struct target){document, node, NULL, NULL}, "an object");
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
        const struct choice *choice = find_choice(target->row->choices, word);
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
            decode_scalar(&target, bytes_from_text(row->fallback));
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
