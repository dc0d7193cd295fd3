// What the writers of a page of metrics share. Part of metrics.h, for them alone.
#ifndef TELEMETRY_EXPOSITION_TEXT_H
#define TELEMETRY_EXPOSITION_TEXT_H

#include "base/bytes.h"
#include "base/clock.h"

#include <stddef.h>
#include <stdint.h>

// A label value longer than this is cut: service names and identities are bounded by their kinds, so that this is a last resort (lists of files are not).
#define LABEL_VALUE_MAX 512

// Writes the value as it stands between quotes; returns its end. One that is cut ends with `...` and a hash of all of it: two that are alike in front remain two series.
char *exposition_label_text(char text[LABEL_VALUE_MAX], struct bytes value);

#define NUMBER_TEXT_MAX 32

// Return the length; no NUL. Seconds have as many decimals as there are: exact, where a double would round long sums.
size_t exposition_number_text(char text[NUMBER_TEXT_MAX], uint64_t value);
size_t exposition_seconds_text(char text[NUMBER_TEXT_MAX], nanoseconds value);

#endif
