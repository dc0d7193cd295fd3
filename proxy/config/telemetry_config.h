// What a proxy tells of its requests: spec.telemetry of a Proxy or of the MeshConfig, and the TelemetryPolicies merged for what they are for. Part of snapshot.h.
#ifndef CONFIG_TELEMETRY_CONFIG_H
#define CONFIG_TELEMETRY_CONFIG_H

#include "base/bytes.h"
#include "config/otlp_config.h"
#include "config/request_key.h"

#include <stdbool.h>
#include <stdint.h>

// Of `denominator` requests, at least 1, `numerator` are meant, at most all.
struct telemetry_share {
    uint32_t numerator, denominator;
};

enum log_filter { LOG_FILTER_ERRORS, LOG_FILTER_ALL, LOG_FILTER_NONE };
enum log_format { LOG_FORMAT_JSON, LOG_FORMAT_TEXT, LOG_FORMAT_OTLP };

// What a push tells of counters and histograms: all since the process began, or since the last push.
enum metrics_temporality { METRICS_CUMULATIVE, METRICS_DELTA };
enum metrics_histograms { METRICS_EXPLICIT, METRICS_EXPONENTIAL };

// What one line has room for.
#define LOGGED_KEYS_MAX 4
#define LOGGED_HEADERS_MAX 4

struct access_log_config {
    struct bytes path; // not of LOG_FORMAT_OTLP, which goes where otlp[OTLP_LOGS] says
    enum log_format format;
    struct bytes template;           // of LOG_FORMAT_TEXT: one that telemetry/access_log takes
    enum log_filter filter;          // where no policy says another one
    struct telemetry_share sampling; // the same
    struct request_key keys;         // by which requests are told apart, as hashes
    struct bytes *headers;           // that are logged as they are
    uint32_t header_count;
};

enum audit_format { AUDIT_FORMAT_JSON, AUDIT_FORMAT_OTLP };

struct audit_log_config {
    bool is_kept;      // else there is none
    struct bytes path; // of AUDIT_FORMAT_JSON; the other goes where otlp[OTLP_LOGS] says
    enum audit_format format;
    bool changes, denials, limits; // what it tells
};

// In which fields requests carry the context of their trace; none set: in none.
struct telemetry_propagators {
    bool tracecontext, baggage, b3, b3_multi, none;
};

// Where what was decided about a request is told.
enum trace_events_place { TRACE_EVENTS_SPAN, TRACE_EVENTS_LOG };

// spec.telemetry. Each block is the Proxy's where it has that block, else the MeshConfig's, else its defaults.
struct telemetry_config {
    struct access_log_config access_log;
    struct audit_log_config audit_log;
    struct otlp_config otlp[OTLP_SIGNALS]; // how each is sent
    struct {
        struct telemetry_share sampling; // of traces that begin here, where no policy says another one
        struct telemetry_propagators propagators;
        enum trace_events_place events;
        struct bytes force_header; // by which a request asks to be recorded; empty: none does
    } traces;
    struct {
        uint32_t max_series;  // of each family of histograms
        nanoseconds interval; // from one push to the next
        enum metrics_temporality temporality;
        enum metrics_histograms histograms;
    } metrics;
};

// ---- what holds for a destination, or for a listener's requests that have none

// Something of a request that is told under a name: an attribute of spans, a label of metrics. As a row: VALUE_LIST of telemetry_attribute_table.
#define TELEMETRY_ATTRIBUTES_MAX 8

struct telemetry_attribute {
    struct request_key_part from; // no cookie, nothing whose name tells of a secret
    struct bytes name;
};

// TelemetryPolicies merged over spec.telemetry: each group is taken whole from the most specific policy that has it.
struct telemetry_rules {
    struct {
        bool is_disabled; // no spans
        struct telemetry_share sampling;
        uint64_t threshold; // the same as telemetry/trace_context's T: worked out once
        const struct telemetry_attribute *attributes;
        uint32_t attribute_count;
    } traces;
    struct {
        enum log_filter filter;
        struct telemetry_share sampling; // of the requests that did not fail
    } access_log;
    struct {
        bool is_disabled; // requests are not counted in histograms
        const struct telemetry_attribute *labels;
        uint32_t label_count;
    } metrics;
};

#endif
