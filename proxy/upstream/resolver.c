// See resolver.h. A name's answer, once good, is replaced by good ones alone; SRV records are good once a target of theirs has an address. Names that have changed are marked, and a task makes new sets for the services that use them: many answers of
// one turn are one change.
#include "upstream/resolver.h"

#include "base/check.h"
#include "base/log.h"
#include "upstream/resolver_private.h"

#include <stdlib.h>

// A look-up may take as long as that.
#define LOOKUP_TIMEOUT_NS (5 * NS_PER_S)

// An answer is good for as long as its TTL says, within these bounds: a server that says 0 is not asked more often, and one that says days is not believed for so long.
#define TTL_LEAST_S 1
#define TTL_MOST_S 3600

// After a failure it is asked again after one second, then two, and so on.
#define BACKOFF_FIRST_NS NS_PER_S
#define BACKOFF_MOST_NS (30 * NS_PER_S)

// Targets of the SRV records of one name; the rest is left out.
#define TARGETS_MAX 256

_Static_assert(DNS_METRIC_OUTCOMES == DNS_OUTCOME_COUNT, "each outcome is counted");

static void begin_next(struct resolver *resolver);
static struct resolved_name *acquire_name(struct resolver *resolver, enum dns_kind kind, struct bytes text);
static void release_name(struct resolved_name *name);

// --- a name's time ---

// Up to a tenth sooner, at random: names that were answered together do not stay together, and the new answer is there when the old one ends.
static nanoseconds soon(struct resolver *resolver, nanoseconds whole) {
    return rng_shortened(&resolver->loop->rng, whole);
}

static nanoseconds until_refresh(struct resolved_name *name) {
    if (name->outcome != DNS_FOUND) {
        CHECK(name->failures > 0);
        uint32_t doublings = name->failures < 6 ? name->failures - 1 : 5;
        nanoseconds wait = BACKOFF_FIRST_NS << doublings;
        return soon(name->resolver, wait < BACKOFF_MOST_NS ? wait : BACKOFF_MOST_NS);
    }
    if (name->ttl_s <= TTL_LEAST_S)
        return TTL_LEAST_S * NS_PER_S;
    return soon(name->resolver, (name->ttl_s < TTL_MOST_S ? name->ttl_s : TTL_MOST_S) * NS_PER_S);
}

static void ask_in_turn(struct resolved_name *name) {
    lookup_queue_add(&name->resolver->queue, &name->turn);
    begin_next(name->resolver);
}

static void on_refresh(struct timer *timer) {
    ask_in_turn(CONTAINER_OF(timer, struct resolved_name, timer));
}

// --- answers ---

static bool is_same_record(const struct dns_record *a, const struct dns_record *b) {
    if (a->type != b->type)
        return false;
    switch (a->type) {
    case DNS_TYPE_A:
        return memcmp(&a->v4, &b->v4, sizeof a->v4) == 0;
    case DNS_TYPE_AAAA:
        return memcmp(&a->v6, &b->v6, sizeof a->v6) == 0;
    default:
        return a->priority == b->priority && a->weight == b->weight && a->port == b->port && bytes_equal(a->target, b->target);
    }
}

// Of an answer so many are kept: the first in the order of priority.
static uint32_t kept_of(enum dns_kind kind, const struct dns_result *result) {
    return kind == DNS_SERVICES && result->count > TARGETS_MAX ? TARGETS_MAX : result->count;
}

static bool is_same_answer(enum dns_kind kind, const struct name_answer *answer, const struct dns_result *result) {
    if (answer->count != kept_of(kind, result))
        return false;
    for (uint32_t i = 0; i < answer->count; i++)
        if (!is_same_record(&answer->records[i], &result->records[i]))
            return false;
    return true;
}

static void release_answer(struct name_answer *answer) {
    for (uint32_t i = 0; answer->targets != NULL && i < answer->count; i++)
        if (answer->targets[i] != NULL)
            release_name(answer->targets[i]);
    free(answer->targets);
    answer->targets = NULL;
    pool_dispose(&answer->pool);
}

// The targets of SRV records are whole names: no search domain is tried for them.
static struct resolved_name **acquire_targets(struct resolver *resolver, const struct dns_record *records, uint32_t count) {
    struct resolved_name **targets = alloc_zeroed_or_abort(count + 1, sizeof(struct resolved_name *));
    for (uint32_t i = 0; i < count; i++) {
        char whole[DNS_NAME_MAX + 2];
        if (records[i].target.len == 0)
            continue;
        CHECK(records[i].target.len <= DNS_NAME_MAX);
        memcpy(whole, records[i].target.at, records[i].target.len);
        whole[records[i].target.len] = '.';
        targets[i] = acquire_name(resolver, DNS_ADDRESSES, bytes_from(whole, records[i].target.len + 1));
    }
    return targets;
}

