// Kind BulkheadPolicy: pools in which so many requests run at once and others wait. Its table, and the rules between its fields.
#include "config/resource_bulkhead.h"

#include "config/edge_fields.h"
#include "http/canonical.h"
#include "http/headers.h"

#define SHARE(member) ROW_AT(struct bulkhead_share, member)
#define POOL(member) ROW_AT(struct bulkhead_pool_spec, pool.member)
#define SPEC(member) ROW_AT(struct bulkhead_spec, member)
#define HOUR (3600 * NS_PER_S)

static const struct row share_rows[] = {
    {.name = "value", .type = VALUE_TEXT, SHARE(value), .is_required = true, .describes = "of the key, as it stands in the request"},
    {.name = "maxConcurrent",
     .type = VALUE_INTEGER,
     SHARE(max_concurrent),
     .min = 1,
     .max = BULKHEAD_SLOTS_MAX,
     .is_required = true,
     .describes = "so many of it run at once"},
    {0}};
static const struct table share_table = {
    .describes = "a value of the key with a share of its own", .rows = share_rows, .size = sizeof(struct bulkhead_share), .unique_key = "value"};

static const struct row key_rows[] = {
    {.name = "key",
     .type = VALUE_LIST,
     .item = VALUE_OBJECT,
     .object = &request_key_table,
     ROW_LIST(struct bulkhead_pool_spec, pool.per_key.key.parts, pool.per_key.key.count),
     .min = 1,
     .max = REQUEST_KEY_PARTS_MAX,
     .is_required = true,
     .describes = "what requests are told apart by; those that lack a part of it are one key together"},
    {.name = "maxConcurrent",
     .type = VALUE_INTEGER,
     POOL(per_key.max_concurrent),
     .min = 1,
     .max = BULKHEAD_SLOTS_MAX,
     .is_required = true,
     .describes = "so many of each key run at once; more of it wait, though slots are free, and hold up nobody else"},
    {.name = "overrides",
     .type = VALUE_LIST,
     .item = VALUE_OBJECT,
     .object = &share_table,
     ROW_LIST(struct bulkhead_pool_spec, pool.per_key.overrides, pool.per_key.override_count),
     .max = 1000,
     .describes = "values that have another share; with a key of one part that is no ClientAddress"},
    {0}};
static const struct table key_table = {.describes = "a share of the pool for each value of a key", .rows = key_rows};

static const struct choice algorithms[] = {{"Gradient2", 0, false, "the gradient of the time that requests take, to its long mean"}, {0}};
static const struct row adaptive_rows[] = {
    {.name = "algorithm",
     .type = VALUE_ENUM,
     ROW_AT(struct bulkhead_pool_spec, algorithm),
     .choices = algorithms,
     .fallback = "Gradient2",
     .describes = "how it is learnt"},
    {.name = "min", .type = VALUE_INTEGER, POOL(adaptive.min), .min = 1, .max = BULKHEAD_SLOTS_MAX, .fallback = "4", .describes = "never fewer"},
    {.name = "max", .type = VALUE_INTEGER, POOL(adaptive.max), .min = 1, .max = BULKHEAD_SLOTS_MAX, .fallback = "1000", .describes = "never more"},
    {0}};
static const struct table adaptive_table = {.describes = "maxConcurrent is learnt from how long answers take", .rows = adaptive_rows};

static const struct row pool_rows[] = {
    {.name = "name", .type = VALUE_LABEL, POOL(name), .is_required = true, .describes = "what responses, logs and metrics call the pool"},
    POLICY_MATCHES_ROW(struct bulkhead_pool_spec, "which requests are its own: any of these; by default all, and opaque connections"),
    {.name = "maxConcurrent",
     .type = VALUE_INTEGER,
     POOL(max_concurrent),
     .min = 1,
     .max = BULKHEAD_SLOTS_MAX,
     .describes = "so many run at once; needed where the pool does not adapt"},
    {.name = "adaptive",
     .type = VALUE_OBJECT,
     .object = &adaptive_table,
     .describes = "in the place of maxConcurrent: it is learnt from how long answers take"},
    {.name = "maxQueue",
     .type = VALUE_INTEGER,
     POOL(max_queue),
     .max = BULKHEAD_QUEUE_MAX,
     .fallback = "100",
     .describes = "so many more wait; where all places are taken the last in the order is refused; 0: nobody waits"},
    {.name = "queueTimeout",
     .type = VALUE_DURATION,
     POOL(queue_timeout),
     .max = HOUR,
     .fallback = "1s",
     .describes = "none waits longer; 0s: until its deadline"},
    {.name = "countUpgrades", .type = VALUE_BOOL, POOL(counts_upgrades), .fallback = "false", .describes = "a WebSocket keeps its slot to its end"},
    {.name = "perKey", .type = VALUE_OBJECT, .object = &key_table, .describes = "a share of the pool for each value of a key"},
    {0}};
