// One data point of OTLP's metrics (opentelemetry-proto metrics/v1) as bytes: its fields, without tag and length of its own. Part of otlp_metrics.h, for it alone. Pure: all write
// at `at` and return what is behind it; OTLP_POINT_MAX bytes are enough for all fields of a point together.
#ifndef TELEMETRY_OTLP_POINTS_H
#define TELEMETRY_OTLP_POINTS_H

#include "telemetry/exponential_histogram.h"
#include "telemetry/histogram_sample.h"
#include "telemetry/otlp_names.h"

// 17 attributes of a text each, an exponential histogram (160 counts of at most 10 bytes), 15 exemplars.
#define OTLP_POINT_MAX 32768

enum otlp_point { OTLP_POINT_NUMBER, OTLP_POINT_EXPLICIT, OTLP_POINT_EXPONENTIAL };

// An attribute of a series. A number or a truth where the key's values are such.
char *otlp_point_attribute(char *at, const char *end, struct otlp_key key, struct bytes value);

// Attributes, as they were written, become those of a point of this kind: kinds number the field differently.
void otlp_point_set_kind(char *at, const char *end, enum otlp_point kind);

char *otlp_point_times(char *at, nanoseconds begun, nanoseconds now);

// A time where `is_seconds`.
char *otlp_point_value(char *at, uint64_t value, bool is_seconds);

// Count, sum and buckets; those of turns where `are_turns`.
char *otlp_point_explicit(char *at, const uint64_t buckets[DURATION_BUCKETS], nanoseconds sum, bool are_turns);
char *otlp_point_exponential(char *at, const struct exponential_histogram *histogram, nanoseconds sum);

// Those after `since`.
char *otlp_point_exemplars(char *at, enum otlp_point kind, const struct histogram_sample *sample, nanoseconds since);

#endif
