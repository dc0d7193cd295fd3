// The decoded spec of an AuthorizationPolicy.
#ifndef CONFIG_RESOURCE_AUTHORIZATION_H
#define CONFIG_RESOURCE_AUTHORIZATION_H

#include "config/authorization_config.h"
#include "config/resource_route.h"

struct service_account {
    struct bytes namespace_name; // empty: the policy's
    struct bytes name;
};

struct text_list {
    struct bytes *items;
    uint32_t count;
};

struct authorization_source_spec {
    struct service_account *accounts;
    uint32_t account_count;
    struct text_list identities, namespaces;
    struct address_ranges addresses;
};

struct authorization_rule_spec {
    struct authorization_rule rule; // but for its matches; of texts, what the check makes of them
    struct authorization_source_spec *sources;
    uint32_t source_count;
    struct text_list not_identities;
    struct match_spec *matches, *not_matches;
    uint32_t match_count, not_match_count;
    struct place place;
};

struct authorization_spec {
    struct policy_head head;
    enum authorization_action action;
    struct agent_config agent; // but for its URL
    struct bytes url;
    struct authorization_rule_spec *rules;
    uint32_t rule_count;
};

extern const struct table authorization_table;
void authorization_check(struct document *document);

// For url_service.c.
uint32_t authorization_urls(const void *spec, struct bytes *urls);

#endif
