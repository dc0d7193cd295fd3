// Kind TelemetryPolicy: what is told of the requests of its target. Its table, and the rules between its fields; how several are merged is freeze_telemetry.c's.
#include "config/resource_telemetry_policy.h"

#include "http/redact.h"
#include "telemetry/series_facts.h"

#define SPEC(member) ROW_AT(struct telemetry_policy_spec, member)

#define DISABLED_ROW(member, what)                                                                  \
    {                                                                                               \
        .name = "disabled", .type = VALUE_BOOL, SPEC(member), .fallback = "false",                  \
        .describes = "true: what less specific policies and spec.telemetry say is put aside; " what \
    }

// `from` is the first member: the fields of its table count from the start.
static const struct row attribute_rows[] = {
    {.name = "name", .type = VALUE_TEXT, ROW_AT(struct telemetry_attribute, name), .is_required = true, .describes = "what it is called there"},
    {.name = "from",
     .type = VALUE_OBJECT,
     .object = &request_key_table,
     .is_required = true,
     .describes = "what of the request it is; no Cookie, and nothing whose name tells of a secret"},
    {0}};
static const struct table attribute_table = {
    .describes = "something of a request that is told", .rows = attribute_rows, .size = sizeof(struct telemetry_attribute), .unique_key = "name"};

static const struct row sampling_rows[] = {TELEMETRY_SHARE_ROWS(struct telemetry_policy_spec, rules.traces.sampling), {0}};
static const struct table sampling_table = {.describes = "which share of the traces that begin at the target is recorded", .rows = sampling_rows};

static const struct row traces_rows[] = {{.name = "sampling",
                                          .type = VALUE_OBJECT,
                                          .object = &sampling_table,
                                          .describes = "which share of the traces that begin at the target is recorded; without it spec.telemetry's"},
                                         {.name = "attributes",
                                          .type = VALUE_LIST,
                                          .item = VALUE_OBJECT,
                                          .object = &attribute_table,
                                          ROW_LIST(struct telemetry_policy_spec, rules.traces.attributes, rules.traces.attribute_count),
                                          .max = TELEMETRY_ATTRIBUTES_MAX,
                                          .describes = "what spans have beside what all have"},
                                         DISABLED_ROW(rules.traces.is_disabled, "there are no spans, and trace headers go through as they are"),
                                         {0}};
static const struct table traces_table = {.describes = "traces", .rows = traces_rows};

static const struct row log_sampling_rows[] = {TELEMETRY_SHARE_ROWS(struct telemetry_policy_spec, rules.access_log.sampling), {0}};
static const struct table log_sampling_table = {.describes = "which share of the requests that did not fail is logged", .rows = log_sampling_rows};

static const struct row access_log_rows[] = {
    {.name = "filter",
     .type = VALUE_ENUM,
     SPEC(rules.access_log.filter),
     .choices = log_filters,
     .fallback = "Errors",
     .describes = "which requests are logged; without it as spec.telemetry.accessLog says"},
    {.name = "sampling",
     .type = VALUE_OBJECT,
     .object = &log_sampling_table,
     .describes = "filter All: which share of the requests that did not fail is logged; without it as spec.telemetry.accessLog says"},
    DISABLED_ROW(access_log_disabled, "nothing is logged"),
    {0}};
static const struct table policy_log_table = {.describes = "the access log", .rows = access_log_rows};

static const struct row metrics_rows[] = {{.name = "labels",
                                           .type = VALUE_LIST,
                                           .item = VALUE_OBJECT,
                                           .object = &attribute_table,
                                           ROW_LIST(struct telemetry_policy_spec, rules.metrics.labels, rules.metrics.label_count),
                                           .max = TELEMETRY_ATTRIBUTES_MAX,
                                           .describes = "labels that metrics of requests have beside what all have"},
                                          DISABLED_ROW(rules.metrics.is_disabled, "durations of requests are not counted"),
                                          {0}};
static const struct table metrics_table = {.describes = "metrics of requests", .rows = metrics_rows};

static const struct choice modes[] = {{"Enforce", MODE_ENFORCE, false, "it is done"}, {0}};

static const struct row telemetry_policy_rows[] = {
    TARGET_REFS_ROW,
    {.name = "mode",
     .type = VALUE_ENUM,
     ROW_AT(struct policy_head, mode),
     .choices = modes,
     .fallback = "Enforce",
     .describes = "telemetry decides nothing about a request that a dry run could let pass instead: there is no DryRun"},
    {.name = "traces", .type = VALUE_OBJECT, .object = &traces_table, .is_group = true, .describes = "traces"},
    {.name = "accessLog", .type = VALUE_OBJECT, .object = &policy_log_table, .is_group = true, .describes = "the access log"},
    {.name = "metrics", .type = VALUE_OBJECT, .object = &metrics_table, .is_group = true, .describes = "metrics of requests"},
    {0}};
