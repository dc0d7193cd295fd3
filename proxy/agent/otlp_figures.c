// The table from how a request ended to what is counted of its records: see otlp_figures.h.
#include "agent/otlp_figures.h"

#include "base/log.h"

#include <stdio.h>

// From one line to the next about the same.
#define QUIET_NS (10 * NS_PER_S)

static void tell(const char *signal, struct otlp_telling *telling, const struct otlp_result *result, nanoseconds now) {
    const bool is_taken = result->end == OTLP_END_EXPORTED;
    if (is_taken && result->reason[0] == '\0')
        return;
    if (telling->end == result->end && now < telling->quiet_until) {
        telling->untold++;
        return;
    }
    char rejected[40] = "";
    if (is_taken)
        snprintf(rejected, sizeof rejected, " rejected=%llu", (unsigned long long)result->rejected);
    log_event(LOG_WARN, is_taken ? "export_partial" : "export_failed", "signal=%s records=%llu%s reason=\"%s\" untold=%llu", signal,
              (unsigned long long)result->records, rejected, result->reason, (unsigned long long)telling->untold);
    *telling = (struct otlp_telling){.end = result->end, .quiet_until = now + QUIET_NS};
}

void otlp_figures_end(struct export_figures *figures, struct otlp_telling *telling, const struct otlp_result *result, bool is_ending,
                      nanoseconds now) {
    static const enum export_result results[OTLP_ENDS] = {
        [OTLP_END_EXPORTED] = EXPORT_RESULT_EXPORTED,   [OTLP_END_REFUSED] = EXPORT_RESULT_REFUSED, [OTLP_END_TIMEOUT] = EXPORT_RESULT_TIMEOUT,
        [OTLP_END_TOO_LARGE] = EXPORT_RESULT_TOO_LARGE, [OTLP_END_MEMORY] = EXPORT_RESULT_MEMORY,   [OTLP_END_DROPPED] = EXPORT_RESULT_DROPPED};
    static const enum export_drop drops[OTLP_ENDS] = {[OTLP_END_REFUSED] = EXPORT_DROP_NOT_RETRYABLE,
                                                      [OTLP_END_TIMEOUT] = EXPORT_DROP_TIMEOUT,
                                                      [OTLP_END_TOO_LARGE] = EXPORT_DROP_TOO_LARGE,
                                                      [OTLP_END_MEMORY] = EXPORT_DROP_MEMORY,
                                                      [OTLP_END_DROPPED] = EXPORT_DROP_DISABLED};
    figures->results[results[result->end]]++;
    if (result->end == OTLP_END_EXPORTED) {
        figures->exported += result->records - result->rejected;
        figures->dropped[EXPORT_DROP_PARTIAL_SUCCESS] += result->rejected;
    } else if (is_ending && (result->end == OTLP_END_DROPPED || result->end == OTLP_END_TIMEOUT)) {
        figures->dropped[EXPORT_DROP_SHUTDOWN] += result->records;
    } else {
        figures->dropped[drops[result->end]] += result->records;
    }
    tell(figures->signal, telling, result, now);
}

void otlp_figures_tell_end(const struct export_figures *figures) {
    log_event(LOG_INFO, "export_ended", "signal=%s made=%llu exported=%llu", figures->signal, (unsigned long long)figures->made,
              (unsigned long long)figures->exported);
}
