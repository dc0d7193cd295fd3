// The connections of a worker in its report (worker_report.h): the newest of clients and to endpoints, a slice at a time.
#ifndef APP_REPORT_CONNECTIONS_H
#define APP_REPORT_CONNECTIONS_H

#include "app/worker_report.h"

// Copies at most `room` more. A connection that comes or goes while slices are copied is in it or not, and none is twice.
void report_connections(struct worker_report *report, const struct reports *reports, uint32_t room);

#endif
