// What a worker says of a request that somebody asks about (/explain), as part of its report (worker_report.h).
#ifndef APP_REPORT_EXPLAIN_H
#define APP_REPORT_EXPLAIN_H

#include "app/worker_report.h"

// Decides about report->question by report->bound, which is there. A new reference; {"error": ...} where the question has no answer. Worker's thread; the inquiry's memory goes at
// the end of the turn.
struct json_t *report_explain(struct worker_report *report, struct reports *reports);

#endif