const struct table telemetry_policy_table = {
    .describes = "what is told of the requests that a target gets, and of those that it sends, in the target's own proxy",
    .rows = telemetry_policy_rows,
    .size = sizeof(struct telemetry_policy_spec)};

// What is told stands where all can read it.
static void check_attributes(struct document *document, const struct telemetry_attribute *attributes, uint32_t count, const struct node *list) {
    for (uint32_t i = 0; i < count; i++) {
        const struct request_key_part *from = &attributes[i].from;
        const struct node *node = node_find(node_item(list, i), "from");
        request_key_part_check(document, from, node);
        if (!document_has(node, "type"))
            continue;
        if (from->type == KEY_COOKIE || (from->name.len > 0 && redact_is_secret(from->name)))
            document_error(document, node, NULL, "%.*s would stand in telemetry for all to read; allowed: what lets nobody in",
                           BYTES_FORMAT(from->name));
    }
}

// Whether a span may have it beside what it has by itself: a key stands in it once.
static bool attribute_name_may_be(struct bytes name) {
    static const struct bytes own[] = {BYTES_OF("http."), BYTES_OF("url."),   BYTES_OF("server."),     BYTES_OF("client."),   BYTES_OF("network."),
                                       BYTES_OF("rpc."),  BYTES_OF("error."), BYTES_OF("user_agent."), BYTES_OF("outrigger.")};
    const struct bytes header = BYTES("http.request.header.");
    if (bytes_starts_with(name, header))
        return name.len > header.len;
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        if (bytes_starts_with(name, own[i]))
            return false;
    return name.len > 0;
}

static void check_names(struct document *document, const struct telemetry_attribute *attributes, uint32_t count, const struct node *list) {
    for (uint32_t i = 0; i < count; i++)
        if (!attribute_name_may_be(attributes[i].name))
            document_error(document, node_find(node_item(list, i), "name"), NULL,
                           "%.*s; allowed: http.request.header.NAME, and a name that does not begin as those that spans have by themselves: "
                           "http., url., server., client., network., rpc., error., user_agent., outrigger.",
                           BYTES_FORMAT(attributes[i].name));
}

static void check_labels(struct document *document, const struct telemetry_attribute *labels, uint32_t count, const struct node *list) {
    for (uint32_t i = 0; i < count; i++)
        if (!series_label_may_be(labels[i].name))
            document_error(
                document, node_find(node_item(list, i), "name"), NULL,
                "%.*s; allowed: at most 63 letters, digits and _, no digit first, no __, and no label that these metrics have by themselves",
                BYTES_FORMAT(labels[i].name));
}

// What is switched off has nothing else to say.
static void check_group(struct document *document, const struct node *group, bool is_disabled) {
    if (is_disabled && group->count > 1)
        document_error(document, group, NULL, "is disabled and has other fields; allowed: {disabled: true} alone");
}

void telemetry_policy_check(struct document *document) {
    struct telemetry_policy_spec *spec = document->spec;
    const struct node *traces = node_find(document->spec_node, "traces"), *log = node_find(document->spec_node, "accessLog");
    const struct node *metrics = node_find(document->spec_node, "metrics");
    targets_check(document);
    spec->has_group[TELEMETRY_TRACES] = traces != NULL;
    spec->has_group[TELEMETRY_ACCESS_LOG] = log != NULL;
    spec->has_group[TELEMETRY_METRICS] = metrics != NULL;
    spec->has_sampling = node_find(traces, "sampling") != NULL;
    spec->has_filter = node_find(log, "filter") != NULL;
    spec->has_log_sampling = node_find(log, "sampling") != NULL;
    check_group(document, traces, spec->rules.traces.is_disabled);
    check_group(document, log, spec->access_log_disabled);
    check_group(document, metrics, spec->rules.metrics.is_disabled);
    telemetry_share_check(document, &spec->rules.traces.sampling, node_find(traces, "sampling"));
    telemetry_share_check(document, &spec->rules.access_log.sampling, node_find(log, "sampling"));
    log_sampling_check(document, spec->rules.access_log.filter, log);
    check_attributes(document, spec->rules.traces.attributes, spec->rules.traces.attribute_count, node_find(traces, "attributes"));
    check_names(document, spec->rules.traces.attributes, spec->rules.traces.attribute_count, node_find(traces, "attributes"));
    check_attributes(document, spec->rules.metrics.labels, spec->rules.metrics.label_count, node_find(metrics, "labels"));
    check_labels(document, spec->rules.metrics.labels, spec->rules.metrics.label_count, node_find(metrics, "labels"));
    if (spec->access_log_disabled)
        spec->rules.access_log.filter = LOG_FILTER_NONE;
}
