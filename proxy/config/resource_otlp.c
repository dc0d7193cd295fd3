// How a signal of telemetry is sent: rows of spec.telemetry.{traces, metrics, logs} (OTLP_ROWS), and the rules between them.
#include "config/resource_otlp.h"

#include "config/content.h"
#include "config/url_service.h"
#include "http/headers.h"

#define HEADER(member) ROW_AT(struct otlp_header, member)

// Of an endpoint: behind it there is room for the path of its signal.
#define ENDPOINT_BYTES_MAX 2000

// What a value read from a file may be long.
#define VALUE_BYTES_MAX 4096

const struct choice otlp_protocols[] = {{"HTTPProtobuf", OTLP_HTTP_PROTOBUF, false, "protobuf over HTTP"},
                                        {"GRPC", OTLP_GRPC, false, "gRPC"},
                                        {"HTTPJSON", OTLP_HTTP_JSON, false, "JSON over HTTP"},
                                        {0}};
const struct choice otlp_compressions[] = {{"None", OTLP_COMPRESSION_NONE, false, "as it is"}, {"Gzip", OTLP_COMPRESSION_GZIP, false, "gzip"}, {0}};

static const struct row header_rows[] = {
    {.name = "name", .type = VALUE_TEXT, HEADER(name), .is_required = true, .describes = "as authorization"},
    {.name = "value", .type = VALUE_TEXT, HEADER(value), .describes = "as it is sent; it may be a credential, and no page shows it"},
    {.name = "valueFile",
     .type = VALUE_PATH,
     HEADER(file),
     .describes = "in its place, a file that has it, read with each set of documents; white space at its ends is none of it"},
    {0}};
const struct table otlp_header_table = {.describes = "a header of requests to the collector",
                                        .rows = header_rows,
                                        .size = sizeof(struct otlp_header),
                                        .has_place = true,
                                        .place_offset = offsetof(struct otlp_header, place),
                                        .unique_key = "name"};

static const struct row traces_batch_rows[] = {OTLP_BATCH_ROWS(OTLP_TRACES, "5s"), {0}};
static const struct row logs_batch_rows[] = {OTLP_BATCH_ROWS(OTLP_LOGS, "1s"), {0}};
const struct table otlp_logs_batch_table = {.describes = "how records of logs are sent together", .rows = logs_batch_rows};
const struct table otlp_traces_batch_table = {.describes = "how spans are sent together", .rows = traces_batch_rows};

static bool begins_with(struct bytes name, struct bytes prefix) {
    return name.len >= prefix.len && bytes_equal_nocase(bytes_from(name.at, prefix.len), prefix);
}

bool otlp_header_is_free(struct bytes name) {
    static const struct bytes taken[] = {BYTES_OF("content-type"), BYTES_OF("content-encoding"),  BYTES_OF("content-length"),
                                         BYTES_OF("host"),         BYTES_OF("transfer-encoding"), BYTES_OF("connection"),
                                         BYTES_OF("te"),           BYTES_OF("upgrade"),           BYTES_OF("user-agent"),
                                         BYTES_OF("expect"),       BYTES_OF("accept-encoding"),   BYTES_OF("trailer"),
                                         BYTES_OF("keep-alive"),   BYTES_OF("proxy-connection"),  BYTES_OF("via")};
    if (!is_token(name) || begins_with(name, BYTES("grpc-")) || begins_with(name, BYTES("outrigger-")))
        return false;
    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++)
        if (bytes_equal_nocase(name, taken[i]))
            return false;
    return true;
}

bool otlp_header_has_twin(const struct otlp_config *config, uint32_t number) {
    const struct bytes name = config->headers[number].name;
    for (uint32_t i = 0; i < number; i++)
        if (bytes_equal_nocase(config->headers[i].name, name))
            return true;
    return false;
}

// Of these the decoder has told.
static bool is_same_text(const struct otlp_config *config, uint32_t number) {
    for (uint32_t i = 0; i < number; i++)
        if (bytes_equal(config->headers[i].name, config->headers[number].name))
            return true;
    return false;
}

static void check_header(struct document *document, const struct otlp_header *header, const struct node *node) {
    const struct node *value = node_find(node, "value"), *file = node_find(node, "valueFile");
    if (node->bad || !document_has(node, "name"))
        return;
    if (!otlp_header_is_free(header->name))
        document_error(document, node_find(node, "name"), NULL,
                       "\"%.*s\" is no header that may be said here; allowed: names of headers but those of the "
                       "form of the request, as content-type, host, grpc-...",
                       BYTES_FORMAT(header->name));
    if ((value == NULL) == (file == NULL))
        document_error(document, node, NULL, "needs one of value and valueFile");
    else if (value != NULL && !value->bad && !is_field_value(header->value))
        document_error(document, value, NULL, "is no value that a header can have");
}

void otlp_check(struct document *document, const struct otlp_config *config, const struct node *node) {
    const struct node *endpoint = node_find(node, "endpoint"), *batch = node_find(node, "batch");
    if (endpoint != NULL && !endpoint->bad && config->endpoint.len > ENDPOINT_BYTES_MAX)
        document_error(document, endpoint, NULL, "is too long; allowed: %d bytes", ENDPOINT_BYTES_MAX);
    else
        url_check(document, config->endpoint, endpoint);
    for (uint32_t i = 0; i < config->header_count; i++) {
        const struct node *item = node_item(node_find(node, "headers"), i);
        check_header(document, &config->headers[i], item);
        if (!item->bad && otlp_header_has_twin(config, i) && !is_same_text(config, i))
            document_error(document, node_find(item, "name"), NULL, "differs from the name of another header in nothing but case");
    }
    if (batch != NULL && !batch->bad && config->batch.max_batch > config->batch.max_queue)
        document_error(document, batch, NULL,
                       "has batches of %u records, of which at most %u can wait; allowed: maxBatchSize of at most maxQueueSize",
                       config->batch.max_batch, config->batch.max_queue);
}

void otlp_check_files(struct document *document, const struct otlp_config *config, const char *block) {
    for (uint32_t i = 0; i < config->header_count; i++) {
        const struct otlp_header *header = &config->headers[i];
        const struct content *content = header->file.len == 0 ? NULL : content_read(document->loading, header->file);
        if (content == NULL || content->text.at == NULL)
            continue; // that it cannot be read has been told
        const struct bytes value = otlp_header_value(content->text);
        if (value.len > 0 && value.len <= VALUE_BYTES_MAX && is_field_value(value))
            continue;
        const struct node *headers = node_find(node_find(node_find(document->spec_node, "telemetry"), block), "headers");
        document_error(document, node_find(node_item(headers, i), "valueFile"), NULL, "%.*s has no value that a header can have",
                       BYTES_FORMAT(header->file));
    }
}

struct bytes otlp_header_value(struct bytes text) {
    while (text.len > 0 && (unsigned char)text.at[text.len - 1] <= ' ')
        text.len--;
    while (text.len > 0 && (unsigned char)text.at[0] <= ' ')
        text = bytes_from(text.at + 1, text.len - 1);
    return text;
}
