// The usual table of pages; the handlers are in page_process.c, page_metrics.c, page_config.c, page_routes.c,
// page_sockets.c, page_explain.c and page_live.c.
#include "admin/pages.h"

#define METRICS_WANTS (ADMIN_WANT_COUNTERS | ADMIN_WANT_LIMITS | ADMIN_WANT_IDENTITY | ADMIN_WANT_CONFIG)
#define RELOAD_WANTS (ADMIN_WANT_CONFIG | ADMIN_WANT_IDENTITY)

const struct admin_page admin_usual_pages[] = {
    {"/", METHOD_GET, ADMIN_ON_BOTH, 0, ADMIN_NONE, page_list, "this list"},
    {"/healthz", METHOD_GET, ADMIN_ON_BOTH, 0, ADMIN_NONE, page_healthz, "200 while the process works"},
    {"/readyz", METHOD_GET, ADMIN_ON_BOTH, 0, ADMIN_NONE, page_readyz, "200 while it takes traffic, else 503 with the reason"},
    {"/metrics", METHOD_GET, ADMIN_ON_BOTH, METRICS_WANTS, ADMIN_NONE, page_metrics, "all metrics, Prometheus text", page_metrics_slice},
    {"/config", METHOD_GET, ADMIN_ON_ADMIN, ADMIN_WANT_CONFIG, ADMIN_NONE, page_config, "the documents in force, and what is wrong with newer ones"},
    {"/clusters", METHOD_GET, ADMIN_ON_ADMIN, ADMIN_WANT_SERVICES, ADMIN_NONE, page_clusters, "services and endpoints with their load"},
    {"/routes", METHOD_GET, ADMIN_ON_ADMIN, ADMIN_WANT_CONFIG, ADMIN_NONE, page_routes, "by which rule requests go, in order of precedence"},
    {"/explain", METHOD_GET, ADMIN_ON_ADMIN, ADMIN_WANT_EXPLANATION, ADMIN_NONE, page_explain,
     "what would become of a request, and why: ?listener=&method=&host=&path=&header=name:value&as=&client="},
    {"/tap", METHOD_GET, ADMIN_ON_ADMIN, ADMIN_WANT_TAP, ADMIN_NONE, page_tap,
     "requests as they end, a line each: ?listener=&direction=&method=&host=&path=&status=&end=&service=&route=&as=&slower=&count=&duration=&rate="},
    {"/listeners", METHOD_GET, ADMIN_ON_ADMIN, ADMIN_WANT_CONFIG | ADMIN_WANT_LIMITS, ADMIN_NONE, page_listeners, "the sockets that it listens on"},
    {"/connections", METHOD_GET, ADMIN_ON_ADMIN, ADMIN_WANT_CONNECTIONS, ADMIN_NONE, page_connections, "connections of clients and to endpoints"},
    {"/memory", METHOD_GET, ADMIN_ON_ADMIN, ADMIN_WANT_MEMORY, ADMIN_NONE, page_memory, "what holds memory, and the budget"},
    {"/certs", METHOD_GET, ADMIN_ON_ADMIN, ADMIN_WANT_IDENTITY, ADMIN_NONE, page_certs, "identity and trust bundle"},
    {"/limits", METHOD_GET, ADMIN_ON_ADMIN, ADMIN_WANT_LIMITS, ADMIN_NONE, page_limits, "every limit with its use and high-water mark"},
    {"/version", METHOD_GET, ADMIN_ON_ADMIN, ADMIN_WANT_HARDENING, ADMIN_NONE, page_version,
     "versions of this program and its libraries, what documents it reads, its hardening"},
    {"/logging", METHOD_GET, ADMIN_ON_ADMIN, 0, ADMIN_NONE, page_logging, "level of the log"},
    {"/logging", METHOD_POST, ADMIN_ON_ADMIN, 0, ADMIN_NONE, page_set_logging, "sets it: ?level=debug, info, warn or error"},
    {"/logging/reopen", METHOD_POST, ADMIN_ON_ADMIN, 0, ADMIN_REOPEN, page_state, "opens the file of the access log anew, after it was renamed"},
    {"/drain", METHOD_POST, ADMIN_ON_ADMIN, 0, ADMIN_DRAIN, page_state, "stops taking traffic, in order"},
    {"/reload", METHOD_POST, ADMIN_ON_ADMIN, RELOAD_WANTS, ADMIN_RELOAD, page_reloaded, "reads documents and certificates again"},
    {"/shutdown", METHOD_POST, ADMIN_ON_ADMIN, 0, ADMIN_SHUTDOWN, page_state, "drains, then ends the process"},
};

const uint32_t admin_usual_page_count = sizeof(admin_usual_pages) / sizeof(*admin_usual_pages);
