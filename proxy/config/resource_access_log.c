// spec.telemetry.accessLog of a Proxy and of the MeshConfig: its table, and the rules between its fields.
#include "config/resources.h"

#include "config/nearest.h"
#include "http/headers.h"
#include "http/redact.h"
#include "telemetry/access_template.h"

#define LOG(member) ROW_AT(struct mesh_fields, telemetry.access_log.member)

static const struct choice log_formats[] = {
    {"JSON", LOG_FORMAT_JSON, false, "one object a line"},
    {"Text", LOG_FORMAT_TEXT, false, "a line as template says"},
    {"OTLP", LOG_FORMAT_OTLP, false, "no file: a log record of OpenTelemetry, which goes where spec.telemetry.logs says"},
    {0}};
const struct choice log_filters[] = {{"Errors", LOG_FILTER_ERRORS, false, "requests that failed"},
                                     {"All", LOG_FILTER_ALL, false, "every request"},
                                     {"None", LOG_FILTER_NONE, false, "nothing"},
                                     {0}};

static const struct row sampling_rows[] = {TELEMETRY_SHARE_ROWS(struct mesh_fields, telemetry.access_log.sampling), {0}};
static const struct table sampling_table = {.describes = "which share of the requests that did not fail is logged", .rows = sampling_rows};

static const struct row access_log_rows[] = {
    {.name = "path", .type = VALUE_PATH, LOG(path), .fallback = "/dev/stdout", .describes = "file that lines are appended to"},
    {.name = "format", .type = VALUE_ENUM, LOG(format), .choices = log_formats, .fallback = "JSON", .describes = "form of a line"},
    {.name = "template",
     .type = VALUE_TEXT,
     .is_line = true,
     LOG(template),
     .fallback = "%{time} %{peer} \"%{method} %{authority}%{path} HTTP/%{version}\" %{status} %{end} %{response_bytes} %{duration_us}us %{service} "
                 "%{endpoint} %{request_id}",
     .describes = "Text: %{name} stands for a field of JSON, %% for a percent sign; operators as Envoy has them, such as %REQ(USER-AGENT)%, are "
                  "taken too; one "
                  "line feed at its end is left out"},
    {.name = "filter", .type = VALUE_ENUM, LOG(filter), .choices = log_filters, .fallback = "Errors", .describes = "which requests are logged"},
    {.name = "sampling",
     .type = VALUE_OBJECT,
     .object = &sampling_table,
     .describes = "filter All: which share of the requests that did not fail is logged; chosen by trace, else by x-request-id, so that all "
                  "proxies that see the same one log the same"},
    {.name = "keys",
     .type = VALUE_LIST,
     .item = VALUE_OBJECT,
     .object = &request_key_table,
     ROW_LIST(struct mesh_fields, telemetry.access_log.keys.parts, telemetry.access_log.keys.count),
     .max = LOGGED_KEYS_MAX,
     .describes =
         "what requests are told apart by, as hashes with a key of the process, beside the keys of the limits that they are under: for simulations"},
    {.name = "headers",
     .type = VALUE_LIST,
     .item = VALUE_TEXT,
     ROW_LIST(struct mesh_fields, telemetry.access_log.headers, telemetry.access_log.header_count),
     .max = LOGGED_HEADERS_MAX,
     .describes = "headers of requests that are logged as they are, such as x-tier; none whose name tells of a key, a token or a session"},
    {0}};
const struct table access_log_table = {.describes = "one line for each request", .rows = access_log_rows};

// Names such as :authority are no fields.
static bool is_secret(struct bytes name) {
    return name.len > 0 && name.at[0] != ':' && redact_is_secret(name);
}

// What lets whoever has it in does not stand in a log.
static void check_named(struct document *document, const struct access_template *form, const struct node *node) {
    for (uint32_t i = 0; i < form->count; i++) {
        const struct access_piece *piece = &form->pieces[i];
        const struct bytes name = is_secret(piece->name) ? piece->name : piece->otherwise;
        if (piece->operation <= OPERATOR_TRAILER && is_secret(name))
            document_error(document, node, NULL, "%.*s would stand in the log for all to read; allowed: under keys, as a hash", BYTES_FORMAT(name));
    }
}

