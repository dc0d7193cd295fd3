// What the files of freezing share: the snapshot in the making. Theirs alone.
#ifndef CONFIG_FREEZE_PRIVATE_H
#define CONFIG_FREEZE_PRIVATE_H

#include "config/freeze.h"
#include "config/grant.h"
#include "config/merge.h"
#include "config/resource_route.h"
#include "config/resources.h"
#include "config/url_service.h"

// TelemetryPolicies (freeze_telemetry.c).
struct telemetry_index {
    struct map by_target;                        // target_key -> struct telemetry_policy_spec
    uint32_t count;                              // of these
    const struct telemetry_policy_spec *of_mesh; // NULL: there is none for the Mesh
    struct map merged;                           // by which of them hold -> struct telemetry_rules
    struct telemetry_rules *defaults;
    bool uses_log_share; // somewhere filter All holds with the share of spec.telemetry
};

struct freezing {
    const struct loading *loading;
    const struct document *proxy;
    struct snapshot *snapshot;
    struct pool *pool;
    uint32_t capacity;            // of snapshot->services
    struct policy_index policies; // merged kinds
    struct map additive;          // policies of additive kinds by what they are for (freeze_policy.c)
    struct map acting;            // and as they act there
    const struct policy **found;  // room for all of them
    uint32_t additive_count;
    struct telemetry_index telemetry;
    struct grants grants;
    struct map traits;            // of endpoints, by what they are
    struct map origins;           // origin_config.key -> struct origin_config
    const struct document *entry; // whose ports are being frozen
    struct frontend *frontends;
    struct map entries; // "namespace/name" -> struct frozen_entry, of all ServiceEntries
    struct map urls;    // as documents write them -> struct service_url
    struct map told;    // what was warned of
    uint32_t first_url_service;
};

// A ServiceEntry and, once it is frozen, its ports: one service each, in their order.
struct frozen_entry {
    const struct document *document;
    struct service_config **ports; // NULL: not yet
};

// The ports of the ServiceEntry, which is frozen now if it was not; NULL: there is none of that name.
struct frozen_entry *freeze_find_entry(struct freezing *freezing, struct bytes namespace_name, struct bytes name);

// A route of a frontend.
struct attachment {
    const struct document *route;
    struct attachment *next;
};

// What has routes of its own: a port of a service for its callers, or a host of a listener of a Gateway.
struct frontend {
    const struct service_config *service;
    struct attachment *first;
    const struct route_table **routes; // where its table goes; or
    struct map *hosts;                 // by this host
    struct bytes host;
    struct frontend *next;
};

// Each route once, in the order of the documents.
void route_attach(struct freezing *freezing, struct attachment **list, const struct document *route);

// "a.example.com" in lower case; ".example.com" for all below; "" for all.
struct bytes freeze_host_form(struct freezing *freezing, struct bytes host);

struct frontend *add_frontend(struct freezing *freezing, const struct service_config *service, struct attachment *first);

// The listeners of Gateways that the Proxy's listeners stand for, each with a service of no endpoints (freeze_gateway.c).
void freeze_gateways(struct freezing *freezing);

// How many services that makes at most.
uint32_t count_gateway_services(const struct loading *loading);

// A frontend for each host of each of them that has routes.
void freeze_gateway_frontends(struct freezing *freezing);

// A service in the snapshot, with its number.
struct service_config *freeze_add_service(struct freezing *freezing);

// How the servers of a service are reached that has mode Simple there; one for all that are alike.
const struct origin_config *freeze_origin(struct freezing *freezing, const struct service_entry_spec *spec, const struct entry_tls *tls);

// The endpoints of a service, or what they are resolved by, as a port of such a ServiceEntry has them. With TLS Simple `freezing->entry` names its authorities.
void freeze_places(struct freezing *freezing, const struct service_entry_spec *spec, const struct entry_port *port, struct service_config *service);

// URLs that documents name (url_service.c): their services, once those of the documents are there; at most `count_url_services`; and what became of one.
#define URLS_MAX 16 // of one document
uint32_t count_url_services(const struct loading *loading);
void freeze_urls(struct freezing *freezing);
const struct service_url *freeze_url(const struct freezing *freezing, struct bytes text);

// Where each signal of telemetry is sent and how, with what OTEL_* variables say (freeze_otlp.c): before the services for URLs are made; and then their URLs.
void freeze_otlp(struct freezing *freezing, const struct document *mesh);
void freeze_otlp_urls(struct freezing *freezing);

// Over all that its endpoints are asked by.
uint64_t service_digest(const struct service_config *service);

// A place for requests to go to, with its number; there is room for as many as freeze_routes counts.
struct destination *freeze_add_destination(struct freezing *freezing);

// What a rule is for policies, in the order of specificity. Returns how many.
#define RULE_TARGETS 2
uint32_t targets_of_rule(const struct document *route, const struct rule_spec *rule, struct target_ref *targets);

// Without the rule that it leads to.
struct route_match freeze_match(struct freezing *freezing, const struct match_spec *spec);

// Policies of additive kinds: which act on a destination of that frontend and, where it is a rule's, of that rule of the route (freeze_policy.c).
void freeze_policies_begin(struct freezing *freezing);
void freeze_policies(struct freezing *freezing, struct destination *destination, const struct service_config *frontend, const struct document *route,
                     const struct rule_spec *rule);
void freeze_policies_end(struct freezing *freezing);

// Each target by which policies are for the application behind this proxy, ports of services before services, but its namespace. `application` NULL: whatever ports lead to.
void freeze_each_application_target(struct freezing *freezing, const struct service_config *application,
                                    void (*visit)(void *user, const struct target_ref *target), void *user);

// No proxy of ours stands beside its endpoints, so far as the documents say.
bool service_is_without_proxy(const struct service_config *service);

// The TelemetryPolicies that hold there, merged (freeze_telemetry.c): destination->telemetry, as freeze_policies; listener->telemetry.
void freeze_telemetry_begin(struct freezing *freezing);
void freeze_telemetry(struct freezing *freezing, struct destination *destination, const struct service_config *frontend, const struct document *route,
                      const struct rule_spec *rule);
void freeze_telemetry_of_listener(struct freezing *freezing, struct listener_config *listener);
void freeze_telemetry_end(struct freezing *freezing);

// destination->logged_keys, once its policies are known.
void freeze_logged_keys(struct freezing *freezing, struct destination *destination);

// What such a document says, as its filter reads it: what struct policy.config points to (freeze_policy_spec.c).
const void *freeze_policy_spec(struct freezing *freezing, const struct document *document);

// Ports and services of both go before their namespaces, the frontend's before the backend's. Returns how many there are behind the first `count`.
uint32_t add_service_targets(const struct service_config *frontend, const struct service_config *backend, struct target_ref *targets, uint32_t count);

// A rule of a route for this frontend, with a destination for each of its backends.
struct route_rule *freeze_rule(struct freezing *freezing, const struct document *route, uint32_t number, const struct service_config *frontend);

// The services that the route sends to: those that only a route names are not visible by a host, and are frozen here.
void freeze_backends_of(struct freezing *freezing, const struct document *route);

// Warnings (freeze_warnings.c): of all policies, once all destinations are there; of a rule that leads to one, once its policies are known.
void freeze_warn_of_policies(struct freezing *freezing);
void freeze_warn_of_rule(struct freezing *freezing, const struct rule_spec *spec, const struct destination *destination);

// Last of all: rules, tables of routes and destinations, of all services.
void freeze_routes(struct freezing *freezing);

#endif
