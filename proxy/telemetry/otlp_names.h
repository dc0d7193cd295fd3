// OpenTelemetry's names of labels. Part of otlp_metrics.h, for it alone.
#ifndef TELEMETRY_OTLP_NAMES_H
#define TELEMETRY_OTLP_NAMES_H

#define OTLP_OVERFLOW_LABEL "otel_metric_overflow"

enum otlp_key_type { OTLP_KEY_TEXT, OTLP_KEY_NUMBER, OTLP_KEY_TRUE };

struct otlp_key {
    const char *label, *key;
    enum otlp_key_type type; // of its value
};

// A label that has no other name keeps its own.
struct otlp_key otlp_key_of(const char *label);

#endif
