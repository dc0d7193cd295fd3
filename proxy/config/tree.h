// One file of YAML or JSON as trees of nodes with their lines, one tree a document. libyaml gives the events; what a policy document has no use for is refused
// here: aliases, anchors, tags, keys twice, NUL, more than TREE_DEPTH_MAX levels. What a scalar means is decided by the tables (decode.h), not here.
#ifndef CONFIG_TREE_H
#define CONFIG_TREE_H

#include "base/bytes.h"
#include "base/error.h"
#include "base/pool.h"

#include <stdbool.h>
#include <stdint.h>

#define TREE_DEPTH_MAX 64
// Fields of one object: the widest table has some 30, labels rarely have more. Bounds the search for keys that stand twice.
#define TREE_FIELDS_MAX 512

enum node_kind { NODE_SCALAR, NODE_LIST, NODE_OBJECT };

struct node {
    enum node_kind kind;
    uint32_t line;       // where its key stands, or the item itself
    uint32_t index;      // in the parent
    uint32_t count;      // children
    bool quoted;         // a scalar in quotes or as a block: never null
    bool bad;            // decode found it wrong and has said so
    struct bytes name;   // its key in the parent object; empty for items
    struct bytes text;   // of a scalar
    struct node *parent; // NULL: the document
    struct node *first;
    struct node *last;
    struct node *next;
};

// One document of a file, in the order of the file.
struct tree {
    struct tree *next;
    struct node *root;
};

// Why a file could not be read to its end.
struct tree_fault {
    uint32_t line;
    struct bytes text;
};

// Trees and texts lie in `pool`. `text` is UTF-8, with or without a byte order mark. On ERROR_INVALID `trees` has the documents before the fault.
enum error tree_read(struct pool *pool, struct bytes text, struct tree **trees, struct tree_fault *fault) MUST_CHECK;

// The field of an object; NULL where there is none or it is null.
struct node *node_find(const struct node *object, const char *name);

// The item of a list; NULL where there is none.
struct node *node_item(const struct node *list, uint32_t index);

// Null: nothing, ~ or null without quotes. A field that is null is as one that is not there.
bool node_is_null(const struct node *node);

// "spec.listeners[inbound].mtls.mode", with `field` (may be NULL) as a last step that has no node.
struct bytes node_path(struct pool *pool, const struct node *node, const char *field);

// "a text", "a list", "an object": for messages.
const char *node_kind_name(const struct node *node);

#endif
