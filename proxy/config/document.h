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
    struct pool *values;  // what a snapshot keeps: decoded values, file names
    struct config_errors *errors;
    struct config_errors *warnings;
    struct document *first;
    struct document **next;
    uint32_t count;
    struct named_path *paths; // that they name
    bool is_partial;          // something could not be read at all, and that was told: what seems to be missing may be there
};

struct document {
    struct document *next;
    struct loading *loading;
    const struct kind *kind;
    const char *file;
    const char *label; // "Proxy/school/courses-1"; "?" for what could not be read
    struct bytes namespace_name;
    struct bytes name; // empty: could not be read
    struct node *root;
    struct node *metadata;
    struct node *spec_node; // NULL: none
    void *spec;             // decoded: all fields set, wrong ones to their defaults. NULL: the kind could not be read
};

struct kind {
    const char *name;
    const char *api_version;
    const struct table *spec;
    // Rules between fields of one document; `document->spec` is set. May be NULL.
    void (*check)(struct document *document);
};

// The only list of kinds; ends with a name of NULL.
extern const struct kind config_kinds[];

// Reads one tree as a document and decodes it, telling all that is wrong in it. NULL where it is no document at all (empty, or a kind that cannot be read).
struct document *document_read(struct loading *loading, const char *file, struct node *root);

// `field` (may be NULL): a field of `node` that is not there. The place is the node's line.
void document_error(struct document *document, const struct node *node, const char *field, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void document_warning(struct document *document, const struct node *node, const char *field, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

// The nearest place of a document: that of `node`, or of the document itself where it is NULL.
struct place document_place(const struct document *document, const struct node *node);

// Whether spec has that field and it could be decoded: what a check may judge further.
bool document_has(const struct node *object, const char *field);

#endif
