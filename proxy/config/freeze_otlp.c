// Where each signal of telemetry is sent and how: what the documents say, then what the OTEL_* variable of the signal says, then the one for all signals, then the defaults
// (OpenTelemetry specification, protocol/exporter.md). A variable that makes no sense is a warning, and counts as not set.
#include "config/otel_filling.h"

#include "config/content.h"
#include "config/resource_otlp.h"
#include "http/headers.h"

// A variable may not make a URL that is longer (url_service.c).
#define URL_BYTES_MAX 2000

static const struct signal_names signals[] = {{OTLP_TRACES, "traces", "TRACES", "v1/traces", "BSP"},
                                              {OTLP_METRICS, "metrics", "METRICS", "v1/metrics", NULL},
                                              {OTLP_LOGS, "logs", "LOGS", "v1/logs", "BLRP"}};

#define SIGNALS (sizeof signals / sizeof signals[0])

// ---- single fields

static bool take_protocol(const struct filling *filling, struct otel_given variable) {
    static const struct {
        struct bytes name;
        enum otlp_protocol protocol;
    } names[] = {{BYTES_OF("http/protobuf"), OTLP_HTTP_PROTOBUF}, {BYTES_OF("grpc"), OTLP_GRPC}, {BYTES_OF("http/json"), OTLP_HTTP_JSON}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (bytes_equal(variable.value, names[i].name)) {
            filling->config->protocol = names[i].protocol;
            return true;
        }
    }
    filling_warn(filling, variable.name, "%.*s is no protocol; allowed: http/protobuf, grpc, http/json", BYTES_FORMAT(variable.value));
    return false;
}

static bool take_compression(const struct filling *filling, struct otel_given variable) {
    const bool is_gzip = bytes_equal(variable.value, BYTES("gzip"));
    if (!is_gzip && !bytes_equal(variable.value, BYTES("none"))) {
        filling_warn(filling, variable.name, "%.*s is no compression; allowed: gzip, none", BYTES_FORMAT(variable.value));
        return false;
    }
    filling->config->compression = is_gzip ? OTLP_COMPRESSION_GZIP : OTLP_COMPRESSION_NONE;
    return true;
}

static bool take_timeout(const struct filling *filling, struct otel_given variable) {
    uint64_t ms;
    if (!filling_read_number(filling, variable, 1, OTLP_MS_MAX, &ms))
        return false;
    filling->config->timeout = ms * NS_PER_MS;
    return true;
}

// OTEL_BSP_..., OTEL_BLRP_...
static bool batch_number(const struct filling *filling, const char *what, const char *field, uint64_t min, uint64_t max, uint64_t *number) {
    const char *name = pool_format(filling->freezing->loading->scratch, "OTEL_%s_%s", filling->names->batch, what).at;
    const struct otel_given variable = filling_variable(filling, name);
    return node_find(node_find(filling->node, "batch"), field) == NULL && filling_read_number(filling, variable, min, max, number);
}

static void fill_batch(const struct filling *filling) {
    struct otlp_batch *batch = &filling->config->batch;
    uint64_t number;
    if (filling->names->batch == NULL)
        return;
    if (batch_number(filling, "SCHEDULE_DELAY", "scheduleDelay", 1, OTLP_MS_MAX, &number))
        batch->schedule_delay = number * NS_PER_MS;
    if (batch_number(filling, "EXPORT_TIMEOUT", "exportTimeout", 1, OTLP_MS_MAX, &number))
        batch->export_timeout = number * NS_PER_MS;
    if (batch_number(filling, "MAX_QUEUE_SIZE", "maxQueueSize", 1, OTLP_RECORDS_MAX, &number))
        batch->max_queue = (uint32_t)number;
    if (batch_number(filling, "MAX_EXPORT_BATCH_SIZE", "maxBatchSize", 1, OTLP_RECORDS_MAX, &number))
        batch->max_batch = (uint32_t)number;
    if (batch->max_batch > batch->max_queue)
        batch->max_batch = batch->max_queue; // of two that come from different places
}

// ---- headers

// The value is a credential: no message has it.
static bool read_header(struct pool *pool, struct bytes pair, struct otlp_header *header) {
    const size_t split = bytes_find(pair, '=');
    *header = (struct otlp_header){.name = pool_copy(pool, bytes_trim(bytes_from(pair.at, split)))};
    if (split == pair.len || !otlp_header_is_free(header->name))
        return false;
    header->value = otel_percent_decode(pool, bytes_trim(bytes_from(pair.at + split + 1, pair.len - split - 1)));
    return header->value.at != NULL && is_field_value(header->value);
}

