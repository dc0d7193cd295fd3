// Where each signal of telemetry is sent and how: what the documents say, then what the OTEL_* variable of the signal says, then the one for all signals, then the defaults
// (OpenTelemetry specification, protocol/exporter.md). A variable that makes no sense is a warning, and counts as not set.
#include "config/freeze_private.h"

#include "config/content.h"
#include "config/resource_otlp.h"
#include "http/headers.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

// As a place in messages.
#define ENVIRONMENT "environment"

// A variable may not make a URL that is longer (url_service.c).
#define URL_BYTES_MAX 2000

// The signals that are sent. What a document calls one, and what variables do.
static const struct signal_names {
    enum otlp_signal signal;
    const char *block, *variable, *path;
    const char *batch; // OTEL_BSP_...; NULL: it is not sent in batches
} signals[] = {{OTLP_TRACES, "traces", "TRACES", "v1/traces", "BSP"},
               {OTLP_METRICS, "metrics", "METRICS", "v1/metrics", NULL},
               {OTLP_LOGS, "logs", "LOGS", "v1/logs", "BLRP"}};

#define SIGNALS (sizeof signals / sizeof signals[0])

struct filling {
    struct freezing *freezing;
    const struct signal_names *names;
    const struct node *node; // of the documents' block; NULL: there is none
    struct otlp_config *config;
};

struct variable {
    const char *name;
    struct bytes value; // empty: not set
    bool is_general;    // it is for all signals
};

// A variable for all signals is told once.
static bool is_told(const struct config_errors *warnings, const char *name, const char *text) {
    for (uint32_t i = 0; i < warnings->count; i++)
        if (strstr(warnings->lines[i], name) != NULL && strstr(warnings->lines[i], text) != NULL)
            return true;
    return false;
}

__attribute__((format(printf, 3, 4))) static void warn(const struct filling *filling, const char *name, const char *format, ...) {
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    struct config_errors *warnings = filling->freezing->loading->warnings;
    if (!is_told(warnings, name, text))
        config_errors_add(warnings, (struct place){ENVIRONMENT, 0}, NULL, name, "%s", text);
}

// OTEL_EXPORTER_OTLP_..., of the signal or for all.
static struct variable find_one(const struct filling *filling, const char *what, bool is_general) {
    struct pool *scratch = filling->freezing->loading->scratch;
    struct variable variable = {.is_general = is_general};
    variable.name = is_general ? pool_format(scratch, "OTEL_EXPORTER_OTLP_%s", what).at
                               : pool_format(scratch, "OTEL_EXPORTER_OTLP_%s_%s", filling->names->variable, what).at;
    variable.value = otel_variable(filling->freezing->loading->environment, variable.name);
    return variable;
}

// That of the signal before that of all.
static struct variable find(const struct filling *filling, const char *what) {
    const struct variable own = find_one(filling, what, false);
    return own.value.len > 0 ? own : find_one(filling, what, true);
}

// The same where that of the signal counts as not set if it makes no sense: `take` warns then, and returns false.
static void take_first(const struct filling *filling, const char *what, bool (*take)(const struct filling *filling, struct variable variable)) {
    for (int i = 0; i < 2; i++) {
        const struct variable variable = find_one(filling, what, i == 1);
        if (variable.value.len > 0 && take(filling, variable))
            return;
    }
}

static bool is_given(const struct filling *filling, const char *field) {
    return node_find(filling->node, field) != NULL;
}

// ---- single fields

static bool take_protocol(const struct filling *filling, struct variable variable) {
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
    warn(filling, variable.name, "%.*s is no protocol; allowed: http/protobuf, grpc, http/json", BYTES_FORMAT(variable.value));
    return false;
}

static bool take_compression(const struct filling *filling, struct variable variable) {
    const bool is_gzip = bytes_equal(variable.value, BYTES("gzip"));
    if (!is_gzip && !bytes_equal(variable.value, BYTES("none"))) {
        warn(filling, variable.name, "%.*s is no compression; allowed: gzip, none", BYTES_FORMAT(variable.value));
        return false;
    }
    filling->config->compression = is_gzip ? OTLP_COMPRESSION_GZIP : OTLP_COMPRESSION_NONE;
    return true;
}

