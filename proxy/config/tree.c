// The reader of YAML and JSON: libyaml's events to nodes. Every file of documents goes through it; documents of the control plane do not.
#include "config/tree.h"

#include "base/check.h"

#include <yaml.h>

#include <stdio.h>

// More of a key than this says nothing to people.
#define KEY_SHOWN_MAX 64

struct reader {
    struct pool *pool;
    yaml_parser_t parser;
    struct tree **next_tree;
    struct node *open; // innermost list or object that is not complete
    uint32_t depth;
    bool has_key; // the open object's next node is the value of `key`
    struct bytes key;
    uint32_t key_line;
    struct tree_fault *fault;
};

static uint32_t line_of(const yaml_mark_t *mark) {
    return (uint32_t)mark->line + 1;
}

static enum error refuse(struct reader *reader, const yaml_mark_t *mark, const char *text) {
    reader->fault->line = line_of(mark);
    reader->fault->text = bytes_from_text(text);
    return ERROR_INVALID;
}

// libyaml's own words, with ours where they would not help.
static enum error refuse_syntax(struct reader *reader) {
    const yaml_parser_t *parser = &reader->parser;
    const char *problem = parser->problem != NULL ? parser->problem : "no memory";
    if (strstr(problem, "invalid Unicode character escape") != NULL)
        return refuse(reader, &parser->problem_mark,
                      "\\u escapes of surrogate pairs are not read; write the character itself, or \\U with eight digits in YAML");
    if (parser->error == YAML_READER_ERROR) {
        uint32_t line = 1; // the reader knows the offset alone
        const char *start = (const char *)parser->input.string.start;
        for (size_t i = 0; i < parser->problem_offset && start + i < (const char *)parser->input.string.end; i++)
            line += start[i] == '\n';
        reader->fault->line = line;
        reader->fault->text = pool_format(reader->pool, "is not text in UTF-8: %s", problem);
        return ERROR_INVALID;
    }
    reader->fault->line = line_of(&parser->problem_mark);
    reader->fault->text = parser->context != NULL ? pool_format(reader->pool, "is not YAML or JSON: %s, %s", parser->context, problem)
                                                  : pool_format(reader->pool, "is not YAML or JSON: %s", problem);
    return ERROR_INVALID;
}

static struct node *node_create(struct reader *reader, enum node_kind kind, const yaml_mark_t *mark) {
    struct node *node = pool_alloc_zeroed(reader->pool, sizeof(*node));
    node->kind = kind;
    node->line = line_of(mark);
    return node;
}

// Hangs a node on what is open, or makes it a document.
static enum error place_node(struct reader *reader, struct node *node) {
    struct node *parent = reader->open;
    if (parent == NULL) {
        struct tree *tree = pool_alloc_zeroed(reader->pool, sizeof(*tree));
        tree->root = node;
        *reader->next_tree = tree;
        reader->next_tree = &tree->next;
        return OK;
    }
    if (parent->kind == NODE_OBJECT) {
        CHECK(reader->has_key);
        node->name = reader->key;
        node->line = reader->key_line;
        reader->has_key = false;
    }
    node->parent = parent;
    node->index = parent->count++;
    if (parent->last == NULL)
        parent->first = node;
    else
        parent->last->next = node;
    parent->last = node;
    return OK;
}

static enum error take_key(struct reader *reader, const yaml_event_t *event) {
    struct node *object = reader->open;
    struct bytes key = {(const char *)event->data.scalar.value, event->data.scalar.length};
    if (object->count >= TREE_FIELDS_MAX)
        return refuse(reader, &event->start_mark, "an object has more than 512 fields");
    for (const struct node *field = object->first; field != NULL; field = field->next) {
        if (!bytes_equal(field->name, key))
            continue;
        reader->fault->line = line_of(&event->start_mark);
        int shown = key.len > KEY_SHOWN_MAX ? KEY_SHOWN_MAX : (int)key.len;
        reader->fault->text = pool_format(reader->pool, "the key %.*s stands twice in one object, first in line %u", shown, key.at, field->line);
        return ERROR_INVALID;
    }
    reader->key = pool_copy(reader->pool, key);
    reader->key_line = line_of(&event->start_mark);
    reader->has_key = true;
    return OK;
}

static enum error take_scalar(struct reader *reader, const yaml_event_t *event) {
    const char *value = (const char *)event->data.scalar.value;
    if (event->data.scalar.anchor != NULL)
        return refuse(reader, &event->start_mark, "anchors (&name) are not supported");
    if (event->data.scalar.tag != NULL)
        return refuse(reader, &event->start_mark, "tags (!name) are not supported");
    if (memchr(value, '\0', event->data.scalar.length) != NULL)
        return refuse(reader, &event->start_mark, "a NUL character is not allowed");
    if (reader->open != NULL && reader->open->kind == NODE_OBJECT && !reader->has_key)
        return take_key(reader, event);
    struct node *node = node_create(reader, NODE_SCALAR, &event->start_mark);
    node->text = pool_copy(reader->pool, bytes_from(value, event->data.scalar.length));
    node->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    return place_node(reader, node);
}

