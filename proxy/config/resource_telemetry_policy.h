// The decoded spec of a TelemetryPolicy.
#ifndef CONFIG_RESOURCE_TELEMETRY_POLICY_H
#define CONFIG_RESOURCE_TELEMETRY_POLICY_H

#include "config/resources.h"

enum telemetry_group { TELEMETRY_TRACES, TELEMETRY_ACCESS_LOG, TELEMETRY_METRICS, TELEMETRY_GROUPS };

// What a group does not say stays as spec.telemetry has it.
struct telemetry_policy_spec {
    struct policy_head head;
    struct telemetry_rules rules; // groups that the document does not have are at their defaults
    bool has_group[TELEMETRY_GROUPS];
    bool has_sampling, has_filter, has_log_sampling;
    bool access_log_disabled;
};

extern const struct table telemetry_policy_table;
void telemetry_policy_check(struct document *document);

#endif
