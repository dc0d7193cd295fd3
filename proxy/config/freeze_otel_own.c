// What OTEL_* variables say of one signal alone, and of who tells (OpenTelemetry specification, configuration/sdk-environment-variables.md). See otel_filling.h.
#include "config/otel_filling.h"

#include "config/otel_resource.h"

#include <stdlib.h>

// ---- metrics

// What metrics alone have (metrics/sdk_exporters/otlp.md).
static void fill_metrics(const struct filling *filling) {
    static const char *const temporalities[] = {"cumulative", "delta", "lowmemory"}; // the last: delta, for all kinds that we have
    static const char *const aggregations[] = {"explicit_bucket_histogram", "base2_exponential_bucket_histogram"};
    struct telemetry_config *telemetry = &filling->freezing->snapshot->proxy.telemetry;
    const struct otel_given interval = filling_variable(filling, "OTEL_METRIC_EXPORT_INTERVAL");
    const struct otel_given timeout = filling_variable(filling, "OTEL_METRIC_EXPORT_TIMEOUT");
    uint64_t ms;
    uint32_t which;
    if (!filling_is_given(filling, "interval") && filling_read_number(filling, interval, 100, OTLP_MS_MAX, &ms))
        telemetry->metrics.interval = ms * NS_PER_MS;
    if (!filling_is_given(filling, "exportTimeout") && filling_read_number(filling, timeout, 1, OTLP_MS_MAX, &ms))
        filling->config->batch.export_timeout = ms * NS_PER_MS;
    if (!filling_is_given(filling, "temporality") &&
        filling_read_word(filling, filling_find(filling, "TEMPORALITY_PREFERENCE"), temporalities, 3, &which))
        telemetry->metrics.temporality = which == 0 ? METRICS_CUMULATIVE : METRICS_DELTA;
    if (!filling_is_given(filling, "histograms") &&
        filling_read_word(filling, filling_find(filling, "DEFAULT_HISTOGRAM_AGGREGATION"), aggregations, 2, &which))
        telemetry->metrics.histograms = which == 0 ? METRICS_EXPLICIT : METRICS_EXPONENTIAL;
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
    if (filling_is_given(filling, "propagators") || rest.len == 0)
        return;
    while (is_known && bytes_next(&rest, ',', &word)) {
        size_t i = 0;
        while (i < sizeof words / sizeof words[0] && !bytes_equal(word, words[i].word))
            i++;
        is_known = i < sizeof words / sizeof words[0];
        if (is_known)
            *words[i].is_given = true;
        else
            filling_warn(filling, name, "%.*s is no propagator; allowed: tracecontext, baggage, b3, b3multi, none", BYTES_FORMAT(word));
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
        filling_warn(filling, name, "%.*s is no number from 0 to 1", BYTES_FORMAT(value));
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
    if (filling_is_given(filling, "sampling") || value.len == 0)
        return;
    if (bytes_equal(value, BYTES("parentbased_always_off"))) {
        share = 0;
    } else if (bytes_equal(value, BYTES("parentbased_traceidratio"))) {
        if (!read_ratio(filling, &share))
            return;
    } else if (!bytes_equal(value, BYTES("parentbased_always_on"))) {
        filling_warn(filling, name, "%.*s is no sampler of a proxy; allowed: parentbased_always_on, parentbased_always_off, parentbased_traceidratio",
                     BYTES_FORMAT(value));
        return;
    }
    *sampling = (struct telemetry_share){.numerator = share, .denominator = SHARE_OF};
}

// What a span has room for is the same everywhere (telemetry/span.h), and so are the methods that have names.
static void warn_of_span_rules(const struct filling *filling) {
    static const char *const names[] = {
        "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "OTEL_SPAN_EVENT_COUNT_LIMIT",
        "OTEL_SPAN_LINK_COUNT_LIMIT",      "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT",       "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT",
        "OTEL_ATTRIBUTE_COUNT_LIMIT",      "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",      "OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (otel_variable(filling->freezing->loading->environment, names[i]).len > 0)
            filling_warn(filling, names[i], "is not read; what spans have room for, and which methods have names, is the same in all proxies");
}

// ---- all

void filling_own(const struct filling *filling) {
    struct telemetry_config *telemetry = &filling->freezing->snapshot->proxy.telemetry;
    if (filling->names->signal == OTLP_METRICS)
        fill_metrics(filling);
    if (filling->names->signal != OTLP_TRACES)
        return;
    fill_propagators(filling, &telemetry->traces.propagators);
    fill_sampling(filling, &telemetry->traces.sampling);
    warn_of_span_rules(filling);
}

void filling_resource(const struct filling *filling) {
    struct otel_attributes attributes;
    if (!otel_resource_read(filling->freezing->loading->environment, filling->freezing->loading->scratch, &attributes))
        filling_warn(filling, OTEL_RESOURCE_VARIABLE,
                     "one of its attributes cannot be read: none of them is told; allowed: key=value,key=value, percent-encoded UTF-8");
}