static void keep_answer(struct resolved_name *name, const struct dns_result *result, struct name_answer *answer) {
    const uint32_t count = kept_of(name->kind, result);
    *answer = (struct name_answer){.count = count};
    pool_init(&answer->pool, &name->resolver->loop->pools);
    answer->records = pool_alloc(&answer->pool, (count + 1) * sizeof answer->records[0]);
    for (uint32_t i = 0; i < count; i++) {
        answer->records[i] = result->records[i];
        answer->records[i].target = pool_copy(&answer->pool, result->records[i].target);
    }
    if (name->kind == DNS_SERVICES)
        answer->targets = acquire_targets(name->resolver, answer->records, count);
}

static void mark_changed(struct resolved_name *name) {
    name->changed = true;
    loop_wake(name->resolver->loop, &name->resolver->work);
}

// Whether it may follow `before`: not while SRV records that name targets lead nowhere, and those before lead somewhere. Records that name none ("not available") may always.
static bool may_follow(const struct name_answer *answer, const struct name_answer *before) {
    bool leads = false, names_any = false, led = false;
    for (uint32_t i = 0; answer->targets != NULL && i < answer->count; i++) {
        names_any |= answer->targets[i] != NULL;
        leads |= answer->targets[i] != NULL && answer->targets[i]->answer.count > 0;
    }
    for (uint32_t i = 0; before->targets != NULL && i < before->count; i++)
        led |= before->targets[i] != NULL && before->targets[i]->answer.count > 0;
    return leads || !names_any || !led;
}

static void drop_newer(struct resolved_name *name) {
    if (!name_has_newer(name))
        return;
    list_remove(&name->held);
    release_answer(&name->newer);
}

// Puts the newer answer in force.
static void follow(struct resolved_name *name) {
    struct name_answer before = name->answer;
    list_remove(&name->held);
    name->answer = name->newer;
    release_answer(&before); // targets that stay are held by the new ones
    mark_changed(name);
}

// What comes now is compared with what came last, be that in force or not.
static bool take_records(struct resolved_name *name, const struct dns_result *result) {
    struct name_answer fresh;
    if (name->answered && is_same_answer(name->kind, name_has_newer(name) ? &name->newer : &name->answer, result))
        return false;
    if (name->answered && is_same_answer(name->kind, &name->answer, result)) { // a mistake was taken back
        drop_newer(name);
        return true;
    }
    keep_answer(name, result, &fresh);
    drop_newer(name); // behind the fresh one, which may share targets
    name->newer = fresh;
    list_push_back(&name->resolver->held, &name->held);
    if (may_follow(&name->newer, &name->answer))
        follow(name);
    return true;
}

static void take_answer(struct resolved_name *name, const struct dns_result *result) {
    bool is_same = !take_records(name, result);
    const struct name_answer *newest = name_has_newer(name) ? &name->newer : &name->answer;
    if (!is_same || name->failures > 0)
        log_event(LOG_INFO, "dns_answer", "name=%.*s records=%u ttl_s=%u failures_before=%u in_force=%s", BYTES_FORMAT(name->key), newest->count,
                  result->ttl_s, name->failures, name_has_newer(name) ? "\"once a target has an address\"" : "now");
    if (!name_has_newer(name))
        name->answer.confirmed_at = name->resolver->loop->now;
    name->answered = true;
    name->answered_wall = name->resolver->options.wall_clock();
    name->ttl_s = result->ttl_s;
    name->failures = 0;
}

// Whoever has a good answer keeps it; the others are told what is wrong.
static void take_failure(struct resolved_name *name, enum dns_outcome before) {
    name->failures++;
    if (name->failures == 1 || name->outcome != before)
        log_event(LOG_WARN, "dns_failed", "name=%.*s outcome=%s records_kept=%u", BYTES_FORMAT(name->key), dns_outcome_name(name->outcome),
                  name->answer.count);
    if (!name->answered && (!name->asked || name->outcome != before))
        mark_changed(name);
}

static void count_lookup(struct resolver *resolver, enum dns_outcome outcome, nanoseconds took) {
    resolver->metrics.lookups[outcome]++;
    resolver->metrics.buckets[duration_bucket(took)]++;
    resolver->metrics.took += took;
}

static void on_done(void *user, const struct dns_result *result) {
    struct resolved_name *name = user;
    struct resolver *resolver = name->resolver;
    enum dns_outcome before = name->outcome;
    name->lookup = NULL;
    lookup_queue_end(&resolver->queue, &name->turn, result->outcome == DNS_TIMEOUT ? LOOKUP_TIMED_OUT : LOOKUP_ANSWERED);
    count_lookup(resolver, result->outcome, resolver->loop->now - name->begun);
    name->outcome = result->outcome;
    if (result->outcome == DNS_FOUND)
        take_answer(name, result);
    else
        take_failure(name, before);
    name->asked = true;
    if (name->outcome != DNS_FOUND || name->ttl_s != UINT32_MAX)
        loop_timer_start(resolver->loop, &name->timer, until_refresh(name));
    begin_next(resolver);
}