static void fill_headers(const struct filling *filling) {
    struct otlp_config *config = filling->config;
    const struct otel_given variable = filling_find(filling, "HEADERS");
    struct bytes rest = variable.value, pair;
    if (filling_is_given(filling, "headers") || rest.len == 0)
        return;
    config->headers = pool_alloc_zeroed(filling->freezing->pool, OTLP_HEADERS_MAX * sizeof(config->headers[0]));
    config->header_count = 0;
    for (unsigned number = 1; bytes_next(&rest, ',', &pair); number++) {
        if (config->header_count == OTLP_HEADERS_MAX)
            filling_warn(filling, variable.name, "has more than %d headers: the others are left out", OTLP_HEADERS_MAX);
        else if (read_header(filling->freezing->pool, pair, &config->headers[config->header_count]) &&
                 !otlp_header_has_twin(config, config->header_count))
            config->header_count++;
        else
            filling_warn(filling, variable.name, "header %u is none that may be sent: it is left out", number);
        if (number > OTLP_HEADERS_MAX)
            return;
    }
}

// The documents' own, with what files say.
static void freeze_headers(const struct filling *filling) {
    struct otlp_config *config = filling->config;
    struct otlp_header *headers = pool_alloc_zeroed(filling->freezing->pool, config->header_count * sizeof(headers[0]) + 1);
    for (uint32_t i = 0; i < config->header_count; i++) {
        headers[i] = config->headers[i];
        if (headers[i].file.len > 0) {
            const struct bytes text = otlp_header_value(content_find(filling->freezing->loading, headers[i].file)->text);
            headers[i].value = pool_copy(filling->freezing->pool, text);
        }
    }
    config->headers = headers;
}

// ---- the endpoint

// Where the requests of a signal go whose collector is at `base`: with no path of its own that of the signal.
static struct bytes url_of(const struct filling *filling, struct bytes base, bool is_base) {
    struct pool *pool = filling->freezing->pool;
    const bool has_slash = bytes_ends_with(base, BYTES("/"));
    if (!is_base || filling->config->protocol == OTLP_GRPC) // whose path is that of its method
        return pool_copy(pool, base);
    return pool_format(pool, "%.*s%s%s", BYTES_FORMAT(base), has_slash ? "" : "/", filling->names->path);
}

// Of an endpoint of documents: it is a base where it has no path.
static bool is_without_path(struct bytes url) {
    const size_t scheme = bytes_starts_with(url, BYTES("https://")) ? 8 : 7;
    const struct bytes rest = bytes_from(url.at + scheme, url.len - scheme);
    return bytes_find(rest, '/') + 1 >= rest.len;
}

static bool is_switched_off(const struct filling *filling) {
    const struct loading *loading = filling->freezing->loading;
    const char *name = pool_format(loading->scratch, "OTEL_%s_EXPORTER", filling->names->variable).at;
    const struct bytes exporter = otel_variable(loading->environment, name);
    // Somebody who names another exporter wants no OTLP. Metrics can be read by Prometheus whatever is said here.
    const bool is_other =
        bytes_equal(exporter, BYTES("console")) || bytes_equal(exporter, BYTES("logging")) || bytes_equal(exporter, BYTES("zipkin"));
    const bool is_scraped = filling->names->signal == OTLP_METRICS && bytes_equal(exporter, BYTES("prometheus"));
    const bool is_none = bytes_equal(exporter, BYTES("none")) || is_scraped;
    if (exporter.len > 0 && !bytes_equal(exporter, BYTES("otlp")) && !is_none)
        filling_warn(filling, name, "%.*s is no exporter that there is here; allowed: otlp, none%s", BYTES_FORMAT(exporter),
                     filling->names->signal == OTLP_METRICS ? ", prometheus" : "");
    return is_none || is_other || otel_variable_is_true(loading->environment, "OTEL_SDK_DISABLED");
}

// One of gRPC may have no scheme: then OTEL_EXPORTER_OTLP_INSECURE says which.
static struct bytes with_scheme(const struct filling *filling, struct bytes value) {
    if (filling->config->protocol != OTLP_GRPC || bytes_starts_with(value, BYTES("http://")) || bytes_starts_with(value, BYTES("https://")))
        return value;
    const bool is_insecure = bytes_equal_nocase(filling_find(filling, "INSECURE").value, BYTES("true"));
    return pool_format(filling->freezing->pool, "%s://%.*s", is_insecure ? "http" : "https", BYTES_FORMAT(value));
}