// A number from `min` to `max`. False: it is not set, or none.
static bool read_number(const struct filling *filling, struct variable variable, uint64_t min, uint64_t max, uint64_t *number) {
    if (variable.value.len == 0)
        return false;
    if (bytes_to_u64(variable.value, max, number) && *number >= min)
        return true;
    warn(filling, variable.name, "%.*s is no number from %llu to %llu", BYTES_FORMAT(variable.value), (unsigned long long)min,
         (unsigned long long)max);
    return false;
}

#define MS_MAX 3600000 // as of the fields of documents
#define RECORDS_MAX 65536

static bool take_timeout(const struct filling *filling, struct variable variable) {
    uint64_t ms;
    if (!read_number(filling, variable, 1, MS_MAX, &ms))
        return false;
    filling->config->timeout = ms * NS_PER_MS;
    return true;
}

// OTEL_BSP_..., OTEL_BLRP_...
static bool batch_number(const struct filling *filling, const char *what, const char *field, uint64_t min, uint64_t max, uint64_t *number) {
    struct freezing *freezing = filling->freezing;
    struct variable variable = {.name = pool_format(freezing->loading->scratch, "OTEL_%s_%s", filling->names->batch, what).at};
    variable.value = otel_variable(freezing->loading->environment, variable.name);
    return node_find(node_find(filling->node, "batch"), field) == NULL && read_number(filling, variable, min, max, number);
}

static void fill_batch(const struct filling *filling) {
    struct otlp_batch *batch = &filling->config->batch;
    uint64_t number;
    if (filling->names->batch == NULL)
        return;
    if (batch_number(filling, "SCHEDULE_DELAY", "scheduleDelay", 1, MS_MAX, &number))
        batch->schedule_delay = number * NS_PER_MS;
    if (batch_number(filling, "EXPORT_TIMEOUT", "exportTimeout", 1, MS_MAX, &number))
        batch->export_timeout = number * NS_PER_MS;
    if (batch_number(filling, "MAX_QUEUE_SIZE", "maxQueueSize", 1, RECORDS_MAX, &number))
        batch->max_queue = (uint32_t)number;
    if (batch_number(filling, "MAX_EXPORT_BATCH_SIZE", "maxBatchSize", 1, RECORDS_MAX, &number))
        batch->max_batch = (uint32_t)number;
    if (batch->max_batch > batch->max_queue)
        batch->max_batch = batch->max_queue; // of two that come from different places
}

// One of some words, in any case; `number` of them. False: it is not set, or none of them.
static bool read_word(const struct filling *filling, struct variable variable, const char *const *words, uint32_t number, uint32_t *which) {
    for (*which = 0; variable.value.len > 0 && *which < number; (*which)++)
        if (bytes_equal_nocase(variable.value, bytes_from_text(words[*which])))
            return true;
    if (variable.value.len > 0)
        warn(filling, variable.name, "%.*s is none of its words; the first of them is %s", BYTES_FORMAT(variable.value), words[0]);
    return false;
}

