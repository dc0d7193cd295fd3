// Metrics as OTLP has them (opentelemetry-proto metrics/v1): what an exposition writes whose figures go to a collector. The same figures as /metrics, by OpenTelemetry's names:
// those of its conventions where it has one, else `outrigger.` and the name without prefix, unit and `_total`.
//
// Since the process began, or since the last time (delta): then what was told is remembered, for as many series as there are, and what a series that is gone had told is
// taken off the overflow series of its family that it was added to: sums of deltas are exact too. Main thread.
#ifndef TELEMETRY_OTLP_METRICS_H
#define TELEMETRY_OTLP_METRICS_H

#include "telemetry/metrics.h"

struct otlp_metrics_terms {
    bool is_delta;
    bool is_exponential; // histograms of requests, where they are recorded so
};

// `started`: of the process, by the wall clock.
struct otlp_metrics *otlp_metrics_create(nanoseconds started);
void otlp_metrics_destroy(struct otlp_metrics *metrics);

// Begins to write what holds at `now`, by the wall clock; what was written before is dropped. Then all families through `exposition`, as for a page, and exposition_end.
void otlp_metrics_begin(struct otlp_metrics *metrics, struct exposition *exposition, const struct otlp_metrics_terms *terms, nanoseconds now);

// Takes the next of what was written: whole metrics, each field 2 (metrics) of ScopeMetrics with tag and length, at most `most` bytes (64 KiB or more) of them. False: nothing
// is left. `*points`: data points in it. Valid until otlp_metrics_begin.
bool otlp_metrics_next(struct otlp_metrics *metrics, size_t most, struct bytes *records, uint64_t *points);

// The longest record.
#define OTLP_METRIC_MAX 65536

// The name and unit by OpenTelemetry; the name is cut where it does not fit.
#define OTLP_NAME_MAX 128
void otlp_metric_name(const struct metric_family *family, char name[OTLP_NAME_MAX]);
const char *otlp_metric_unit(const struct metric_family *family);

// --- for the writers of expositions ---

void otlp_metrics_family(struct otlp_metrics *metrics, const struct metric_family *family);

// `labels` as exposition_add has them, or constant ones in their final form; one is NULL. A time where `is_seconds`.
void otlp_metrics_number(struct otlp_metrics *metrics, const struct bytes *labels, const char *constant, uint64_t value, bool is_seconds);
void otlp_metrics_histogram(struct otlp_metrics *metrics, const struct histogram_sample *sample);
void otlp_metrics_end(struct otlp_metrics *metrics);

#endif
