// A service out of its names: the set of its endpoints, and what there is to say of it.
#include "upstream/resolver_private.h"

#include "base/check.h"

// As many as a document may list.
#define ENDPOINTS_MAX 10000

struct gathering {
    struct endpoint_set *set;
    uint32_t capacity;
    struct map seen; // address and traits: two names may lead to one place
    bool awaits;     // some name has no answer at all so far
    const struct resolved_name *failed;
    const struct endpoint_traits *last_of, *last; // the newest that were made for SRV records, and of which
};

static void add_endpoint(struct gathering *gathering, const struct endpoint_config *endpoint) {
    struct endpoint_set *set = gathering->set;
    struct {
        struct endpoint_address address;
        const struct endpoint_traits *traits;
    } identity;
    memset(&identity, 0, sizeof identity);
    identity.address = endpoint->address;
    identity.traits = endpoint->traits;
    struct bytes key = bytes_from((const char *)&identity, sizeof identity);
    if (set->count == ENDPOINTS_MAX || map_get(&gathering->seen, key) != NULL)
        return;
    map_put(&gathering->seen, key, set);
    if (set->count == gathering->capacity) {
        uint32_t capacity = gathering->capacity == 0 ? 16 : 2 * gathering->capacity;
        struct endpoint_config *larger = pool_alloc(&set->pool, capacity * sizeof *larger);
        if (set->count > 0)
            memcpy(larger, set->endpoints, set->count * sizeof *larger);
        set->endpoints = larger;
        gathering->capacity = capacity;
    }
    set->endpoints[set->count++] = *endpoint;
}

static struct endpoint_address address_of(const struct dns_record *record, uint16_t port) {
    struct endpoint_address address = {.port = port, .version = record->type == DNS_TYPE_A ? 4 : 6};
    if (record->type == DNS_TYPE_A)
        memcpy(address.ip, &record->v4, sizeof record->v4);
    else
        memcpy(address.ip, &record->v6, sizeof record->v6);
    return address;
}

static void note_state(struct gathering *gathering, const struct resolved_name *name) {
    if (!name->asked)
        gathering->awaits = true;
    else if (!name->answered && (gathering->failed == NULL || name->outcome == DNS_TIMEOUT))
        gathering->failed = name;
}

// `endpoint` has all but the address.
static void add_addresses(struct gathering *gathering, const struct resolved_name *name, struct endpoint_config endpoint) {
    note_state(gathering, name);
    for (uint32_t i = 0; i < name->answer.count; i++) {
        endpoint.address = address_of(&name->answer.records[i], endpoint.address.port);
        add_endpoint(gathering, &endpoint);
    }
}

// What endpoints of a record have in common: as the document says, but for the priority. Records of one priority share it.
static const struct endpoint_traits *traits_with(struct gathering *gathering, const struct endpoint_traits *traits, uint16_t priority) {
    uint32_t wanted = traits->priority * (UINT16_MAX + 1) + priority;
    if (gathering->last_of == traits && gathering->last->priority == wanted)
        return gathering->last;
    struct endpoint_traits *made = pool_alloc(&gathering->set->pool, sizeof *made);
    *made = *traits;
    made->priority = wanted;
    gathering->last_of = traits;
    gathering->last = made;
    return made;
}

// RFC 2782: the lowest number of a priority first, the others where none of it can be had. Of one priority each record has its share by weight, where 0 stands for a very small one,
// and for an equal one when none has more.
static void add_services(struct gathering *gathering, const struct resolved_name *name, struct endpoint_config endpoint) {
    const struct endpoint_traits *traits = endpoint.traits;
    bool is_drained = endpoint.weight == 0;
    note_state(gathering, name);
    for (uint32_t i = 0; i < name->answer.count; i++) {
        const struct dns_record *record = &name->answer.records[i];
        if (name->answer.targets[i] == NULL)
            continue;
        endpoint.traits = traits_with(gathering, traits, record->priority);
        endpoint.address.port = record->port;
        endpoint.weight = is_drained ? 0 : record->weight > 0 ? record->weight : 1;
        add_addresses(gathering, name->answer.targets[i], endpoint);
    }
}

static void gather(struct gathering *gathering, const struct resolved_service *service) {
    const struct service_config *config = service->config;
    for (uint32_t i = 0; i < config->source_count; i++) {
        if (service->names[i] == NULL)
            add_endpoint(gathering, &config->sources[i].endpoint);
        else if (config->resolution == RESOLUTION_SRV)
            add_services(gathering, service->names[i], config->sources[i].endpoint);
        else
            add_addresses(gathering, service->names[i], config->sources[i].endpoint);
    }
}

