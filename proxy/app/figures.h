// The figures that admin pages show, part by part: what figures.c puts together. All run on the main thread; texts are borrowed from their owners there, so that each
// part is filled in within the call that sends the reply.
#ifndef APP_FIGURES_H
#define APP_FIGURES_H

#include "app/proxy.h"

// figures.c: fills in all that the main thread knows by itself and completes the query.
void figures_complete(struct proxy *proxy, struct admin_query *query);

// figures_merge.c: what the first `count` workers have reported, as one.
void figures_merge_reports(struct proxy *proxy, struct worker_report *reports, uint32_t count, struct admin_query *query);

// figures_identity.c: the certificates of this proxy and the roots that it trusts.
void figures_fill_identity(const struct proxy *proxy, struct pool *pool, struct admin_identity *figures);

// figures_limits.c: puts the limits of the process in front of those that workers have reported. After the workers' counters were merged.
void figures_fill_limits(struct proxy *proxy, struct admin_query *query);

// figures_policies.c: what the rules of policies have done.
void figures_fill_policies(const struct proxy *proxy, struct pool *pool, struct admin_figures *figures);

// The same: the state of the circuit breaker of a service as such; empty: it has none.
struct bytes figures_breaker_state(const struct proxy *proxy, const struct service_config *service);

// commands.c: drain, reload, shutdown. reloads_end completes those that wait for the identity.
void proxy_command(void *owner, struct admin_query *query);
void reloads_init(struct proxy *proxy);
void reloads_end(struct proxy *proxy);

// The names that a service's endpoints are found by.
void figures_fill_names(const struct proxy *proxy, const struct service_config *config, struct pool *pool, struct admin_service *service);

#endif
