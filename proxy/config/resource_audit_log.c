// spec.telemetry.auditLog of a Proxy and of the MeshConfig: its table.
#include "config/resources.h"

#define AUDIT(member) offsetof(struct mesh_fields, telemetry.audit_log.member)

static const struct choice audit_events[] = {
    {"Changes", AUDIT(changes), false,
     "what is asked of the admin listener by POST, documents accepted and refused, certificates, the process itself"},
    {"Denials", AUDIT(denials), false, "requests and connections refused by authentication, authorization and external authorization"},
    {"Limits", AUDIT(limits), false, "requests refused by rate limits, quotas and bulkheads"},
    {0}};

static const struct row audit_log_rows[] = {{.name = "path",
                                             .type = VALUE_PATH,
                                             ROW_AT(struct mesh_fields, telemetry.audit_log.path),
                                             .is_required = true,
                                             .describes = "file that lines of JSON are appended to"},
                                            {.name = "events",
                                             .type = VALUE_FLAGS,
                                             .choices = audit_events,
                                             .width = sizeof(bool),
                                             .fallback = "Changes Denials",
                                             .describes = "what is told"},
                                            {0}};
const struct table audit_log_table = {.describes = "who changed what, and who was refused what; there is none without this block",
                                      .rows = audit_log_rows};
