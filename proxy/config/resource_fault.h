// The decoded spec of a FaultPolicy.
#ifndef CONFIG_RESOURCE_FAULT_H
#define CONFIG_RESOURCE_FAULT_H

#include "config/fault_config.h"
#include "config/resource_route.h"

struct fault_rule_spec {
    struct fault_rule rule; // but for its matches
    struct match_spec *matches;
    uint32_t match_count;
    struct place place;
};

struct fault_spec {
    struct policy_head head;
    struct fault_rule_spec *rules;
    uint32_t rule_count;
};

extern const struct table fault_table;
void fault_check(struct document *document);

#endif
