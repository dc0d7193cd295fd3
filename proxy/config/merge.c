// Merging of TrafficPolicies. The list of groups below and the rows marked as groups in resource_traffic_policy.c are the same; a test holds them together.
#include "config/merge.h"

#include "base/check.h"
#include "config/decode.h"
#include "config/resources.h"

static void switch_off_nothing(struct traffic_config *traffic) {
    (void)traffic; // the defaults hold
}

static void switch_off_selection(struct traffic_config *traffic) {
    traffic->selection = (struct selection_config){.type = SELECT_WEIGHTED};
}

static void switch_off_connections(struct traffic_config *traffic) {
    traffic->connections.policy = BYTES_NONE; // the defaults hold, and they are nobody's
}

static void switch_off_timeouts(struct traffic_config *traffic) {
    traffic->timeouts.request = traffic->timeouts.backend_request = traffic->timeouts.idle = traffic->timeouts.tcp_idle = 0;
}

static void switch_off_deadline(struct traffic_config *traffic) {
    traffic->deadline.propagate = false;
}

static void switch_off_retry(struct traffic_config *traffic) {
    traffic->retry.attempts = 0;
}

static void switch_off_hedge(struct traffic_config *traffic) {
    traffic->hedge.max = 0;
}

static void switch_off_outlier(struct traffic_config *traffic) {
    traffic->outlier.failure_threshold = 0;
}

static void switch_off_health_check(struct traffic_config *traffic) {
    traffic->health_check.interval = 0;
}

#define GROUP(field, member)                                                                      \
    field, offsetof(struct traffic_config, member), sizeof(((struct traffic_config *)0)->member), \
        offsetof(struct traffic_policy_spec, member##_disabled)

static const struct group {
    const char *name;
    uint32_t offset, size, disabled_offset;
    void (*switch_off)(struct traffic_config *traffic); // on a config whose group has the defaults
} groups[] = {{GROUP("loadBalancer", load_balancer), switch_off_nothing},
              {GROUP("backendSelection", selection), switch_off_selection},
              {GROUP("connections", connections), switch_off_connections},
              {GROUP("timeouts", timeouts), switch_off_timeouts},
              {GROUP("deadline", deadline), switch_off_deadline},
              {GROUP("retry", retry), switch_off_retry},
              {GROUP("hedge", hedge), switch_off_hedge},
              {GROUP("circuitBreaker", circuit_breaker), switch_off_nothing},
              {GROUP("outlierDetection", outlier), switch_off_outlier},
              {GROUP("healthCheck", health_check), switch_off_health_check}};
#define GROUP_COUNT (sizeof(groups) / sizeof(groups[0]))

// What holds with no policy at all: the defaults of the table.
static void fill_defaults(struct traffic_config *traffic) {
    struct traffic_policy_spec spec;
    decode_defaults(&traffic_policy_table, &spec);
    *traffic = spec.traffic;
    switch_off_hedge(traffic); // nobody is asked twice who did not ask for it
    switch_off_health_check(traffic);
    traffic->place = (struct place){0};
    traffic->policy = BYTES("");
}

static void take_group(const struct group *group, const struct document *policy, struct traffic_config *traffic) {
    const struct traffic_policy_spec *spec = policy->spec;
    bool is_disabled;
    memcpy(&is_disabled, (const char *)spec + group->disabled_offset, sizeof(is_disabled));
    memcpy((char *)traffic + group->offset, (const char *)&spec->traffic + group->offset, group->size);
    if (is_disabled)
        group->switch_off(traffic);
}

void policy_index_init(struct policy_index *index, const struct loading *loading, struct bytes caller) {
    *index = (struct policy_index){.scratch = loading->scratch, .caller = caller};
    map_init(&index->by_target);
    fill_defaults(&index->defaults);
    for (struct document *policy = loading->first; policy != NULL; policy = policy->next) {
        if (policy->kind->spec != &traffic_policy_table)
            continue;
        const struct traffic_policy_spec *spec = policy->spec;
        for (uint32_t i = 0; i < spec->head.target_count; i++) {
            const struct document *twin =
                map_put(&index->by_target, target_key(index->scratch, policy->namespace_name, &spec->head.targets[i]), policy);
            CHECK(twin == NULL); // config_check lets a namespace have one policy for a target
        }
    }
}

void policy_index_dispose(struct policy_index *index) {
    map_dispose(&index->by_target);
}

uint32_t traffic_groups_given(const struct node *spec_node) {
    _Static_assert(GROUP_COUNT <= 32, "one bit each");
    uint32_t given = 0;
    for (uint32_t i = 0; i < GROUP_COUNT; i++)
        given |= node_find(spec_node, groups[i].name) != NULL ? UINT32_C(1) << i : 0;
    return given;
}

static bool has_group(const struct document *policy, uint32_t group) {
    const struct traffic_policy_spec *spec = policy->spec;
    return (spec->groups_given >> group & 1) != 0;
}

// Takes the groups that none before it had. `policy` is NULL where the target has none.
static void take_policy(const struct document *policy, bool *taken, struct traffic_config *traffic) {
    if (policy == NULL)
        return;
    for (uint32_t i = 0; i < GROUP_COUNT; i++) {
        if (taken[i] || !has_group(policy, i))
            continue;
        taken[i] = true;
        take_group(&groups[i], policy, traffic);
    }
    if (traffic->place.file == NULL) {
        const struct traffic_policy_spec *spec = policy->spec;
        traffic->place = spec->traffic.place;
        traffic->policy = spec->traffic.policy;
    }
}

void traffic_merge(const struct policy_index *index, const struct target_ref *targets, uint32_t count, struct traffic_config *traffic) {
    bool taken[GROUP_COUNT] = {false};
    *traffic = index->defaults;
    for (uint32_t i = 0; i < count; i++) {
        struct bytes owner = targets[i].namespace_name;
        take_policy(map_get(&index->by_target, target_key(index->scratch, index->caller, &targets[i])), taken, traffic);
        take_policy(map_get(&index->by_target, target_key(index->scratch, owner, &targets[i])), taken, traffic);
    }
}

uint32_t targets_of_service(const struct service_config *service, struct target_ref *targets) {
    const struct bytes owner = service->namespace_name;
    const enum target_kind kind = service->gateway != NULL ? TARGET_GATEWAY : TARGET_SERVICE;
    targets[0] = (struct target_ref){.kind = kind, .namespace_name = owner, .name = service->name, .section_name = service->port_name};
    targets[1] = (struct target_ref){.kind = kind, .namespace_name = owner, .name = service->name};
    targets[2] = (struct target_ref){.kind = TARGET_NAMESPACE, .namespace_name = owner, .name = owner};
    return SERVICE_TARGETS;
}

void traffic_merge_service(const struct policy_index *index, const struct service_config *service, struct traffic_config *traffic) {
    struct target_ref targets[SERVICE_TARGETS];
    traffic_merge(index, targets, targets_of_service(service, targets), traffic);
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
    spec.hedge_mode = traffic->hedge.dry_run ? MODE_DRY_RUN : MODE_ENFORCE;
    spec.circuit_mode = traffic->circuit_breaker.dry_run ? MODE_DRY_RUN : MODE_ENFORCE;
    spec.outlier_mode = traffic->outlier.dry_run ? MODE_DRY_RUN : MODE_ENFORCE;
    digest = table_digest(&traffic_policy_table, &spec, digest);
    // Live state of endpoints is found by whose policy it is.
    return traffic->circuit_breaker.scope == CIRCUIT_OF_ENDPOINT ? digest_bytes(digest, traffic->circuit_breaker.policy) : digest;
}