static enum error take_start(struct reader *reader, const yaml_event_t *event, enum node_kind kind, const yaml_char_t *anchor,
                             const yaml_char_t *tag) {
    if (anchor != NULL)
        return refuse(reader, &event->start_mark, "anchors (&name) are not supported");
    if (tag != NULL)
        return refuse(reader, &event->start_mark, "tags (!name) are not supported");
    if (reader->open != NULL && reader->open->kind == NODE_OBJECT && !reader->has_key)
        return refuse(reader, &event->start_mark, "a key must be a text, not a list or an object");
    if (reader->depth == TREE_DEPTH_MAX)
        return refuse(reader, &event->start_mark, "lists and objects are nested more than 64 deep");
    struct node *node = node_create(reader, kind, &event->start_mark);
    enum error error = place_node(reader, node);
    reader->open = node;
    reader->depth++;
    return error;
}

static void take_end(struct reader *reader) {
    CHECK(reader->open != NULL && reader->depth > 0);
    reader->open = reader->open->parent;
    reader->depth--;
}

static enum error take_event(struct reader *reader, const yaml_event_t *event) {
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return take_scalar(reader, event);
    case YAML_SEQUENCE_START_EVENT:
        return take_start(reader, event, NODE_LIST, event->data.sequence_start.anchor, event->data.sequence_start.tag);
    case YAML_MAPPING_START_EVENT:
        return take_start(reader, event, NODE_OBJECT, event->data.mapping_start.anchor, event->data.mapping_start.tag);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        take_end(reader);
        return OK;
    case YAML_ALIAS_EVENT:
        return refuse(reader, &event->start_mark, "aliases (*name) are not supported");
    default:
        return OK; // starts and ends of the stream and of documents: place_node sees where a document begins
    }
}

static enum error read_events(struct reader *reader) {
    for (bool done = false; !done;) {
        yaml_event_t event;
        if (!yaml_parser_parse(&reader->parser, &event))
            return refuse_syntax(reader);
        done = event.type == YAML_STREAM_END_EVENT;
        enum error error = take_event(reader, &event);
        yaml_event_delete(&event);
        if (error != OK)
            return error;
    }
    return OK;
}

// A document that a fault cut short has lost fields that may stand in the file: it is not judged.
static void drop_unfinished(struct reader *reader, struct tree **trees) {
    if (reader->open == NULL)
        return;
    struct tree **last = trees;
    while ((*last)->next != NULL)
        last = &(*last)->next;
    *last = NULL;
}

enum error tree_read(struct pool *pool, struct bytes text, struct tree **trees, struct tree_fault *fault) {
    struct reader reader = {.pool = pool, .next_tree = trees, .fault = fault};
    *trees = NULL;
    *fault = (struct tree_fault){0};
    if (bytes_starts_with(text, BYTES("\xef\xbb\xbf")))
        text = bytes_from(text.at + 3, text.len - 3);
    CHECK(yaml_parser_initialize(&reader.parser));
    yaml_parser_set_encoding(&reader.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&reader.parser, (const unsigned char *)(text.at != NULL ? text.at : ""), text.len);
    enum error error = read_events(&reader);
    if (error != OK)
        drop_unfinished(&reader, trees);
    yaml_parser_delete(&reader.parser);
    return error;
}

bool node_is_null(const struct node *node) {
    if (node->kind != NODE_SCALAR || node->quoted)
        return false;
    return node->text.len == 0 || bytes_equal(node->text, BYTES("~")) || bytes_equal(node->text, BYTES("null")) ||
           bytes_equal(node->text, BYTES("Null")) || bytes_equal(node->text, BYTES("NULL"));
}

struct node *node_find(const struct node *object, const char *name) {
    if (object == NULL || object->kind != NODE_OBJECT)
        return NULL;
    for (struct node *field = object->first; field != NULL; field = field->next)
        if (bytes_equal(field->name, bytes_from_text(name)))
            return node_is_null(field) ? NULL : field;
    return NULL;
}

struct node *node_item(const struct node *list, uint32_t index) {
    if (list == NULL || list->kind != NODE_LIST)
        return NULL;
    struct node *item = list->first;
    while (item != NULL && item->index != index)
        item = item->next;
    return item;
}

// An item is called by its name where it has one that can be read, else by its number.
static void write_step(FILE *out, const struct node *node) {
    if (node->parent->kind == NODE_OBJECT) {
        bool is_long = node->name.len > KEY_SHOWN_MAX;
        fprintf(out, "%s%.*s%s", node->parent->parent != NULL ? "." : "", (int)(is_long ? KEY_SHOWN_MAX : node->name.len), node->name.at,
                is_long ? "..." : "");
        return;
    }
    const struct node *name = node_find(node, "name");
    if (name != NULL && name->kind == NODE_SCALAR && name->text.len > 0 && name->text.len <= 63)
        fprintf(out, "[%.*s]", BYTES_FORMAT(name->text));
    else
        fprintf(out, "[%u]", node->index);
}

struct bytes node_path(struct pool *pool, const struct node *node, const char *field) {
    const struct node *steps[TREE_DEPTH_MAX + 1];
    uint32_t count = 0;
    for (const struct node *step = node; step->parent != NULL; step = step->parent) {
        CHECK(count < sizeof(steps) / sizeof(steps[0]));
        steps[count++] = step;
    }
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    CHECK(out != NULL);
    bool is_empty = count == 0;
    while (count > 0)
        write_step(out, steps[--count]);
    if (field != NULL)
        fprintf(out, "%s%s", is_empty ? "" : ".", field);
    CHECK(fclose(out) == 0 && text != NULL);
    struct bytes path = pool_copy(pool, bytes_from(text, length));
    free(text);
    return path;
}

const char *node_kind_name(const struct node *node) {
    return node->kind == NODE_SCALAR ? "a text" : node->kind == NODE_LIST ? "a list" : "an object";
}
