// The envelope of documents. Everything below `spec` is decode.c's and the kinds' own.
#include "config/document.h"

#include "base/check.h"
#include "config/decode.h"
#include "config/errors.h"
#include "config/nearest.h"
#include "config/unit.h"
#include "config/value.h"

#include <stdarg.h>

// Kinds of the policy language that this version does not have: told apart from slips of the pen.
static const char *const later_kinds = "CachePolicy EndpointSlice IdempotencyPolicy InboundPolicy Service";

struct place document_place(const struct document *document, const struct node *node) {
    return (struct place){document->file, node != NULL ? node->line : document->line};
}

static const char *path_of(const struct document *document, const struct node *node, const char *field) {
    return node != NULL ? node_path(document->loading->scratch, node, field).at : field;
}

void document_error(struct document *document, const struct node *node, const char *field, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    config_errors_add_list(document->loading->errors, document_place(document, node), document->label, path_of(document, node, field), format,
                           arguments);
    va_end(arguments);
}

void document_warning(struct document *document, const struct node *node, const char *field, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    config_errors_add_list(document->loading->warnings, document_place(document, node), document->label, path_of(document, node, field), format,
                           arguments);
    va_end(arguments);
}

bool document_has(const struct node *object, const char *field) {
    const struct node *node = node_find(object, field);
    return node != NULL && !node->bad;
}

struct envelope {
    struct bytes api_version, kind;
    struct bytes name, namespace_name;
};

static const struct row metadata_rows[] = {
    {.name = "name",
     .type = VALUE_TEXT,
     ROW_AT(struct envelope, name),
     .is_required = true,
     .describes = "name of the document among those of its kind and namespace"},
    {.name = "namespace", .type = VALUE_LABEL, ROW_AT(struct envelope, namespace_name), .fallback = "default", .describes = "namespace"},
    {.name = "labels", .type = VALUE_TEXT_MAP, .describes = "labels, for people and tools"},
    {.name = "annotations", .type = VALUE_TEXT_MAP, .describes = "annotations, for people and tools"},
    {0}};
static const struct table metadata_table = {.describes = "what the document is called", .rows = metadata_rows, .size = sizeof(struct envelope)};

static struct bytes scalar_or_unknown(const struct node *object, const char *field) {
    const struct node *node = node_find(object, field);
    return node != NULL && node->kind == NODE_SCALAR && node->text.len <= 253 ? node->text : BYTES("?");
}

// What messages call it, from what can be read of it, before anything is judged.
static const char *label_of(const struct document *document) {
    const struct node *metadata = node_find(document->root, "metadata");
    struct bytes namespace_name = node_find(metadata, "namespace") == NULL ? BYTES("default") : scalar_or_unknown(metadata, "namespace");
    return pool_format(document->loading->values, "%.*s/%.*s/%.*s", BYTES_FORMAT(scalar_or_unknown(document->root, "kind")),
                       BYTES_FORMAT(namespace_name), BYTES_FORMAT(scalar_or_unknown(metadata, "name")))
        .at;
}

static void tell_unknown_kind(struct document *document, const struct node *node) {
    struct nearest nearest;
    nearest_init(&nearest, node->text);
    struct bytes names = BYTES("");
    for (const struct kind *kind = config_kinds; kind->name != NULL; kind++) {
        nearest_try(&nearest, kind->name);
        names = pool_format(document->loading->scratch, "%.*s%s%s", BYTES_FORMAT(names), names.len > 0 ? ", " : "", kind->name);
    }
    struct bytes list = bytes_from_text(later_kinds), later;
    while (bytes_next(&list, ' ', &later)) {
        if (bytes_equal(later, node->text)) {
            document_error(document, node, NULL, "%.*s is not supported by this version; allowed: %.*s", BYTES_FORMAT(later), BYTES_FORMAT(names));
            return;
        }
    }
    if (nearest.name != NULL && node->kind == NODE_SCALAR)
        document_error(document, node, NULL, "unknown kind; did you mean %s?", nearest.name);
    else
        document_error(document, node, NULL, "unknown kind; allowed: %.*s", BYTES_FORMAT(names));
}

static void read_kind(struct document *document) {
    const struct node *node = node_find(document->root, "kind");
    if (node == NULL) {
        document_error(document, document->root, "kind", "is required");
        return;
    }
    for (const struct kind *kind = config_kinds; kind->name != NULL; kind++)
        if (node->kind == NODE_SCALAR && bytes_equal(bytes_from_text(kind->name), node->text))
            document->kind = kind;
    if (document->kind == NULL)
        tell_unknown_kind(document, node);
}

