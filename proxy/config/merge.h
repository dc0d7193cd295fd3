// Which TrafficPolicy holds for a port of a service: each top-level group is taken whole from the most specific policy that has it.
#ifndef CONFIG_MERGE_H
#define CONFIG_MERGE_H

#include "config/document.h"
#include "config/snapshot.h"

// What holds with no policy at all: the defaults of the table.
void traffic_defaults(struct traffic_config *traffic);

// For callers in namespace `caller` toward port `port_name` of the service. Order: Service port, Service, Namespace; at equal rank the caller's own namespace
// goes before the service's.
void traffic_merge(const struct loading *loading, struct bytes caller, const struct service_config *service, struct traffic_config *traffic);

// Whether a field of spec is merged as a group.
bool traffic_has_group(struct bytes field);

// The same number for equal settings; `place` and `policy` are left out.
uint64_t traffic_digest(const struct traffic_config *traffic, uint64_t digest);

#endif