// What metrics alone have (metrics/sdk_exporters/otlp.md).
static void fill_metrics(const struct filling *filling) {
    static const char *const temporalities[] = {"cumulative", "delta", "lowmemory"}; // the last: delta, for all kinds that we have
    static const char *const aggregations[] = {"explicit_bucket_histogram", "base2_exponential_bucket_histogram"};
    struct telemetry_config *telemetry = &filling->freezing->snapshot->proxy.telemetry;
    const struct otel_environment *environment = filling->freezing->loading->environment;
    struct variable interval = {.name = "OTEL_METRIC_EXPORT_INTERVAL"}, timeout = {.name = "OTEL_METRIC_EXPORT_TIMEOUT"};
    uint64_t ms;
    uint32_t which;
    if (filling->names->signal != OTLP_METRICS)
        return;
    interval.value = otel_variable(environment, interval.name);
    if (!is_given(filling, "interval") && read_number(filling, interval, 100, MS_MAX, &ms))
        telemetry->metrics.interval = ms * NS_PER_MS;
    timeout.value = otel_variable(environment, timeout.name);
    if (!is_given(filling, "exportTimeout") && read_number(filling, timeout, 1, MS_MAX, &ms))
        filling->config->batch.export_timeout = ms * NS_PER_MS;
    if (!is_given(filling, "temporality") && read_word(filling, find(filling, "TEMPORALITY_PREFERENCE"), temporalities, 3, &which))
        telemetry->metrics.temporality = which == 0 ? METRICS_CUMULATIVE : METRICS_DELTA;
    if (!is_given(filling, "histograms") && read_word(filling, find(filling, "DEFAULT_HISTOGRAM_AGGREGATION"), aggregations, 2, &which))
        telemetry->metrics.histograms = which == 0 ? METRICS_EXPLICIT : METRICS_EXPONENTIAL;
}

// ---- headers

// As in the baggage of W3C: %20 stands for a space. BYTES_NONE: it is no such text.
static struct bytes percent_decode(struct pool *pool, struct bytes text) {
    char *decoded = pool_alloc(pool, text.len + 1);
    size_t length = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] != '%') {
            decoded[length++] = text.at[i];
            continue;
        }
        const int octet = bytes_octet_of_hex(bytes_from(text.at + i + 1, text.len - i - 1));
        if (octet < 0)
            return BYTES_NONE;
        decoded[length++] = (char)octet;
        i += 2;
    }
    return bytes_from(decoded, length);
}

// The value is a credential: no message has it.
static bool read_header(struct pool *pool, struct bytes pair, struct otlp_header *header) {
    const size_t split = bytes_find(pair, '=');
    *header = (struct otlp_header){.name = pool_copy(pool, bytes_trim(bytes_from(pair.at, split)))};
    if (split == pair.len || !otlp_header_is_free(header->name))
        return false;
    header->value = percent_decode(pool, bytes_trim(bytes_from(pair.at + split + 1, pair.len - split - 1)));
    return header->value.at != NULL && is_field_value(header->value);
}