static bool take_endpoint(const struct filling *filling, struct otel_given variable) {
    const struct bytes text = url_of(filling, with_scheme(filling, variable.value), variable.is_general);
    struct service_url url;
    const char *wrong;
    if (text.len > URL_BYTES_MAX || !url_parse(text, filling->freezing->loading->scratch, &url, &wrong)) {
        // Which text it is stays unsaid: it may have a password in it.
        filling_warn(filling, variable.name, "is no URL that can be asked; allowed: http:// or https://, a host with or without port, a path");
        return false;
    }
    filling->config->endpoint = text;
    filling->config->url_text = text;
    return true;
}

static void fill_endpoint(const struct filling *filling) {
    struct otlp_config *config = filling->config;
    if (config->endpoint.len > 0)
        config->url_text = url_of(filling, config->endpoint, is_without_path(config->endpoint));
    else if (!filling_is_given(filling, "endpoint") && filling_find(filling, "ENDPOINT").value.len > 0 && !is_switched_off(filling))
        filling_take_first(filling, "ENDPOINT", take_endpoint);
}

// What of these is set says that somebody relies on it: the collector would not be reached, or not as is meant.
static void warn_of_files(const struct filling *filling) {
    static const char *const files[] = {"CERTIFICATE", "CLIENT_KEY", "CLIENT_CERTIFICATE"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        const struct otel_given variable = filling_find(filling, files[i]);
        if (variable.value.len > 0)
            filling_warn(filling, variable.name,
                         i == 0 ? "is not read; a ServiceEntry with the endpoint's host says by tls {mode: Simple, caCertificates} whom to trust"
                                : "is not read; a collector in the mesh, with a ServiceEntry of tls {mode: Mesh}, is reached by mutual TLS");
    }
}

// ---- all

// What nobody would send is not asked for either.
static bool sends_logs(const struct telemetry_config *telemetry) {
    return telemetry->traces.events == TRACE_EVENTS_LOG || telemetry->access_log.format == LOG_FORMAT_OTLP ||
           (telemetry->audit_log.is_kept && telemetry->audit_log.format == AUDIT_FORMAT_OTLP);
}

void freeze_otlp(struct freezing *freezing, const struct document *mesh) {
    const struct loading *loading = freezing->loading;
    bool is_any_sent = false;
    for (size_t i = 0; i < SIGNALS; i++) {
        if (signals[i].signal == OTLP_LOGS && !sends_logs(&freezing->snapshot->proxy.telemetry))
            continue;
        const struct filling filling = {.freezing = freezing,
                                        .names = &signals[i],
                                        .node = mesh_fields_telemetry(freezing->proxy, mesh, signals[i].block),
                                        .config = &freezing->snapshot->proxy.telemetry.otlp[signals[i].signal]};
        freeze_headers(&filling);
        if (!filling_is_given(&filling, "protocol"))
            filling_take_first(&filling, "PROTOCOL", take_protocol);
        if (!filling_is_given(&filling, "compression"))
            filling_take_first(&filling, "COMPRESSION", take_compression);
        fill_headers(&filling);
        if (!filling_is_given(&filling, "timeout"))
            filling_take_first(&filling, "TIMEOUT", take_timeout);
        fill_batch(&filling);
        fill_endpoint(&filling);
        if (filling.config->url_text.len > 0)
            warn_of_files(&filling);
        filling_own(&filling);
        is_any_sent |= filling.config->url_text.len > 0;
        if (i == 0 && otel_variable(loading->environment, "OTEL_CONFIG_FILE").len > 0)
            filling_warn(&filling, "OTEL_CONFIG_FILE",
                         "is not read, and no other OTEL_* variable is either, as OpenTelemetry has it; documents say it all");
    }
    if (is_any_sent)
        filling_resource(&(const struct filling){.freezing = freezing});
}

void freeze_otlp_urls(struct freezing *freezing) {
    for (size_t i = 0; i < SIGNALS; i++) {
        struct otlp_config *config = &freezing->snapshot->proxy.telemetry.otlp[signals[i].signal];
        config->url = config->url_text.len == 0 ? NULL : freeze_url(freezing, config->url_text);
    }
}
