// Merging of TrafficPolicies. The list of groups below and the rows marked as groups in resource_traffic_policy.c are the same; a test holds them together.
#include "config/merge.h"

#include "base/check.h"
#include "config/decode.h"
#include "config/resources.h"

static void switch_off_nothing(struct traffic_config *traffic) {
    (void)traffic; // the defaults hold
}

static void switch_off_timeouts(struct traffic_config *traffic) {
    traffic->timeouts.request = traffic->timeouts.backend_request = traffic->timeouts.idle = 0;
}

static void switch_off_deadline(struct traffic_config *traffic) {
    traffic->deadline.propagate = false;
}

static void switch_off_retry(struct traffic_config *traffic) {
    traffic->retry.attempts = 0;
}

#define GROUP(field, member)                                                                      \
    field, offsetof(struct traffic_config, member), sizeof(((struct traffic_config *)0)->member), \
        offsetof(struct traffic_policy_spec, member##_disabled)

static const struct group {
    const char *name;
    uint32_t offset, size, disabled_offset;
    void (*switch_off)(struct traffic_config *traffic); // on a config whose group has the defaults
} groups[] = {{GROUP("loadBalancer", load_balancer), switch_off_nothing},
              {GROUP("connections", connections), switch_off_nothing},
              {GROUP("timeouts", timeouts), switch_off_timeouts},
              {GROUP("deadline", deadline), switch_off_deadline},
              {GROUP("retry", retry), switch_off_retry}};
#define GROUP_COUNT (sizeof(groups) / sizeof(groups[0]))

void traffic_defaults(struct traffic_config *traffic) {
    struct traffic_policy_spec spec;
    decode_defaults(&traffic_policy_table, &spec);
    *traffic = spec.traffic;
    traffic->place = (struct place){0};
    traffic->policy = BYTES("");
}

// How specific the policy is for the service: 0 = not for it at all.
static uint32_t rank_of(const struct document *policy, const struct target_ref *target, struct bytes caller, const struct service_config *service) {
    bool is_of_caller = bytes_equal(policy->namespace_name, caller);
    bool is_of_service = bytes_equal(policy->namespace_name, service->namespace_name);
    if ((!is_of_caller && !is_of_service) || !bytes_equal(target_namespace(policy, target), service->namespace_name))
        return 0;
    uint32_t rank = 0;
    if (target->kind == TARGET_NAMESPACE)
        rank = bytes_equal(target->name, service->namespace_name) ? 2 : 0;
    else if (bytes_equal(target->name, service->name) && target->section_name.len == 0)
        rank = 4;
    else if (bytes_equal(target->name, service->name) && bytes_equal(target->section_name, service->port_name))
        rank = 6;
    return rank == 0 ? 0 : rank + (is_of_caller ? 1 : 0);
}

static uint32_t rank_of_policy(const struct document *policy, struct bytes caller, const struct service_config *service) {
    const struct traffic_policy_spec *spec = policy->spec;
    uint32_t highest = 0;
    for (uint32_t i = 0; i < spec->target_count; i++) {
        uint32_t rank = rank_of(policy, &spec->targets[i], caller, service);
        highest = rank > highest ? rank : highest;
    }
    return highest;
}

static void take_group(const struct group *group, const struct document *policy, struct traffic_config *traffic) {
    const struct traffic_policy_spec *spec = policy->spec;
    bool is_disabled;
    memcpy(&is_disabled, (const char *)spec + group->disabled_offset, sizeof(is_disabled));
    memcpy((char *)traffic + group->offset, (const char *)&spec->traffic + group->offset, group->size);
    if (is_disabled)
        group->switch_off(traffic);
}

void traffic_merge(const struct loading *loading, struct bytes caller, const struct service_config *service, struct traffic_config *traffic) {
    uint32_t ranks[GROUP_COUNT] = {0}, highest = 0;
    traffic_defaults(traffic);
    for (const struct document *policy = loading->first; policy != NULL; policy = policy->next) {
        if (policy->kind->spec != &traffic_policy_table)
            continue;
        uint32_t rank = rank_of_policy(policy, caller, service);
        for (uint32_t i = 0; i < GROUP_COUNT && rank > 0; i++) {
            if (rank <= ranks[i] || node_find(policy->spec_node, groups[i].name) == NULL)
                continue;
            ranks[i] = rank;
            take_group(&groups[i], policy, traffic);
        }
        if (rank > highest) {
            const struct traffic_policy_spec *spec = policy->spec;
            highest = rank;
            traffic->place = spec->traffic.place;
            traffic->policy = spec->traffic.policy;
        }
    }
}

bool traffic_has_group(struct bytes field) {
    for (uint32_t i = 0; i < GROUP_COUNT; i++)
        if (bytes_equal(bytes_from_text(groups[i].name), field))
            return true;
    return false;
}

uint64_t traffic_digest(const struct traffic_config *traffic, uint64_t digest) {
    struct traffic_policy_spec spec;
    memset(&spec, 0, sizeof(spec));
    spec.traffic = *traffic;
    return table_digest(&traffic_policy_table, &spec, digest);
}
