// A kind's table as a schema in JSON. Both forms say the same of fields, in words that OpenAPI v3 and JSON Schema share; what surrounds them differs. Fields that the
// language has and this version does not are left out.
#include "cli/schema.h"

#include "base/check.h"

#include <ctype.h>
#include <string.h>

#define DURATION_PATTERN "^([0-9]{1,5}(h|m|s|ms)){1,4}$"
#define QUANTITY_PATTERN "^(0|[1-9][0-9]*)(Ki|Mi|Gi|Ti|k|M|G|T)?$"
#define LABEL_PATTERN "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
#define GROUP "outrigger.dev"
#define VERSION "v1alpha1"

// `strict`: JSON Schema, which has to be told that other fields are none. Kubernetes prunes them, and refuses to be told.
static json_t *object_schema(const struct table *table, bool strict);

static void set(json_t *object, const char *key, json_t *value) {
    CHECK(value != NULL && json_object_set_new(object, key, value) == 0);
}

static json_t *typed(const char *type) {
    json_t *schema = json_object();
    set(schema, "type", json_string(type));
    return schema;
}

static json_t *text_schema(const char *pattern) {
    json_t *schema = typed("string");
    if (pattern != NULL)
        set(schema, "pattern", json_string(pattern));
    return schema;
}

static json_t *word_schema(const struct choice *choices) {
    json_t *schema = typed("string");
    json_t *words = json_array();
    for (const struct choice *choice = choices; choice->name != NULL; choice++)
        if (!choice->is_later)
            json_array_append_new(words, json_string(choice->name));
    set(schema, "enum", words);
    return schema;
}

// A size may be written as a number of bytes.
static json_t *quantity_schema(void) {
    json_t *schema = json_object();
    json_t *forms = json_array();
    json_array_append_new(forms, typed("integer"));
    json_array_append_new(forms, typed("string"));
    set(schema, "anyOf", forms);
    set(schema, "pattern", json_string(QUANTITY_PATTERN));
    set(schema, "x-kubernetes-int-or-string", json_true());
    return schema;
}

static json_t *integer_schema(const struct row *row) {
    json_t *schema = typed("integer");
    set(schema, "minimum", json_integer((json_int_t)row->min));
    set(schema, "maximum", json_integer((json_int_t)row->max));
    return schema;
}

static json_t *value_schema(enum value_type type, const struct row *row, bool strict) {
    switch (type) {
    case VALUE_BOOL:
        return typed("boolean");
    case VALUE_INTEGER:
        return integer_schema(row);
    case VALUE_DURATION:
        return text_schema(DURATION_PATTERN);
    case VALUE_QUANTITY:
        return quantity_schema();
    case VALUE_ENUM:
        return word_schema(row->choices);
    case VALUE_LABEL: {
        json_t *schema = text_schema(LABEL_PATTERN);
        set(schema, "maxLength", json_integer(63));
        return schema;
    }
    case VALUE_SPIFFE_ID:
        return text_schema("^spiffe://");
    case VALUE_OBJECT:
        return object_schema(row->object, strict);
    default:
        return text_schema(NULL);
    }
}

static json_t *list_schema(const struct row *row, bool strict) {
    json_t *schema = typed("array");
    set(schema, "items",
        row->type == VALUE_FLAGS     ? word_schema(row->choices)
        : row->type == VALUE_NUMBERS ? integer_schema(row)
                                     : value_schema(row->item, row, strict));
    if (row->type != VALUE_LIST)
        return schema;
    set(schema, "minItems", json_integer((json_int_t)row->min));
    set(schema, "maxItems", json_integer((json_int_t)row->max));
    if (row->item == VALUE_OBJECT && row->object->unique_key != NULL && !strict) {
        set(schema, "x-kubernetes-list-type", json_string("map"));
        set(schema, "x-kubernetes-list-map-keys", json_pack("[s]", row->object->unique_key));
    }
    return schema;
}

// As a document would have it: a list of the words that stand in the table.
static json_t *default_of(const struct row *row) {
    struct bytes words = bytes_from_text(row->fallback), word;
    uint64_t number;
    switch (row->type) {
    case VALUE_BOOL:
        return json_boolean(strcmp(row->fallback, "true") == 0);
    case VALUE_INTEGER:
        CHECK(bytes_to_u64(words, UINT64_MAX, &number));
        return json_integer((json_int_t)number);
    case VALUE_FLAGS: {
        json_t *list = json_array();
        while (bytes_next(&words, ' ', &word))
            json_array_append_new(list, json_stringn(word.at, word.len));
        return list;
    }
    default:
        return json_string(row->fallback);
    }
}

