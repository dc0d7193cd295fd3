// Which TrafficPolicy holds for a port of a service: each top-level group is taken whole from the most specific policy that has it.
#ifndef CONFIG_MERGE_H
#define CONFIG_MERGE_H

#include "config/document.h"
#include "config/snapshot.h"

// The policies of a load by what they are for, so that merging costs the same for each service however many policies there are.
struct policy_index {
    struct map by_target; // target_key -> struct document of the one policy
    struct pool *scratch;
    struct bytes caller;
    struct traffic_config defaults; // what holds with no policy at all
};

// `caller` is the namespace whose callers are asked for. The documents have been checked, and outlive the index.
void policy_index_init(struct policy_index *index, const struct loading *loading, struct bytes caller);
void policy_index_dispose(struct policy_index *index);

// What holds for the caller toward the targets, which stand in the order of specificity and name their namespace. At equal rank the caller's own namespace goes before
// that of the target.
struct target_ref;
void traffic_merge(const struct policy_index *index, const struct target_ref *targets, uint32_t count, struct traffic_config *traffic);

// The targets that a port of a service is, in the order of specificity: Service port (of what stands for a Gateway: its listener), Service, Namespace. Returns how many.
#define SERVICE_TARGETS 3
uint32_t targets_of_service(const struct service_config *service, struct target_ref *targets);

// What holds toward a port of a service as such.
void traffic_merge_service(const struct policy_index *index, const struct service_config *service, struct traffic_config *traffic);

// Which groups the spec of a TrafficPolicy has, one bit each: for traffic_policy_spec.groups_given.
uint32_t traffic_groups_given(const struct node *spec_node);

// Whether a field of spec is merged as a group.
bool traffic_has_group(struct bytes field);

// The same number for equal settings; `place` and `policy` are left out.
uint64_t traffic_digest(const struct traffic_config *traffic, uint64_t digest);

#endif
