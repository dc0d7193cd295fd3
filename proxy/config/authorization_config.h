// An AuthorizationPolicy as a snapshot has it: who may ask for what. What a list names any of will do; all that is said must hold.
#ifndef CONFIG_AUTHORIZATION_CONFIG_H
#define CONFIG_AUTHORIZATION_CONFIG_H

#include "base/cidr.h"
#include "base/clock.h"
#include "config/identity_pattern.h"
#include "config/request_key.h"
#include "config/route.h"

enum authorization_action { AUTHORIZATION_ALLOW, AUTHORIZATION_DENY, AUTHORIZATION_EXTERNAL };

enum agent_type { AGENT_OPA, AGENT_FORWARD };
enum agent_failure { FAILURE_DENIES, FAILURE_ALLOWS };

struct destination;
struct service_url;

// Who decides in the place of the rules, which say about which requests.
struct agent_config {
    enum agent_type type;
    enum agent_failure on_failure; // what no answer, or one that is none, means
    const struct service_url *url;
    nanoseconds timeout;
    struct bytes *headers; // of its answer, that the application gets, and from nobody else
    uint32_t header_count;
};

struct identity_patterns {
    struct identity_pattern *items;
    uint32_t count;
};

struct address_ranges {
    struct cidr *items;
    uint32_t count;
};

// A list that names nothing says nothing.
struct authorization_source {
    struct identity_patterns accounts, identities, namespaces;
    struct address_ranges addresses;
};

// Something of the request must be one of the values.
struct authorization_condition {
    struct request_key_part part;
    struct bytes *values; // in the form that is compared; of the types that have other forms not used
    uint32_t value_count;
    struct identity_patterns identities; // KEY_IDENTITY
    struct address_ranges addresses;     // KEY_CLIENT_ADDRESS
};

struct authorization_rule {
    struct bytes name;
    struct authorization_source *sources; // any of them; none: whoever it is
    uint32_t source_count;
    struct identity_patterns not_identities;
    struct address_ranges not_addresses;
    const struct route_match *matches, *not_matches; // any of them; none: nothing is said
    uint32_t match_count, not_match_count;
    struct authorization_condition *conditions; // all of them
    uint32_t condition_count;
    bool is_of_http;  // something of it is about a request, which an opaque connection has none of
    bool names_paths; // something of it is about the path
};

struct authorization_config {
    enum authorization_action action;
    struct authorization_rule *rules; // any of them; of AUTHORIZATION_EXTERNAL none: all requests
    uint32_t rule_count;
    struct agent_config agent; // AUTHORIZATION_EXTERNAL
};

// Whether requests get that header from the policy's agent alone, in each spelling (`_` for `-`).
bool authorization_takes_off(const struct authorization_config *config, struct bytes name);

// Whether the agent of a policy that acts on `destination`, and is in no dry run, does so: what it holds is not known before that has spoken.
bool authorization_makes_header(const struct destination *destination, struct bytes name);

#endif
