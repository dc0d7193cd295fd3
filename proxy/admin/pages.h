// The usual pages of a proxy. App gives this table, or one of its own made of these handlers and others, to admin_open.
#ifndef ADMIN_PAGES_H
#define ADMIN_PAGES_H

#include "admin/admin.h"

extern const struct admin_page admin_usual_pages[];
extern const uint32_t admin_usual_page_count;

// page_process.c
void page_list(struct admin_query *query);
void page_healthz(struct admin_query *query);
void page_readyz(struct admin_query *query);
void page_version(struct admin_query *query);
void page_logging(struct admin_query *query);
void page_set_logging(struct admin_query *query);
void page_state(struct admin_query *query); // after drain and shutdown
void page_reloaded(struct admin_query *query);

// page_metrics.c
void page_metrics(struct admin_query *query);
bool page_metrics_slice(struct admin_query *query);

// Series of requests that are written at a time, of some 17 lines each: a millisecond.
#define METRICS_ROWS_PER_SLICE 500

// All figures but the series of requests, which are written before in slices, wherever they go: a page, or a collector.
void metrics_expose(struct exposition *page, const struct admin_figures *figures);

// page_config.c
void page_config(struct admin_query *query);

// page_routes.c
void page_routes(struct admin_query *query);

// page_sockets.c
void page_listeners(struct admin_query *query);
void page_connections(struct admin_query *query);
void page_memory(struct admin_query *query);

// page_explain.c
void page_explain(struct admin_query *query);

// page_tap.c
void page_tap(struct admin_query *query);

// page_live.c
void page_clusters(struct admin_query *query);
void page_limits(struct admin_query *query);
void page_certs(struct admin_query *query);

#endif
