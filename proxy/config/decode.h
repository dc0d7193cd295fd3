// A tree of nodes to a C struct, by a table. All errors of the tree are told; what is wrong keeps its default, so that later checks can go on.
#ifndef CONFIG_DECODE_H
#define CONFIG_DECODE_H

#include "config/document.h"

// `object` (of table->size bytes) is set whole: defaults, then what `node` says. `node` may be NULL: defaults only. Texts and lists are put into loading->values.
void decode_object(struct document *document, const struct table *table, struct node *node, void *object);

// Defaults only, with no document: lists are empty.
void decode_defaults(const struct table *table, void *object);

#endif
