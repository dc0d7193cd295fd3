// spec.telemetry.auditLog of a Proxy and of the MeshConfig: its table, and the rules between its fields.
#include "config/resources.h"

#define AUDIT(member) offsetof(struct mesh_fields, telemetry.audit_log.member)

static const struct choice audit_events[] = {
    {"Changes", AUDIT(changes), false,
     "what the admin listener is asked for that is more than figures, or refuses; documents accepted and refused, certificates, upgrades, the "
     "process itself"},
    {"Denials", AUDIT(denials), false, "requests and connections refused by authentication, authorization, external authorization and mutual TLS"},
    {"Limits", AUDIT(limits), false, "requests refused by rate limits, quotas and bulkheads"},
    {0}};

static const struct choice audit_formats[] = {
    {"JSON", AUDIT_FORMAT_JSON, false, "one object a line"},
    {"OTLP", AUDIT_FORMAT_OTLP, false, "no file: log records of OpenTelemetry, which go where spec.telemetry.logs says"},
    {0}};

static const struct row audit_log_rows[] = {{.name = "path",
                                             .type = VALUE_PATH,
                                             ROW_AT(struct mesh_fields, telemetry.audit_log.path),
                                             .describes = "JSON, needed there: file that lines are appended to"},
                                            {.name = "format",
                                             .type = VALUE_ENUM,
                                             ROW_AT(struct mesh_fields, telemetry.audit_log.format),
                                             .choices = audit_formats,
                                             .fallback = "JSON",
                                             .describes = "form of what is told"},
                                            {.name = "events",
                                             .type = VALUE_FLAGS,
                                             .choices = audit_events,
                                             .width = sizeof(bool),
                                             .fallback = "Changes Denials",
                                             .describes = "what is told"},
                                            {0}};
const struct table audit_log_table = {.describes = "who changed what, and who was refused what; there is none without this block",
                                      .rows = audit_log_rows};

void audit_log_check(struct document *document) {
    struct mesh_fields *fields = document->spec;
    struct audit_log_config *audit = &fields->telemetry.audit_log;
    const struct node *node = node_find(node_find(document->spec_node, "telemetry"), "auditLog");
    const struct node *path = node_find(node, "path");
    if (node == NULL) {
        *audit = (struct audit_log_config){0}; // nothing is told
        return;
    }
    audit->is_kept = true;
    if (audit->format == AUDIT_FORMAT_JSON && path == NULL)
        document_error(document, node, "path", "is required for format JSON: the file");
    if (audit->format == AUDIT_FORMAT_OTLP && path != NULL)
        document_error(document, path, NULL, "is not for format OTLP, which goes where spec.telemetry.logs says");
}
