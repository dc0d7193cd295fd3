// One document while it is loaded: its envelope (apiVersion, kind, metadata), its decoded spec, and how errors in it are told.
#ifndef CONFIG_DOCUMENT_H
#define CONFIG_DOCUMENT_H

#include "base/pool.h"
#include "config/load.h"
#include "config/table.h"
#include "config/tree.h"

#define API_VERSION "outrigger.dev/v1alpha1"

// Where a Proxy runs, as Kubernetes labels its nodes.
#define LABEL_ZONE "topology.kubernetes.io/zone"
#define LABEL_REGION "topology.kubernetes.io/region"

// All documents of one load.
struct loading {
    struct pool *scratch; // trees, paths: gone after the load
    struct pool *values;  // of the unit that is being decoded: decoded values, file names
    struct config_errors *errors;
    struct config_errors *warnings;
    struct document *first;
    struct document **next;
    uint32_t count;
    struct named_path *paths;                   // that they name
    const struct otel_environment *environment; // NULL: none
    struct content *contents;                   // of files that they name (content.h), the last one read first
    uint32_t revived;                           // units of earlier loads whose trees were made once more
    bool has_bulk;                              // of the unit that is being decoded: some of its values are in `scratch` (unit.h)
    bool is_partial;                            // something could not be read at all, and that was told: what seems to be missing may be there
};

struct unit;

// Lives as long as its unit, over many loads. What it was written as (root, metadata, spec_node) is there in the load that decodes it, so in kind->check too. In later ones it is there
// for kinds that are not `is_light`, and for the others after document_revive.
struct document {
    struct document *next;    // in the load
    struct document *in_unit; // the next of its unit
    struct loading *loading;
    struct unit *unit;
    const struct kind *kind;
    const char *file;
    uint32_t line;
    uint32_t index;    // of its tree in the file
    uint64_t digest;   // of what it says: of its tree, without comments and places
    bool is_sound;     // nothing is wrong in it, looked at alone: all that is required is there
    const char *label; // "Proxy/school/courses-1"; "?" for what could not be read
    struct bytes namespace_name;
    struct bytes name; // empty: could not be read
    struct node *root;
    struct node *metadata;
    struct node *spec_node; // NULL also where there is none
    void *spec;             // decoded: all fields set, wrong ones to their defaults. NULL: the kind could not be read
};

struct kind {
    const char *name;
    const char *api_version;
    const struct table *spec;
    // Rules between fields of one document; `document->spec` is set. May be NULL.
    void (*check)(struct document *document);
    // Reads and judges files beside the documents (content.h), in each load. May be NULL.
    void (*check_files)(struct document *document);
    const char *older_version; // that is read too, of the same form; NULL: none
    // What judges documents of this kind against others (check.c, merge.c, freeze.c) looks at `spec`, and revives them before it looks at nodes: their trees need not be made in each
    // load. Thousands of documents are of such kinds.
    bool is_light;
};

// The only list of kinds; ends with a name of NULL.
extern const struct kind config_kinds[];

// Reads one tree as a document and decodes it into loading->values, telling all that is wrong in it alone. NULL where it is no document at all (empty, or a kind that cannot be read).
struct document *document_read(struct loading *loading, const char *file, struct node *root);

// Sets root, metadata and spec_node.
void document_take_tree(struct document *document, struct node *root);

// Makes sure that the document has its tree.
void document_revive(struct document *document);

// `node` NULL: the document itself. `field` (may be NULL): a field of `node` that is not there. The place is the node's line.
void document_error(struct document *document, const struct node *node, const char *field, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void document_warning(struct document *document, const struct node *node, const char *field, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

// The nearest place of a document: that of `node`, or of the document itself where it is NULL.
struct place document_place(const struct document *document, const struct node *node);

// Whether spec has that field and it could be decoded: what a check may judge further.
bool document_has(const struct node *object, const char *field);

#endif