static void note_why_none(struct gathering *gathering) {
    struct endpoint_set *set = gathering->set;
    if (gathering->awaits) {
        set->error = ERROR_CANCELLED;
        return;
    }
    const struct resolved_name *failed = gathering->failed;
    set->error = failed != NULL && failed->outcome == DNS_TIMEOUT ? ERROR_DNS_TIMEOUT : ERROR_DNS_ERROR;
    set->detail = failed != NULL ? pool_format(&set->pool, "%.*s: %s", BYTES_FORMAT(failed->name), dns_outcome_name(failed->outcome))
                                 : BYTES("the records say that the service is not available");
}

static uint64_t digest_of(const struct endpoint_set *set) {
    uint64_t digest = hash_bytes(bytes_from((const char *)&set->error, sizeof set->error)) ^ hash_bytes(set->detail);
    for (uint32_t i = 0; i < set->count; i++) {
        digest = digest * 31 + hash_bytes(endpoint_address_bytes(&set->endpoints[i].address));
        digest = digest * 31 + set->endpoints[i].weight;
        digest = digest * 31 + set->endpoints[i].traits->priority;
        digest = digest * 31 + hash_bytes(set->endpoints[i].traits->peer_key);
        digest = digest * 31 + hash_bytes(set->endpoints[i].traits->zone);
        digest = digest * 31 + hash_bytes(set->endpoints[i].traits->region);
    }
    return digest == 0 ? 1 : digest;
}

void resolved_service_publish(struct resolver *resolver, struct resolved_service *service, bool always) {
    struct gathering gathering = {.set = endpoint_set_create(resolver->snapshot, service->config)};
    map_init(&gathering.seen);
    gather(&gathering, service);
    map_dispose(&gathering.seen);
    if (gathering.set->count == 0)
        note_why_none(&gathering);
    gathering.set->home = resolver->loop;
    gathering.set->digest = digest_of(gathering.set);
    bool is_due = always || gathering.set->digest != service->digest;
    service->digest = gathering.set->digest;
    if (is_due)
        resolver->options.publish(resolver->options.owner, gathering.set);
    else
        endpoint_set_unref(gathering.set);
}

static bool is_touched(const struct resolved_name *name) {
    if (name == NULL)
        return false;
    bool touched = name->changed;
    for (uint32_t i = 0; name->answer.targets != NULL && i < name->answer.count && !touched; i++)
        touched = name->answer.targets[i] != NULL && name->answer.targets[i]->changed;
    return touched;
}

bool resolved_service_is_touched(const struct resolved_service *service) {
    for (uint32_t i = 0; i < service->config->source_count; i++)
        if (is_touched(service->names[i]))
            return true;
    return false;
}

// --- for people ---

static void describe(const struct resolved_name *name, struct resolved_name_state *state) {
    nanoseconds now = name->resolver->loop->now;
    nanoseconds next = name->timer.expiry_ms * NS_PER_MS;
    *state = (struct resolved_name_state){
        .name = name->name,
        .kind = name->kind,
        .state = resolved_name_state(name),
        .asked = name->asked,
        .outcome = name->outcome,
        .records = name->answer.count,
        .ttl_s = name->ttl_s,
        .answered_wall = name->answered_wall,
        .failures = name->failures,
        .next = timer_is_running(&name->timer) && next > now ? next - now : 0,
    };
}

// What is to be told, counted though there is no room for it.
struct telling {
    struct resolved_name_state *states;
    uint32_t max;
    uint32_t count;
};

static void tell(struct telling *telling, const struct resolved_name *name) {
    if (telling->count++ < telling->max)
        describe(name, &telling->states[telling->count - 1]);
}

static void tell_targets(struct telling *telling, const struct name_answer *answer) {
    for (uint32_t i = 0; answer->targets != NULL && i < answer->count; i++)
        if (answer->targets[i] != NULL)
            tell(telling, answer->targets[i]);
}

uint32_t resolver_names(const struct resolver *resolver, const struct service_config *config, struct resolved_name_state *states, uint32_t max) {
    const struct resolved_service *service = map_get(&resolver->by_key, config->key);
    struct telling telling = {.states = states, .max = max};
    for (uint32_t i = 0; service != NULL && i < service->config->source_count; i++) {
        const struct resolved_name *name = service->names[i];
        if (name == NULL)
            continue;
        tell(&telling, name);
        tell_targets(&telling, &name->answer);
        if (name_has_newer(name))
            tell_targets(&telling, &name->newer);
    }
    return telling.count;
}