static const struct table pool_table = {.describes = "which requests, and how many of them run at once",
                                        .rows = pool_rows,
                                        .size = sizeof(struct bulkhead_pool_spec),
                                        .has_place = true,
                                        .place_offset = offsetof(struct bulkhead_pool_spec, place),
                                        .unique_key = "name"};

static const struct choice sources[] = {{"Header", 0, false, "the value of a header"}, {"JWTClaim", 0, true, NULL}, {0}};
static const struct row source_rows[] = {
    {.name = "type", .type = VALUE_ENUM, SPEC(priority_source), .choices = sources, .is_required = true, .describes = "what of the request"},
    {.name = "name", .type = VALUE_TEXT, SPEC(config.priority.header), .is_required = true, .describes = "which header"},
    {0}};
static const struct table source_table = {.describes = "where a request says its class", .rows = source_rows};
static const struct row priority_rows[] = {
    {.name = "from", .type = VALUE_OBJECT, .object = &source_table, .is_required = true, .describes = "where a request says its class"},
    {.name = "classes",
     .type = VALUE_LIST,
     .item = VALUE_LABEL,
     ROW_LIST(struct bulkhead_spec, config.priority.classes, config.priority.class_count),
     .min = 1,
     .max = 16,
     .is_required = true,
     .describes = "the values, the most important first"},
    {.name = "default",
     .type = VALUE_LABEL,
     SPEC(priority_default),
     .is_required = true,
     .describes = "the class of a request that says none, or what is none of them"},
    {0}};
static const struct table priority_table = {
    .describes = "who is served first: the highest class that waits, in it the earliest deadline, in that who came first", .rows = priority_rows};

static const struct choice sides[] = {{"Callee", SIDE_CALLEE, false, "beside the target, where a proxy of ours is; else at its callers"},
                                      {"Caller", SIDE_CALLER, false, "in the proxies of its callers, each by itself"},
                                      {0}};
static const struct row bulkhead_rows[] = {
    TARGET_REFS_ROW,
    POLICY_MODE_ROW("whether requests wait and are refused, or it is only told which would"),
    {.name = "pools",
     .type = VALUE_LIST,
     .item = VALUE_OBJECT,
     .object = &pool_table,
     ROW_LIST(struct bulkhead_spec, pools, pool_count),
     .min = 1,
     .max = 32,
     .is_required = true,
     .describes = "a request is in the first that matches it; in none, it is not limited"},
    {.name = "priority", .type = VALUE_OBJECT, .object = &priority_table, .describes = "who of those that wait is served first"},
    {.name = "side", .type = VALUE_ENUM, SPEC(side), .choices = sides, .fallback = "Callee", .describes = "in whose proxy it acts"},
    {0}};
const struct table bulkhead_table = {.describes = "how many requests run at once, and who of the others waits: 503 for those that are too many",
                                     .rows = bulkhead_rows,
                                     .size = sizeof(struct bulkhead_spec)};

static bool is_for_all(const struct bulkhead_pool_spec *pool) {
    return pool->match_count == 0;
}

bool bulkhead_has_rest(const struct bulkhead_spec *spec) {
    for (uint32_t i = 0; i < spec->pool_count; i++)
        if (is_for_all(&spec->pools[i]))
            return true;
    return false;
}

static void check_number(struct document *document, struct bulkhead_pool_config *pool, const struct node *node) {
    const struct node *adaptive = node_find(node, "adaptive");
    const struct node *fixed = node_find(node, "maxConcurrent");
    if (adaptive == NULL) {
        pool->adaptive.min = pool->adaptive.max = 0;
        if (fixed == NULL)
            document_error(document, node, "maxConcurrent", "is required, or adaptive: how many run at once");
        return;
    }
    if (fixed != NULL)
        document_error(document, fixed, NULL, "is not for a pool with `adaptive`, which learns it; allowed: one of them");
    pool->max_concurrent = 0;
    if (!adaptive->bad && pool->adaptive.min > pool->adaptive.max)
        document_error(document, adaptive, "min", "%u is more than max, %u", pool->adaptive.min, pool->adaptive.max);
}

// Of a host in another form no request is: they are compared as canonical ones.
static void warn_of_host(struct document *document, struct bytes value, const struct node *node) {
    struct pool *scratch = document->loading->scratch;
    const bool is_valid = authority_is_valid(value);
    const struct bytes plain = is_valid ? canonical_authority(value, BYTES("http"), scratch) : BYTES("one");
    const bool is_canonical = is_valid && (bytes_equal(value, plain) || bytes_equal(value, canonical_authority(value, BYTES("https"), scratch)));
    if (!is_canonical)
        document_warning(document, node_find(node, "value"), NULL, "no request has the host \"%.*s\"; in the form that is compared it is %.*s",
                         BYTES_FORMAT(value), BYTES_FORMAT(plain));
}