static void fill_headers(const struct filling *filling) {
    struct otlp_config *config = filling->config;
    const struct variable variable = find(filling, "HEADERS");
    struct bytes rest = variable.value, pair;
    if (is_given(filling, "headers") || rest.len == 0)
        return;
    config->headers = pool_alloc_zeroed(filling->freezing->pool, OTLP_HEADERS_MAX * sizeof(config->headers[0]));
    config->header_count = 0;
    for (unsigned number = 1; bytes_next(&rest, ',', &pair); number++) {
        if (config->header_count == OTLP_HEADERS_MAX)
            warn(filling, variable.name, "has more than %d headers: the others are left out", OTLP_HEADERS_MAX);
        else if (read_header(filling->freezing->pool, pair, &config->headers[config->header_count]) &&
                 !otlp_header_has_twin(config, config->header_count))
            config->header_count++;
        else
            warn(filling, variable.name, "header %u is none that may be sent: it is left out", number);
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
        warn(filling, name, "%.*s is no exporter that there is here; allowed: otlp, none%s", BYTES_FORMAT(exporter),
             filling->names->signal == OTLP_METRICS ? ", prometheus" : "");
    return is_none || is_other || otel_variable_is_true(loading->environment, "OTEL_SDK_DISABLED");
}

// One of gRPC may have no scheme: then OTEL_EXPORTER_OTLP_INSECURE says which.
static struct bytes with_scheme(const struct filling *filling, struct bytes value) {
    if (filling->config->protocol != OTLP_GRPC || bytes_starts_with(value, BYTES("http://")) || bytes_starts_with(value, BYTES("https://")))
        return value;
    const bool is_insecure = bytes_equal_nocase(find(filling, "INSECURE").value, BYTES("true"));
    return pool_format(filling->freezing->pool, "%s://%.*s", is_insecure ? "http" : "https", BYTES_FORMAT(value));
}

static bool take_endpoint(const struct filling *filling, struct variable variable) {
    const struct bytes text = url_of(filling, with_scheme(filling, variable.value), variable.is_general);
    struct service_url url;
    const char *wrong;
    if (text.len > URL_BYTES_MAX || !url_parse(text, filling->freezing->loading->scratch, &url, &wrong)) {
        // Which text it is stays unsaid: it may have a password in it.
        warn(filling, variable.name, "is no URL that can be asked; allowed: http:// or https://, a host with or without port, a path");
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
    else if (!is_given(filling, "endpoint") && find(filling, "ENDPOINT").value.len > 0 && !is_switched_off(filling))
        take_first(filling, "ENDPOINT", take_endpoint);
}

// What of these is set says that somebody relies on it: the collector would not be reached, or not as is meant.
static void warn_of_files(const struct filling *filling) {
    static const char *const files[] = {"CERTIFICATE", "CLIENT_KEY", "CLIENT_CERTIFICATE"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        const struct variable variable = find(filling, files[i]);
        if (variable.value.len > 0)
            warn(filling, variable.name,
                 i == 0 ? "is not read; a ServiceEntry with the endpoint's host says by tls {mode: Simple, caCertificates} whom to trust"
                        : "is not read; a collector in the mesh, with a ServiceEntry of tls {mode: Mesh}, is reached by mutual TLS");
    }
}

// What a span has room for is the same everywhere (telemetry/span.h), and so are the methods that have names.
static void warn_of_span_rules(const struct filling *filling) {
    static const char *const names[] = {
        "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "OTEL_SPAN_EVENT_COUNT_LIMIT",
        "OTEL_SPAN_LINK_COUNT_LIMIT",      "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT",       "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT",
        "OTEL_ATTRIBUTE_COUNT_LIMIT",      "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",      "OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (otel_variable(filling->freezing->loading->environment, names[i]).len > 0)
            warn(filling, names[i], "is not read; what spans have room for, and which methods have names, is the same in all proxies");
}

// ---- traces

static void fill_propagators(const struct filling *filling, struct telemetry_propagators *propagators) {
    static const char *const name = "OTEL_PROPAGATORS";
    struct bytes rest = otel_variable(filling->freezing->loading->environment, name), word;
    struct telemetry_propagators given = {0};
    bool is_known = rest.len > 0;
    const struct {
        struct bytes word;
        bool *is_given;
    } words[] = {{BYTES("tracecontext"), &given.tracecontext},
                 {BYTES("baggage"), &given.baggage},
                 {BYTES("b3"), &given.b3},
                 {BYTES("b3multi"), &given.b3_multi},
                 {BYTES("none"), &given.none}};
    if (is_given(filling, "propagators") || rest.len == 0)
        return;
    while (is_known && bytes_next(&rest, ',', &word)) {
        size_t i = 0;
        while (i < sizeof words / sizeof words[0] && !bytes_equal(word, words[i].word))
            i++;
        is_known = i < sizeof words / sizeof words[0];
        if (is_known)
            *words[i].is_given = true;
        else
            warn(filling, name, "%.*s is no propagator; allowed: tracecontext, baggage, b3, b3multi, none", BYTES_FORMAT(word));
    }
    if (is_known)
        *propagators = given;
}

#define SHARE_OF 1000000

// A number from 0 to 1; by default 1.
static bool read_ratio(const struct filling *filling, uint32_t *share) {
    static const char *const name = "OTEL_TRACES_SAMPLER_ARG";
    const struct bytes value = otel_variable(filling->freezing->loading->environment, name);
    const struct bytes text = pool_copy(filling->freezing->loading->scratch, value);
    char *end;
    const double ratio = value.len == 0 ? 1.0 : strtod(text.at, &end);
    if (value.len > 0 && (end != text.at + text.len || !(ratio >= 0.0 && ratio <= 1.0))) {
        warn(filling, name, "%.*s is no number from 0 to 1", BYTES_FORMAT(value));
        return false;
    }
    *share = (uint32_t)(ratio * SHARE_OF + 0.5);
    return true;
}

// Whoever began a trace has decided about it: samplers that are not parent-based are none of ours.
static void fill_sampling(const struct filling *filling, struct telemetry_share *sampling) {
    static const char *const name = "OTEL_TRACES_SAMPLER";
    const struct bytes value = otel_variable(filling->freezing->loading->environment, name);
    uint32_t share = SHARE_OF;
    if (is_given(filling, "sampling") || value.len == 0)
        return;
    if (bytes_equal(value, BYTES("parentbased_always_off"))) {
        share = 0;
    } else if (bytes_equal(value, BYTES("parentbased_traceidratio"))) {
        if (!read_ratio(filling, &share))
            return;
    } else if (!bytes_equal(value, BYTES("parentbased_always_on"))) {
        warn(filling, name, "%.*s is no sampler of a proxy; allowed: parentbased_always_on, parentbased_always_off, parentbased_traceidratio",
             BYTES_FORMAT(value));
        return;
    }
    *sampling = (struct telemetry_share){.numerator = share, .denominator = SHARE_OF};
}

// ---- all

// What nobody would send is not asked for either.
static bool sends_logs(const struct telemetry_config *telemetry) {
    return telemetry->traces.events == TRACE_EVENTS_LOG || telemetry->access_log.format == LOG_FORMAT_OTLP ||
           (telemetry->audit_log.is_kept && telemetry->audit_log.format == AUDIT_FORMAT_OTLP);
}

void freeze_otlp(struct freezing *freezing, const struct document *mesh) {
    const struct loading *loading = freezing->loading;
    for (size_t i = 0; i < SIGNALS; i++) {
        if (signals[i].signal == OTLP_LOGS && !sends_logs(&freezing->snapshot->proxy.telemetry))
            continue;
        const struct filling filling = {.freezing = freezing,
                                        .names = &signals[i],
                                        .node = mesh_fields_telemetry(freezing->proxy, mesh, signals[i].block),
                                        .config = &freezing->snapshot->proxy.telemetry.otlp[signals[i].signal]};
        freeze_headers(&filling);
        if (!is_given(&filling, "protocol"))
            take_first(&filling, "PROTOCOL", take_protocol);
        if (!is_given(&filling, "compression"))
            take_first(&filling, "COMPRESSION", take_compression);
        fill_headers(&filling);
        if (!is_given(&filling, "timeout"))
            take_first(&filling, "TIMEOUT", take_timeout);
        fill_batch(&filling);
        fill_metrics(&filling);
        fill_endpoint(&filling);
        if (filling.config->url_text.len > 0)
            warn_of_files(&filling);
        if (signals[i].signal == OTLP_TRACES) {
            fill_propagators(&filling, &freezing->snapshot->proxy.telemetry.traces.propagators);
            fill_sampling(&filling, &freezing->snapshot->proxy.telemetry.traces.sampling);
        }
        if (signals[i].signal == OTLP_TRACES)
            warn_of_span_rules(&filling);
        if (i == 0 && otel_variable(loading->environment, "OTEL_CONFIG_FILE").len > 0)
            warn(&filling, "OTEL_CONFIG_FILE", "is not read, and no other OTEL_* variable is either, as OpenTelemetry has it; documents say it all");
    }
}

void freeze_otlp_urls(struct freezing *freezing) {
    for (size_t i = 0; i < SIGNALS; i++) {
        struct otlp_config *config = &freezing->snapshot->proxy.telemetry.otlp[signals[i].signal];
        config->url = config->url_text.len == 0 ? NULL : freeze_url(freezing, config->url_text);
    }
}