static void begin_next(struct resolver *resolver) {
    struct lookup_turn *turn;
    while ((turn = lookup_queue_next(&resolver->queue)) != NULL) {
        struct resolved_name *name = CONTAINER_OF(turn, struct resolved_name, turn);
        name->begun = resolver->loop->now;
        name->lookup = resolver->options.look_up(resolver->dns, name->name, name->kind, LOOKUP_TIMEOUT_NS, on_done, name);
    }
}

// --- names ---

static struct resolved_name *acquire_name(struct resolver *resolver, enum dns_kind kind, struct bytes text) {
    struct bytes prefix = kind == DNS_ADDRESSES ? BYTES("a ") : BYTES("srv ");
    char key[sizeof("srv ") + DNS_NAME_MAX + 1];
    CHECK(prefix.len + text.len <= sizeof key);
    memcpy(key, prefix.at, prefix.len);
    memcpy(key + prefix.len, text.at, text.len);
    struct bytes whole = bytes_from(key, prefix.len + text.len);
    struct resolved_name *name = map_get(&resolver->names, whole);
    if (name != NULL) {
        name->references++;
        return name;
    }
    name = alloc_zeroed_or_abort(1, sizeof *name);
    name->resolver = resolver;
    name->key = bytes_keep(whole);
    name->name = bytes_from(name->key.at + prefix.len, text.len);
    name->kind = kind;
    name->references = 1;
    lookup_turn_init(&resolver->queue, &name->turn, name->name);
    list_init(&name->held);
    timer_init(&name->timer, on_refresh);
    pool_init(&name->answer.pool, &resolver->loop->pools);
    map_put(&resolver->names, whole, name);
    ask_in_turn(name);
    return name;
}

static void release_name(struct resolved_name *name) {
    struct resolver *resolver = name->resolver;
    CHECK(name->references > 0);
    if (--name->references > 0)
        return;
    if (name->lookup != NULL)
        resolver->options.cancel(name->lookup);
    lookup_turn_dispose(&resolver->queue, &name->turn);
    loop_timer_stop(resolver->loop, &name->timer);
    map_remove(&resolver->names, name->key);
    drop_newer(name);
    release_answer(&name->answer);
    bytes_drop(&name->key);
    free(name);
}

// --- services ---

static void on_work(struct task *task) {
    struct resolver *resolver = CONTAINER_OF(task, struct resolver, work);
    LIST_EACH(&resolver->held, node, following) {
        struct resolved_name *name = LIST_ENTRY(node, struct resolved_name, held);
        if (!may_follow(&name->newer, &name->answer))
            continue;
        log_event(LOG_INFO, "dns_answer", "name=%.*s records=%u in_force=now", BYTES_FORMAT(name->key), name->newer.count);
        name->newer.confirmed_at = resolver->loop->now;
        follow(name);
    }
    for (uint32_t i = 0; i < resolver->service_count; i++)
        if (resolved_service_is_touched(&resolver->services[i]))
            resolved_service_publish(resolver, &resolver->services[i], false);
    uint32_t position = 0;
    struct bytes key;
    void *value;
    while (map_next(&resolver->names, &position, &key, &value)) {
        struct resolved_name *name = value;
        name->changed = false;
    }
}

static uint32_t count_resolved(const struct snapshot *snapshot) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < snapshot->service_count; i++)
        count += snapshot->services[i]->resolution != RESOLUTION_STATIC;
    return count;
}

static void release_services(struct resolved_service *services, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t j = 0; j < services[i].config->source_count; j++)
            if (services[i].names[j] != NULL)
                release_name(services[i].names[j]);
        free(services[i].names);
    }
    free(services);
}

static void add_service(struct resolver *resolver, const struct service_config *config) {
    struct resolved_service *service = &resolver->services[resolver->service_count++];
    *service = (struct resolved_service){.config = config};
    service->names = alloc_zeroed_or_abort(config->source_count + 1, sizeof(struct resolved_name *));
    for (uint32_t i = 0; i < config->source_count; i++)
        if (config->sources[i].name.len > 0)
            service->names[i] = acquire_name(resolver, config->resolution == RESOLUTION_SRV ? DNS_SERVICES : DNS_ADDRESSES, config->sources[i].name);
    map_put(&resolver->by_key, config->key, service);
}

