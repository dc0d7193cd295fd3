// OpenTelemetry's names of labels, and what it knows of our families. Part of otlp_metrics.h, for it alone.
#ifndef TELEMETRY_OTLP_NAMES_H
#define TELEMETRY_OTLP_NAMES_H

#include "telemetry/metrics.h"

#define OTLP_OVERFLOW_LABEL "otel_metric_overflow"

enum otlp_key_type { OTLP_KEY_TEXT, OTLP_KEY_NUMBER, OTLP_KEY_TRUE };

struct otlp_key {
    const char *label, *key;
    enum otlp_key_type type; // of its value
};

// A label that has no other name keeps its own.
struct otlp_key otlp_key_of(const char *label);

// Whether it is told as a Gauge: what we call one is for OpenTelemetry a sum that may fall (UpDownCounter) where its conventions say so.
bool otlp_is_gauge(const struct metric_family *family);

// Whether it has one series for what leaves the others.
bool otlp_has_overflow(const struct metric_family *family);

#endif
