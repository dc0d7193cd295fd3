// spec.loadBalancer of kind TrafficPolicy: how an endpoint is chosen.
#include "config/resources.h"

#include "base/check.h"

#define LB(member) ROW_AT(struct traffic_policy_spec, traffic.load_balancer.member)

static const struct choice lb_types[] = {
    {"PeakEWMA", LB_PEAK_EWMA, false, "the better of two by recent latency and load"},
    {"LeastRequest", LB_LEAST_REQUEST, false, "the less loaded of two"},
    {"RoundRobin", LB_ROUND_ROBIN, false, "each in turn"},
    {"Random", LB_RANDOM, false, "any"},
    {"RingHash", LB_RING_HASH, false, "by key, on a ring: a change of endpoints moves few keys"},
    {"Maglev", LB_MAGLEV, false, "by key, from a table: shares follow the weights closely, a change of endpoints moves some keys more"},
    {0}};
static const struct choice key_missing_actions[] = {
    {"Random", KEY_MISSING_RANDOM, false, "any endpoint by its weight"}, {"Reject", KEY_MISSING_REJECT, false, "400"}, {0}};
static const struct choice locality_modes[] = {
    {"Disable", LOCALITY_DISABLE, false, "zones and regions are not looked at"},
    {"PreferZone", LOCALITY_PREFER_ZONE, false, "our zone first, then our region, then regions in their order, then the rest"},
    {"PreferNode", 0, true, NULL},
    {0}};

static const struct row locality_rows[] = {
    {.name = "mode", .type = VALUE_ENUM, LB(locality.mode), .choices = locality_modes, .fallback = "Disable", .describes = "what is near"},
    {.name = "spillBelowHealthyPercent",
     .type = VALUE_INTEGER,
     LB(locality.spill_percent),
     .min = 1,
     .max = 100,
     .fallback = "70",
     .describes =
         "of the endpoints that come first (by priority, then by locality): while so many are available they get all; below it the next get a part, "
         "the greater the fewer there are"},
    {.name = "regions",
     .type = VALUE_LIST,
     .item = VALUE_TEXT,
     ROW_LIST(struct traffic_policy_spec, traffic.load_balancer.locality.regions, traffic.load_balancer.locality.region_count),
     .min = 0,
     .max = 32,
     .describes = "PreferZone: the order in which other regions than ours are turned to"},
    {0}};
static const struct table locality_table = {.describes = "which endpoints are near, and when others are used", .rows = locality_rows};

static const struct row load_balancer_rows[] = {
    {.name = "type",
     .type = VALUE_ENUM,
     LB(type),
     .choices = lb_types,
     .fallback = "PeakEWMA",
     .describes = "how an endpoint is chosen; weights hold for all"},
    {.name = "key",
     .type = VALUE_LIST,
     .item = VALUE_OBJECT,
     .object = &request_key_table,
     ROW_LIST(struct traffic_policy_spec, traffic.load_balancer.key.parts, traffic.load_balancer.key.count),
     .min = 1,
     .max = REQUEST_KEY_PARTS_MAX,
     .describes = "RingHash, Maglev, needed there: requests that are alike in all of it go to the same endpoint"},
    {.name = "ifMissing",
     .type = VALUE_ENUM,
     LB(if_missing),
     .choices = key_missing_actions,
     .fallback = "Random",
     .describes = "RingHash, Maglev: what becomes of requests that lack a part of the key"},
    {.name = "virtualNodes",
     .type = VALUE_INTEGER,
     LB(virtual_nodes),
     .min = 1,
     .max = 10000,
     .fallback = "150",
     .describes = "RingHash: points on the ring of an endpoint of mean weight; the more, the closer shares follow the weights"},
    {.name = "boundedLoadPercent",
     .type = VALUE_INTEGER,
     LB(bounded_percent),
     .min = 0,
     .max = 1000,
     .fallback = "0",
     .describes =
         "RingHash, Maglev: no endpoint gets more requests at a time than so much of the mean, by its weight (rounded up); what is above goes to the "
         "next one. From 100; 0: no bound"},
    {.name = "slowStart",
     .type = VALUE_DURATION,
     LB(slow_start),
     .min = 0,
     .max = 3600 * NS_PER_S,
     .fallback = "30s",
     .describes = "the weight of an endpoint that joins others grows linearly over it; 0s: it has all of it at once"},
    {.name = "panicPercent",
     .type = VALUE_INTEGER,
     LB(panic_percent),
     .min = 0,
     .max = 100,
     .fallback = "50",
     .describes = "when fewer than so many of all endpoints are available (and of those of each priority and locality too), all are used, available "
                  "or not; 0: never"},
    {.name = "locality", .type = VALUE_OBJECT, .object = &locality_table, .describes = "which endpoints are near, and when others are used"},
    {.name = "disabled",
     .type = VALUE_BOOL,
     ROW_AT(struct traffic_policy_spec, load_balancer_disabled),
     .fallback = "false",
     .describes = "true: what a less specific policy says is put aside; the default balancer is used"},
    {0}};
const struct table load_balancer_table = {.describes = "how an endpoint is chosen", .rows = load_balancer_rows};

const char *lb_type_name(enum lb_type type) {
    const struct choice *choice = lb_types;
    while (choice->value != type) {
        choice++;
        CHECK(choice->name != NULL);
    }
    return choice->name;
}

// A field of some types alone would be without effect with another.
static void check_types(struct document *document, const struct node *group, enum lb_type type) {
    static const struct {
        const char *field;
        bool of_ring, of_maglev;
        const char *belongs_to;
    } fields[] = {
        {"key", true, true, "RingHash and Maglev"},
        {"ifMissing", true, true, "RingHash and Maglev"},
        {"boundedLoadPercent", true, true, "RingHash and Maglev"},
        {"virtualNodes", true, false, "RingHash"},
    };
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        const struct node *node = node_find(group, fields[i].field);
        bool belongs = (type == LB_RING_HASH && fields[i].of_ring) || (type == LB_MAGLEV && fields[i].of_maglev);
        if (node != NULL && !belongs)
            document_error(document, node, NULL, "is for type %s alone", fields[i].belongs_to);
    }
}

void load_balancer_check(struct document *document) {
    const struct traffic_policy_spec *spec = document->spec;
    const struct node *group = node_find(document->spec_node, "loadBalancer");
    const struct node *type = node_find(group, "type");
    const struct node *key = node_find(group, "key");
    const enum lb_type lb_type = spec->traffic.load_balancer.type;
    if (group == NULL || group->bad || (type != NULL && type->bad))
        return;
    check_types(document, group, lb_type);
    if ((lb_type == LB_RING_HASH || lb_type == LB_MAGLEV) && key == NULL)
        document_error(document, group, "key", "is required for type RingHash and Maglev: what leads to the same endpoint");
    if (key != NULL && !key->bad)
        request_key_check(document, &spec->traffic.load_balancer.key, key);
    const struct node *bound = node_find(group, "boundedLoadPercent");
    const uint32_t percent = spec->traffic.load_balancer.bounded_percent;
    if (bound != NULL && !bound->bad && percent > 0 && percent < 100)
        document_error(document, bound, NULL, "is below the mean: some request would have no endpoint; allowed: 0, 100 to 1000");
    const struct node *locality = node_find(group, "locality");
    const struct node *regions = node_find(locality, "regions");
    if (regions != NULL && spec->traffic.load_balancer.locality.mode == LOCALITY_DISABLE)
        document_error(document, regions, NULL, "is for mode PreferZone alone");
}