static json_t *row_schema(const struct row *row, bool strict) {
    const bool is_list = row->type == VALUE_LIST || row->type == VALUE_FLAGS || row->type == VALUE_NUMBERS;
    json_t *schema = is_list ? list_schema(row, strict) : value_schema(row->type, row, strict);
    set(schema, "description", json_string(row->describes));
    if (row->fallback != NULL)
        set(schema, "default", default_of(row));
    return schema;
}

static json_t *object_schema(const struct table *table, bool strict) {
    json_t *schema = typed("object");
    json_t *properties = json_object();
    json_t *required = json_array();
    for (const struct row *row = table->rows; row->name != NULL; row++) {
        set(properties, row->name, row_schema(row, strict));
        if (row->is_required)
            json_array_append_new(required, json_string(row->name));
    }
    set(schema, "properties", properties);
    if (json_array_size(required) > 0)
        set(schema, "required", required);
    else
        json_decref(required);
    if (strict)
        set(schema, "additionalProperties", json_false());
    return schema;
}

static json_t *metadata_schema(void) {
    json_t *schema = typed("object");
    json_t *properties = json_object();
    json_t *texts = json_pack("{s:s, s:{s:s}}", "type", "object", "additionalProperties", "type", "string");
    set(properties, "name", text_schema(NULL));
    set(properties, "namespace", text_schema(NULL));
    set(properties, "labels", json_incref(texts));
    set(properties, "annotations", texts);
    set(schema, "properties", properties);
    set(schema, "required", json_pack("[s]", "name"));
    set(schema, "additionalProperties", json_false());
    return schema;
}

json_t *schema_json(const struct kind *kind) {
    json_t *schema = typed("object");
    json_t *properties = json_object();
    set(schema, "$schema", json_string("https://json-schema.org/draft/2020-12/schema"));
    set(schema, "title", json_string(kind->name));
    set(schema, "description", json_string(kind->spec->describes));
    set(properties, "apiVersion",
        kind->older_version == NULL ? json_pack("{s:s}", "const", kind->api_version)
                                    : json_pack("{s:[s,s]}", "enum", kind->api_version, kind->older_version));
    set(properties, "kind", json_pack("{s:s}", "const", kind->name));
    set(properties, "metadata", metadata_schema());
    set(properties, "spec", object_schema(kind->spec, true));
    set(schema, "properties", properties);
    set(schema, "required", json_pack("[s, s, s, s]", "apiVersion", "kind", "metadata", "spec"));
    set(schema, "additionalProperties", json_false());
    return schema;
}

// English as the API server wants it: a kind's name in lower case, and its plural.
static void names_of(const struct kind *kind, char singular[64], char plural[72]) {
    size_t length = strlen(kind->name);
    CHECK(length >= 2 && length < 64);
    for (size_t i = 0; i <= length; i++)
        singular[i] = (char)tolower((unsigned char)kind->name[i]);
    const bool ends_in_y = singular[length - 1] == 'y' && strchr("aeiou", singular[length - 2]) == NULL;
    snprintf(plural, 72, "%.*s%s", (int)(ends_in_y ? length - 1 : length), singular, ends_in_y ? "ies" : "s");
}

json_t *schema_crd(const struct kind *kind) {
    char singular[64], plural[72], name[128];
    names_of(kind, singular, plural);
    snprintf(name, sizeof(name), "%s." GROUP, plural);
    json_t *document = typed("object");
    json_t *properties = json_object();
    set(document, "description", json_string(kind->spec->describes));
    set(properties, "apiVersion", typed("string"));
    set(properties, "kind", typed("string"));
    set(properties, "metadata", typed("object"));
    set(properties, "spec", object_schema(kind->spec, false));
    set(document, "properties", properties);
    set(document, "required", json_pack("[s]", "spec"));
    json_t *version = json_pack("{s:s, s:b, s:b, s:{s:o}}", "name", VERSION, "served", 1, "storage", 1, "schema", "openAPIV3Schema", document);
    json_t *spec = json_pack("{s:s, s:s, s:{s:s, s:s, s:s, s:s}, s:[o]}", "group", GROUP, "scope", "Namespaced", "names", "kind", kind->name,
                             "listKind", kind->name, "singular", singular, "plural", plural, "versions", version);
    CHECK(spec != NULL);
    char list_kind[72];
    snprintf(list_kind, sizeof(list_kind), "%sList", kind->name);
    set(json_object_get(spec, "names"), "listKind", json_string(list_kind));
    json_t *crd = json_pack("{s:s, s:s, s:{s:s}, s:o}", "apiVersion", "apiextensions.k8s.io/v1", "kind", "CustomResourceDefinition", "metadata",
                            "name", name, "spec", spec);
    CHECK(crd != NULL);
    return crd;
}
