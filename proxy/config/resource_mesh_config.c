// Kind MeshConfig: what holds for all proxies of the mesh. Its fields may stand in a Proxy too, whose blocks win: their tables, the rules between their fields, and who wins.
#include "config/edge_fields.h"
#include "config/resource_otlp.h"

static const struct row edge_rows[] = {{.name = "trustHeaders",
                                        .type = VALUE_LIST,
                                        .item = VALUE_TEXT,
                                        ROW_LIST(struct mesh_fields, edge.trust_headers, edge.trust_header_count),
                                        .max = 64,
                                        .describes = "fields that clients from outside may set of those that a gateway takes off: x-tier, "
                                                     "x-priority, x-tenant-id, x-debug, x-debug-..., x-request-timeout-ms, "
                                                     "x-real-ip, forwarded, x-forwarded-... (but not -client-cert)"},
                                       {.name = "proxyStatus",
                                        .type = VALUE_BOOL,
                                        ROW_AT(struct mesh_fields, edge.proxy_status),
                                        .fallback = "false",
                                        .describes = "true: answers of a gateway itself say why in Proxy-Status, as those of sidecars do"},
                                       {0}};
const struct table edge_table = {.describes = "what a gateway believes and tells", .rows = edge_rows};

static const struct row mesh_config_rows[] = {MESH_FIELD_ROWS, {0}};
const struct table mesh_config_table = {
    .describes = "what holds for all proxies of the mesh: there is one at most, named default. A Proxy that has one of these blocks goes by "
                 "its own: edge, trustedProxies, and each block of telemetry, whole",
    .rows = mesh_config_rows,
    .size = sizeof(struct mesh_config_spec),
    .later = "trustDomain mtls outbound redis"};

static void check_edge(struct document *document) {
    const struct mesh_fields *fields = document->spec;
    const struct node *names = node_find(node_find(document->spec_node, "edge"), "trustHeaders");
    for (uint32_t i = 0; i < fields->edge.trust_header_count; i++)
        if (!node_item(names, i)->bad && !edge_field_may_be_trusted(fields->edge.trust_headers[i]))
            document_error(document, node_item(names, i), NULL,
                           "%.*s is none of the fields that a gateway takes off and may leave; allowed: x-tier, x-priority, x-tenant-id, x-debug, "
                           "x-debug-..., x-request-timeout-ms, x-real-ip, forwarded, x-forwarded-... (but not -client-cert)",
                           BYTES_FORMAT(fields->edge.trust_headers[i]));
}

void mesh_fields_check(struct document *document) {
    telemetry_check(document);
    check_edge(document);
}

void mesh_fields_check_files(struct document *document) {
    const struct mesh_fields *fields = document->spec;
    otlp_check_files(document, &fields->telemetry.otlp[OTLP_TRACES], "traces");
    otlp_check_files(document, &fields->telemetry.otlp[OTLP_LOGS], "logs");
    otlp_check_files(document, &fields->telemetry.otlp[OTLP_METRICS], "metrics");
}

void mesh_config_check(struct document *document) {
    if (document->name.len > 0 && !bytes_equal(document->name, BYTES("default")))
        document_error(document, node_find(document->metadata, "name"), NULL, "%.*s is no name for it; allowed: default",
                       BYTES_FORMAT(document->name));
    mesh_fields_check(document);
}

#define BLOCK(member) offsetof(struct mesh_fields, member), sizeof(((struct mesh_fields *)0)->member)

// `within` NULL: a field of spec.
static const struct block {
    const char *within, *name;
    size_t offset, size;
} blocks[] = {{NULL, "edge", BLOCK(edge)},
              {NULL, "trustedProxies", BLOCK(trusted_proxies)},
              {"telemetry", "accessLog", BLOCK(telemetry.access_log)},
              {"telemetry", "auditLog", BLOCK(telemetry.audit_log)},
              {"telemetry", "traces", BLOCK(telemetry.traces)},
              {"telemetry", "metrics", BLOCK(telemetry.metrics)},
              {"telemetry", "logs", BLOCK(telemetry.otlp[OTLP_LOGS])},
              {"telemetry", "traces", BLOCK(telemetry.otlp[OTLP_TRACES])},
              {"telemetry", "metrics", BLOCK(telemetry.otlp[OTLP_METRICS])}};

struct mesh_fields mesh_fields_merge(const struct document *proxy, const struct document *mesh) {
    struct mesh_fields merged = *(const struct mesh_fields *)proxy->spec;
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0] && mesh != NULL; i++) {
        const struct block *block = &blocks[i];
        const struct node *around = block->within == NULL ? proxy->spec_node : node_find(proxy->spec_node, block->within);
        if (node_find(around, block->name) == NULL)
            memcpy((char *)&merged + block->offset, (const char *)mesh->spec + block->offset, block->size);
    }
    return merged;
}

const struct node *mesh_fields_telemetry(const struct document *proxy, const struct document *mesh, const char *block) {
    const struct node *own = node_find(node_find(proxy->spec_node, "telemetry"), block);
    return own != NULL || mesh == NULL ? own : node_find(node_find(mesh->spec_node, "telemetry"), block);
}