// Other servers: what was asked of the old ones is asked anew.
static void follow_servers(struct resolver *resolver, struct bytes servers, bool needed) {
    if (resolver->dns != NULL && bytes_equal(servers, resolver->dns_servers))
        return;
    if (resolver->dns == NULL && !needed)
        return;
    uint32_t position = 0;
    struct bytes key;
    void *value;
    while (map_next(&resolver->names, &position, &key, &value)) {
        struct resolved_name *name = value;
        if (name->lookup == NULL)
            continue;
        resolver->options.cancel(name->lookup);
        name->lookup = NULL;
        lookup_queue_end(&resolver->queue, &name->turn, LOOKUP_CANCELLED);
        lookup_queue_add(&resolver->queue, &name->turn);
    }
    if (resolver->dns != NULL)
        dns_close(resolver->dns);
    bytes_drop(&resolver->dns_servers);
    resolver->dns_servers = bytes_keep(servers);
    resolver->dns = dns_create(resolver->loop, &(struct dns_options){.servers = servers.len > 0 ? resolver->dns_servers.at : NULL});
    begin_next(resolver);
}

void resolver_apply(struct resolver *resolver, struct snapshot *snapshot) {
    struct snapshot *snapshot_before = resolver->snapshot;
    struct resolved_service *before = resolver->services;
    uint32_t count_before = resolver->service_count;
    uint32_t count = count_resolved(snapshot);
    follow_servers(resolver, snapshot->proxy.dns_servers, count > 0);
    map_dispose(&resolver->by_key);
    map_init(&resolver->by_key);
    resolver->snapshot = snapshot_ref(snapshot);
    resolver->services = alloc_zeroed_or_abort(count + 1, sizeof *resolver->services);
    resolver->service_count = 0;
    for (uint32_t i = 0; i < snapshot->service_count; i++)
        if (snapshot->services[i]->resolution != RESOLUTION_STATIC)
            add_service(resolver, snapshot->services[i]);
    release_services(before, count_before); // names that stay are held by the new ones
    begin_next(resolver);                   // in the places of those that went
    if (snapshot_before != NULL)
        snapshot_unref(snapshot_before);
    for (uint32_t i = 0; i < resolver->service_count; i++)
        resolved_service_publish(resolver, &resolver->services[i], true);
}

// --- life ---

static void on_release(struct task *task) {
    struct resolver *resolver = CONTAINER_OF(task, struct resolver, release);
    resolver->loop->handles--;
    map_dispose(&resolver->names);
    map_dispose(&resolver->by_key);
    lookup_queue_dispose(&resolver->queue);
    bytes_drop(&resolver->dns_servers);
    free(resolver);
}

struct resolver *resolver_create(struct loop *loop, const struct resolver_options *options) {
    struct resolver *resolver = alloc_zeroed_or_abort(1, sizeof *resolver);
    resolver->loop = loop;
    resolver->options = *options;
    if (resolver->options.look_up == NULL) {
        resolver->options.look_up = dns_lookup_start;
        resolver->options.cancel = dns_lookup_cancel;
    }
    if (resolver->options.wall_clock == NULL)
        resolver->options.wall_clock = clock_wall_ns;
    map_init(&resolver->names);
    map_init(&resolver->by_key);
    lookup_queue_init(&resolver->queue);
    list_init(&resolver->held);
    task_init(&resolver->work, on_work);
    task_init(&resolver->release, on_release);
    loop->handles++;
    return resolver;
}

void resolver_close(struct resolver *resolver) {
    CHECK(!resolver->closing);
    resolver->closing = true;
    release_services(resolver->services, resolver->service_count);
    CHECK(resolver->names.count == 0);
    if (resolver->snapshot != NULL)
        snapshot_unref(resolver->snapshot);
    if (resolver->dns != NULL)
        dns_close(resolver->dns);
    task_cancel(&resolver->work);
    loop_defer(resolver->loop, &resolver->release);
}

enum dns_name_state resolved_name_state(const struct resolved_name *name) {
    if (name->answered)
        return name->failures == 0 && !name_has_newer(name) ? DNS_NAME_GOOD : DNS_NAME_STALE;
    return name->asked ? DNS_NAME_FAILED : DNS_NAME_WAITING;
}

void resolver_metrics(const struct resolver *resolver, struct dns_metrics *metrics) {
    *metrics = resolver->metrics;
    for (unsigned i = 0; i < DNS_METRIC_OUTCOMES; i++)
        metrics->outcomes[i] = dns_outcome_name((enum dns_outcome)i);
    uint32_t position = 0;
    struct bytes key;
    void *value;
    while (map_next(&resolver->names, &position, &key, &value)) {
        const struct resolved_name *name = value;
        enum dns_name_state state = resolved_name_state(name);
        metrics->names[state]++;
        nanoseconds age = state == DNS_NAME_STALE ? resolver->loop->now - name->answer.confirmed_at : 0;
        if (age > metrics->stale_age)
            metrics->stale_age = age;
    }
}
