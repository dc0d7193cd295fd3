// Who tells: the attributes of the resource that all telemetry of this process has (semantic-conventions docs/resource), and its scope, as bytes.
#ifndef AGENT_RESOURCE_H
#define AGENT_RESOURCE_H

#include "agent/otlp_request.h"
#include "base/rng.h"
#include "config/otel_environment.h"
#include "config/snapshot.h"

// service.instance.id of a process that nobody names: a random UUID with a NUL behind it.
#define INSTANCE_ID_BYTES 37
void instance_id_make(struct rng *rng, char id[INSTANCE_ID_BYTES]);

// The bytes lie in `pool`. `environment` may be NULL. service.name is that of OTEL_SERVICE_NAME, of OTEL_RESOURCE_ATTRIBUTES, the Proxy's service, its name, in this order;
// of OTEL_RESOURCE_ATTRIBUTES (config/otel_resource.h) at most 120. All texts are UTF-8.
struct otlp_origin resource_encode(const struct proxy_config *proxy, const struct otel_environment *environment, const char *instance_id,
                                   struct pool *pool);

#endif
