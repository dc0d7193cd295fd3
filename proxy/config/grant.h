// ReferenceGrants (Gateway API): which references across namespaces are permitted. One from a route of the mesh to a Service needs none; those of routes at a Gateway, and of
// Gateways to certificates, do.
#ifndef CONFIG_GRANT_H
#define CONFIG_GRANT_H

#include "base/map.h"
#include "config/document.h"

// All grants of a load by what they permit, so that a reference costs two look-ups however many there are.
struct grants {
    struct map permitted;
    struct pool *scratch;
};

void grants_init(struct grants *grants, const struct loading *loading);
void grants_dispose(struct grants *grants);

// Whether `from`, a document, may refer to what is called that, of kind `kind` (as "Service"), in that namespace. In its own it always may.
bool grants_permit(const struct grants *grants, const struct document *from, struct bytes kind, struct bytes namespace_name, struct bytes name);

#endif
