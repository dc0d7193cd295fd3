// Fields by which the mesh tells who a client is and how it is to be treated, which clients from outside may therefore not set (policy: Trust). One list for what a gateway takes off and
// for what spec.edge.trustHeaders may name.
#ifndef CONFIG_EDGE_FIELDS_H
#define CONFIG_EDGE_FIELDS_H

#include "base/bytes.h"

// In any case, and with `_` for `-`, since what reads CGI's variables takes x_tenant_id for x-tenant-id.
bool edge_field_is_guarded(struct bytes name);

// Of those, the ones by which a request asks for what was decided about it, and by which an answer tells it: x-debug, x-debug-...
bool edge_field_is_of_debugging(struct bytes name);

// Whether trustHeaders may name it: guarded, in its own spelling, and not x-forwarded-client-cert, which is believed from nobody outside.
bool edge_field_may_be_trusted(struct bytes name);

#endif
