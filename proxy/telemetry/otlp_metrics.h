// Metrics as OTLP has them (opentelemetry-proto metrics/v1): what an exposition writes whose figures go to a collector. The same figures as /metrics, by OpenTelemetry's names:
// those of its conventions where it has one, else `outrigger.` and the name without prefix, unit and `_total`.
//
// Since the process began, or since the last time (delta): then what was told is remembered, for as many series as there are (otlp_told.h); sums of deltas are exact whatever series
// come and go. What was not taken is told once more with what comes. Main thread.
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

// Begins to write what was asked for at `asked` and holds at `now`, by the wall clock. Of what was written before nothing is left: it was taken, or dropped. Then all families through
// `exposition`, as for a page, and exposition_end. Where it was cumulative before, the first time that delta is wanted is cumulative once more: deltas begin at what it tells.
void otlp_metrics_begin(struct otlp_metrics *metrics, struct exposition *exposition, const struct otlp_metrics_terms *terms, nanoseconds asked,
                        nanoseconds now);

// A piece has no more bytes than this: what is made of it in one go (compressed, printed as JSON) takes the main thread some milliseconds.
#define OTLP_METRICS_PIECE_MAX (256U * 1024)

// The next piece of what was written: whole metrics, each field 2 (metrics) of ScopeMetrics with tag and length. False: none is left. Valid until otlp_metrics_settle, which says what
// became of it before the next one is asked for. `*points`: data points in it.
bool otlp_metrics_next(struct otlp_metrics *metrics, struct bytes *records, uint64_t *points);
void otlp_metrics_settle(struct otlp_metrics *metrics, bool is_taken);

// Points in pieces that nobody asked for yet; and drops those.
uint64_t otlp_metrics_left(const struct otlp_metrics *metrics);
void otlp_metrics_drop(struct otlp_metrics *metrics);

// The name and unit by OpenTelemetry; the name is cut where it does not fit.
#define OTLP_NAME_MAX 128
void otlp_metric_name(const struct metric_family *family, char name[OTLP_NAME_MAX]);
const char *otlp_metric_unit(const struct metric_family *family);

// --- for the writers of expositions ---

void otlp_metrics_family(struct otlp_metrics *metrics, const struct metric_family *family);

// `labels` as exposition_add has them, or constant ones in their final form. A time where `is_seconds`.
void otlp_metrics_number(struct otlp_metrics *metrics, const struct bytes *labels, uint64_t value, bool is_seconds);
void otlp_metrics_constant(struct otlp_metrics *metrics, const char *labels, uint64_t value, bool is_seconds);

// A counter as exposition_add_since has it.
void otlp_metrics_since(struct otlp_metrics *metrics, const struct bytes *labels, uint64_t value, nanoseconds begun);
void otlp_metrics_histogram(struct otlp_metrics *metrics, const struct histogram_sample *sample);
void otlp_metrics_end(struct otlp_metrics *metrics);

#endif