static bool is_version_of(const struct kind *kind, const struct node *node) {
    if (node->kind != NODE_SCALAR)
        return false;
    return bytes_equal(node->text, bytes_from_text(kind->api_version)) ||
           (kind->older_version != NULL && bytes_equal(node->text, bytes_from_text(kind->older_version)));
}

static void read_api_version(struct document *document) {
    const struct node *node = node_find(document->root, "apiVersion");
    const struct kind *kind = document->kind;
    if (node == NULL)
        document_error(document, document->root, "apiVersion", "is required; allowed: %s", kind != NULL ? kind->api_version : API_VERSION);
    else if (kind != NULL && !is_version_of(kind, node))
        document_error(document, node, NULL, "is not that of kind %s; allowed: %s%s%s", kind->name, kind->api_version,
                       kind->older_version != NULL ? ", " : "", kind->older_version != NULL ? kind->older_version : "");
}

static void read_metadata(struct document *document) {
    struct envelope envelope;
    if (document->metadata == NULL) {
        document_error(document, document->root, "metadata", "is required: it has the name");
        document->namespace_name = BYTES("default");
        return;
    }
    decode_object(document, &metadata_table, document->metadata, &envelope);
    document->namespace_name = envelope.namespace_name;
    const struct node *name = node_find(document->metadata, "name");
    if (name == NULL || name->bad)
        return;
    if (is_subdomain(envelope.name))
        document->name = envelope.name;
    else
        document_error(document, name, NULL,
                       "\"%.*s\" is not allowed; allowed: at most 253 lower-case letters, digits, '-' and '.', each part between dots "
                       "beginning and ending with no '-'",
                       BYTES_FORMAT(envelope.name));
}

static void refuse_unknown_fields(struct document *document) {
    static const char *const names[] = {"apiVersion", "kind", "metadata", "spec"};
    const size_t name_count = sizeof(names) / sizeof(names[0]);
    for (struct node *field = document->root->first; field != NULL; field = field->next) {
        struct nearest nearest;
        bool is_known = false;
        for (size_t i = 0; i < name_count; i++)
            is_known = is_known || bytes_equal(bytes_from_text(names[i]), field->name);
        if (is_known)
            continue;
        nearest_init(&nearest, field->name);
        for (size_t i = 0; i < name_count; i++)
            nearest_try(&nearest, names[i]);
        if (nearest.name != NULL)
            document_error(document, field, NULL, "unknown field; did you mean %s?", nearest.name);
        else
            document_error(document, field, NULL, "unknown field; allowed: apiVersion, kind, metadata, spec");
    }
}

static void read_spec(struct document *document) {
    const struct table *table = document->kind->spec;
    document->spec = pool_alloc_zeroed(document->loading->values, table->size);
    if (document->spec_node == NULL)
        document_error(document, document->root, "spec", "is required: %s", table->describes);
    decode_object(document, table, document->spec_node, document->spec);
    if (document->spec_node != NULL && document->kind->check != NULL)
        document->kind->check(document);
}

// In the order in which it is written; as deep as trees are (TREE_DEPTH_MAX).
static uint64_t digest_of(const struct node *node, uint64_t digest) {
    digest = digest_number(digest, (uint64_t)node->kind << 1 | node->quoted);
    digest = digest_bytes(digest_bytes(digest, node->name), node->text);
    for (const struct node *child = node->first; child != NULL; child = child->next)
        digest = digest_of(child, digest);
    return digest_number(digest, node->count);
}

void document_take_tree(struct document *document, struct node *root) {
    document->root = root;
    document->metadata = node_find(root, "metadata");
    document->spec_node = node_find(root, "spec");
}

void document_revive(struct document *document) {
    if (document->root == NULL)
        unit_revive(document->unit, document->loading);
}

struct document *document_read(struct loading *loading, const char *file, struct node *root) {
    if (node_is_null(root))
        return NULL; // nothing but comments between two ---
    const uint32_t errors_before = loading->errors->count;
    struct document *document = pool_alloc_zeroed(loading->values, sizeof(*document));
    document->loading = loading;
    document->file = file;
    document->line = root->line;
    document_take_tree(document, root);
    if (root->kind != NODE_OBJECT) {
        document_error(document, root, NULL, "is %s; allowed: a document with apiVersion, kind, metadata and spec", node_kind_name(root));
        loading->is_partial = true;
        return NULL;
    }
    document->label = label_of(document);
    document->digest = digest_of(root, 0);
    refuse_unknown_fields(document);
    read_kind(document);
    read_api_version(document);
    read_metadata(document);
    if (document->kind == NULL || document->name.len == 0)
        loading->is_partial = true;
    if (document->kind == NULL)
        return NULL;
    read_spec(document);
    document->is_sound = loading->errors->count == errors_before;
    return document;
}