static void check_hosts(struct document *document, const struct bulkhead_pool_config *pool, const struct node *overrides) {
    const struct request_key *key = &pool->per_key.key;
    if (key->count != 1 || key->parts[0].type != KEY_HEADER || !bytes_equal_nocase(key->parts[0].name, BYTES("host")))
        return;
    for (uint32_t i = 0; i < pool->per_key.override_count; i++)
        if (document_has(node_item(overrides, i), "value"))
            warn_of_host(document, pool->per_key.overrides[i].value, node_item(overrides, i));
}

static void check_shares(struct document *document, const struct bulkhead_pool_config *pool, const struct node *node) {
    const struct node *per_key = node_find(node, "perKey");
    const struct request_key *key = &pool->per_key.key;
    request_key_check(document, key, node_find(per_key, "key"));
    if (pool->per_key.override_count > 0 && key->count > 0 && (key->count > 1 || key->parts[0].type == KEY_CLIENT_ADDRESS))
        document_error(document, node_find(per_key, "overrides"), NULL,
                       "name values of a key of one part that is no ClientAddress; allowed: such a key");
    check_hosts(document, pool, node_find(per_key, "overrides"));
    const uint32_t most = pool->max_concurrent > 0 ? pool->max_concurrent : pool->adaptive.max;
    if (document_has(per_key, "maxConcurrent") && pool->per_key.max_concurrent >= most && most > 0)
        document_warning(document, node_find(per_key, "maxConcurrent"), NULL, "a share of %u is all of the pool, which has %u: one key can fill it",
                         pool->per_key.max_concurrent, most);
}

// What comes behind a pool for all requests is in none of their ways, and gets none.
static void warn_of_rest(struct document *document, const struct bulkhead_spec *spec, const struct node *pools) {
    for (uint32_t i = 0; i + 1 < spec->pool_count; i++)
        if (is_for_all(&spec->pools[i])) {
            document_warning(document, node_item(pools, i + 1), NULL, "is behind %.*s, which takes all requests: it gets none",
                             BYTES_FORMAT(spec->pools[i].pool.name));
            return;
        }
    if (spec->pool_count > 0 && !bulkhead_has_rest(spec))
        document_warning(document, pools, NULL,
                         "no pool is for all requests: what none of them matches is not limited; a last one without `matches` would be for the rest");
}

static void check_classes(struct document *document, struct bulkhead_spec *spec, const struct node *priority) {
    const struct bytes *classes = spec->config.priority.classes;
    const uint32_t count = spec->config.priority.class_count;
    if (!document_has(priority, "default") || !document_has(priority, "classes"))
        return;
    for (uint32_t i = 0; i < count; i++) {
        spec->config.priority.fallback = i;
        if (bytes_equal(classes[i], spec->priority_default))
            return;
    }
    document_error(document, node_find(priority, "default"), NULL, "\"%.*s\" is none of `classes`", BYTES_FORMAT(spec->priority_default));
}

static void check_priority(struct document *document, struct bulkhead_spec *spec, const struct node *priority) {
    const struct node *from = node_find(priority, "from");
    const struct bytes header = spec->config.priority.header;
    if (document_has(from, "name") && !is_token(header))
        document_error(document, node_find(from, "name"), NULL, "\"%.*s\" is no name of a field", BYTES_FORMAT(header));
    else if (document_has(from, "name") && !edge_field_is_guarded(header))
        document_warning(document, node_find(from, "name"), NULL,
                         "%.*s is no field that gateways take off: clients from outside can choose their class by it; x-priority is one",
                         BYTES_FORMAT(header));
    check_classes(document, spec, priority);
}

void bulkhead_check(struct document *document) {
    struct bulkhead_spec *spec = document->spec;
    const struct node *pools = node_find(document->spec_node, "pools");
    const struct node *priority = node_find(document->spec_node, "priority");
    targets_check(document);
    for (uint32_t i = 0; i < spec->pool_count; i++) {
        struct bulkhead_pool_spec *pool = &spec->pools[i];
        const struct node *node = node_item(pools, i);
        http_matches_check(document, pool->matches, pool->match_count, node_find(node, "matches"));
        check_number(document, &pool->pool, node);
        check_shares(document, &pool->pool, node);
    }
    warn_of_rest(document, spec, pools);
    if (priority != NULL && !priority->bad)
        check_priority(document, spec, priority);
}