static void check_template(struct document *document, const struct node *log) {
    const struct mesh_fields *fields = document->spec;
    const struct node *node = node_find(log, "template");
    struct access_template form;
    struct bytes wrong;
    if (node == NULL || node->bad)
        return;
    if (fields->telemetry.access_log.format != LOG_FORMAT_TEXT)
        document_error(document, node, NULL, "is for format Text alone");
    if (access_template_parse(fields->telemetry.access_log.template, &form, &wrong)) {
        check_named(document, &form, node);
        return;
    }
    if (form.count == ACCESS_TEMPLATE_PIECES_MAX) {
        document_error(document, node, NULL, "has more than %d fields", ACCESS_TEMPLATE_PIECES_MAX);
        return;
    }
    if (form.why != NULL) {
        document_error(document, node, NULL, "%.*s %s", BYTES_FORMAT(wrong), form.why);
        return;
    }
    struct nearest nearest;
    nearest_init(&nearest, wrong);
    for (enum access_field field = 0; field < ACCESS_FIELD_COUNT; field++)
        nearest_try(&nearest, pool_format(document->loading->scratch, "%%{%s}", access_field_name(field)).at);
    for (enum access_operator operation = 0; operation < ACCESS_OPERATOR_COUNT; operation++)
        nearest_try(&nearest, pool_format(document->loading->scratch, "%%%s%%", access_operator_name(operation)).at);
    if (nearest.name != NULL)
        document_error(document, node, NULL, "%.*s is no field; did you mean %s?", BYTES_FORMAT(wrong), nearest.name);
    else
        document_error(
            document, node, NULL,
            "%.*s is no field; allowed: %%{name} with the name of a field of the JSON form, operators such as %%REQ(USER-AGENT)%%, and %%%%",
            BYTES_FORMAT(wrong));
}

// What is logged as it is can be read by whoever reads logs.
static void check_headers(struct document *document, const struct access_log_config *log, const struct node *list) {
    for (uint32_t i = 0; i < log->header_count; i++) {
        const struct node *node = node_item(list, i);
        if (node->bad)
            continue;
        if (!is_token(log->headers[i]))
            document_error(document, node, NULL, "\"%.*s\" is no name that a header can have", BYTES_FORMAT(log->headers[i]));
        else if (redact_is_secret(log->headers[i]))
            document_error(document, node, NULL, "%.*s would stand in the log for all to read; allowed: under keys, as a hash",
                           BYTES_FORMAT(log->headers[i]));
    }
}

// What the line has for all to read needs no hash.
static void check_keys(struct document *document, const struct request_key *keys, const struct node *list) {
    for (uint32_t i = 0; i < keys->count; i++) {
        const enum request_key_type type = keys->parts[i].type;
        if (type == KEY_CLIENT_ADDRESS || type == KEY_IDENTITY || type == KEY_PATH || type == KEY_METHOD)
            document_warning(document, node_item(list, i), "type", "%s stands in each line as it is: no hash of it is logged",
                             request_key_type_name(type));
    }
}

// What is sent is in no file.
static void check_path(struct document *document, const struct access_log_config *log, const struct node *node) {
    if (log->format == LOG_FORMAT_OTLP && node_find(node, "path") != NULL)
        document_error(document, node_find(node, "path"), NULL, "is not for format OTLP, which goes where spec.telemetry.logs says");
}

void access_log_check(struct document *document) {
    const struct mesh_fields *fields = document->spec;
    const struct node *log = node_find(node_find(document->spec_node, "telemetry"), "accessLog");
    check_path(document, &fields->telemetry.access_log, log);
    check_template(document, log);
    telemetry_share_check(document, &fields->telemetry.access_log.sampling, node_find(log, "sampling"));
    log_sampling_check(document, fields->telemetry.access_log.filter, log);
    request_key_check(document, &fields->telemetry.access_log.keys, node_find(log, "keys"));
    check_keys(document, &fields->telemetry.access_log.keys, node_find(log, "keys"));
    check_headers(document, &fields->telemetry.access_log, node_find(log, "headers"));
}
