// See health_checker.h. Endpoints live in clusters of the checker's own upstream, which follow the documents as those of workers do; each has a target, found by the key that workers share it by.
#include "upstream/health_checker.h"

#include "base/check.h"
#include "base/log.h"
#include "upstream/cluster.h"
#include "upstream/codec_limits.h"
#include "upstream/health_probe.h"
#include "upstream/health_state.h"

#include <stdlib.h>

// At a time: each is a connection. A check whose turn comes while so many are under way waits.
#define PROBES_MAX 64

// The first check of an endpoint comes within it: not all at once, and not after a whole long interval.
#define FIRST_WITHIN_NS NS_PER_S

// A service with healthCheck.
struct checked_service {
    struct cluster *cluster; // the checker's own; one reference
    struct bytes name;       // owned; what the service is called
    struct health_check_config check;
    struct bytes path, host, grpc_service; // owned, of `check`
    struct service_shared *shared;         // the workers'
    struct list targets;                   // struct target.link
    bool is_wanted;
};

// An endpoint of one.
struct target {
    struct health_checker *checker;
    struct checked_service *service;
    struct list link;               // of the service
    struct endpoint *endpoint;      // the checker's; one reference
    struct endpoint_shared *shared; // the workers'
    struct health_state state;
    struct timer timer;
    struct list waiting; // for a place among the probes
    struct health_probe *probe;
    nanoseconds begun; // the last check
    bool is_wanted;
};

struct health_checker {
    struct loop *loop;
    struct live_shared *shared;
    struct live_shared *own_shared; // of the upstream below
    struct h2_memory *h2_memory;
    struct worker_metrics metrics; // of its connections; nobody asks
    struct upstream upstream;
    struct map services; // key -> struct checked_service
    struct map targets;  // endpoint_shared.key -> struct target
    struct list waiting; // struct target.waiting, in the order of their turn
    uint32_t probing;
    bool is_stopped;
};

struct health_checker *health_checker_create(struct loop *loop, struct live_shared *shared) {
    struct health_checker *checker = alloc_zeroed_or_abort(1, sizeof *checker);
    checker->loop = loop;
    checker->shared = shared;
    checker->own_shared = live_shared_create();
    checker->h2_memory = h2_memory_create(&loop->now);
    upstream_init(&checker->upstream, loop, &checker->metrics, checker->own_shared, checker->h2_memory);
    map_init(&checker->services);
    map_init(&checker->targets);
    list_init(&checker->waiting);
    return checker;
}

struct upstream *health_checker_upstream(struct health_checker *checker) {
    return &checker->upstream;
}

// --- what came of a check ---

static void tell_workers(const struct target *target) {
    atomic_fetch_add_explicit(&target->service->shared->health_version, 1, memory_order_release);
}

static void set_unhealthy(struct target *target, bool unhealthy) {
    struct health_counts *counts = &target->service->shared->checks;
    if (atomic_load_explicit(&target->shared->is_unhealthy, memory_order_relaxed) == unhealthy)
        return;
    atomic_store_explicit(&target->shared->is_unhealthy, unhealthy, memory_order_relaxed);
    atomic_store_explicit(&target->shared->health_at, target->checker->loop->now, memory_order_relaxed);
    if (unhealthy)
        atomic_fetch_add_explicit(&counts->unhealthy, 1, memory_order_relaxed);
    else
        atomic_fetch_sub_explicit(&counts->unhealthy, 1, memory_order_relaxed);
    tell_workers(target);
}

static void change(struct target *target, int32_t cause) {
    struct health_counts *counts = &target->service->shared->checks;
    const struct bytes service = target->service->cluster->key, endpoint = target->endpoint->links->text;
    char why[CAUSE_TEXT_MAX];
    set_unhealthy(target, target->state.is_unhealthy);
    cause_print(cause, why);
    if (target->state.is_unhealthy) {
        atomic_fetch_add_explicit(&counts->became_unhealthy, 1, memory_order_relaxed);
        log_event(LOG_WARN, "endpoint_unhealthy", "service=%.*s endpoint=%.*s reason=\"%s\" checks=%u", BYTES_FORMAT(service), BYTES_FORMAT(endpoint),
                  why, target->service->check.unhealthy_after);
    } else {
        atomic_fetch_add_explicit(&counts->became_healthy, 1, memory_order_relaxed);
        log_event(LOG_INFO, "endpoint_healthy", "service=%.*s endpoint=%.*s checks=%u", BYTES_FORMAT(service), BYTES_FORMAT(endpoint),
                  target->service->check.healthy_after);
    }
}

static void begin_waiting(struct health_checker *checker);

static void await_turn(struct target *target, nanoseconds when) {
    timer_start(&target->checker->loop->timers, &target->timer, when);
}

// No descriptor, no memory, no identity of our own yet: nothing was learned of the endpoint.
static bool is_ours(const struct target *target, int32_t cause) {
    switch (cause) {
    case ERROR_POOL_FULL:
    case ERROR_NO_MEMORY:
    case ERROR_MEMORY_LIMIT:
    case ERROR_NO_ENDPOINT:
        return true;
    case ERROR_TLS_FAILED:
        return !upstream_has_credentials(&target->checker->upstream, target->endpoint->peer);
    default:
        return false;
    }
}

static void on_done(void *user, int32_t cause) {
    struct target *target = user;
    struct health_checker *checker = target->checker;
    struct health_counts *counts = &target->service->shared->checks;
    target->probe = NULL;
    checker->probing--;
    if (is_ours(target, cause)) {
        await_turn(target, target->begun + target->service->check.interval);
        begin_waiting(checker);
        return;
    }
    atomic_fetch_add_explicit(cause == 0 ? &counts->passed : &counts->failed, 1, memory_order_relaxed);
    atomic_store_explicit(&target->shared->checked_at, checker->loop->now, memory_order_relaxed);
    if (cause != 0)
        atomic_store_explicit(&target->shared->health_for, cause, memory_order_relaxed);
    atomic_store_explicit(&target->shared->is_checked, true, memory_order_relaxed);
    if (health_state_note(&target->state, &target->service->check, cause == 0))
        change(target, cause);
    await_turn(target, target->begun + target->service->check.interval);
    begin_waiting(checker);
}

// --- turns ---

static nanoseconds first_within(const struct checked_service *service) {
    return service->check.interval < FIRST_WITHIN_NS ? service->check.interval : FIRST_WITHIN_NS;
}

static void begin_check(struct target *target) {
    struct health_checker *checker = target->checker;
    checker->probing++;
    target->begun = checker->loop->now;
    const struct health_probe_order order = {
        .endpoint = target->endpoint, .check = &target->service->check, .host = target->service->name, .done = on_done, .user = target};
    target->probe = health_probe_start(&order);
}

static void begin_waiting(struct health_checker *checker) {
    while (checker->probing < PROBES_MAX && !checker->is_stopped) {
        struct list *first = list_pop_front(&checker->waiting);
        if (first == NULL)
            return;
        begin_check(LIST_ENTRY(first, struct target, waiting));
    }
}

static void on_turn(struct timer *timer) {
    struct target *target = CONTAINER_OF(timer, struct target, timer);
    const struct upstream *upstream = &target->checker->upstream;
    if (!upstream_has_credentials(upstream, target->endpoint->peer)) {
        await_turn(target, upstream->loop->now + first_within(target->service)); // nobody's failure but ours
        return;
    }
    list_push_back(&target->checker->waiting, &target->waiting);
    begin_waiting(target->checker);
}

static void give_up_turn(struct target *target) {
    loop_timer_stop(target->checker->loop, &target->timer);
    list_remove(&target->waiting);
    if (target->probe == NULL)
        return;
    health_probe_cancel(target->probe);
    target->probe = NULL;
    target->checker->probing--;
}

// --- which endpoints ---

static void add_target(struct health_checker *checker, struct checked_service *service, struct endpoint *endpoint) {
    struct target *target = alloc_zeroed_or_abort(1, sizeof *target);
    *target = (struct target){.checker = checker, .service = service, .endpoint = endpoint, .is_wanted = true};
    endpoint_ref(endpoint);
    endpoint_link(endpoint);
    target->shared = live_shared_endpoint(checker->shared, endpoint->shared->key);
    timer_init(&target->timer, on_turn);
    list_init(&target->waiting);
    list_init(&target->link);
    list_push_back(&service->targets, &target->link);
    map_put(&checker->targets, target->shared->key, target);
    if (!checker->is_stopped)
        await_turn(target, checker->loop->now + rng_next(&checker->loop->rng) % first_within(service));
}

static void drop_target(struct target *target) {
    struct health_checker *checker = target->checker;
    give_up_turn(target);
    set_unhealthy(target, false); // nobody would say otherwise any more
    list_remove(&target->link);
    map_remove(&checker->targets, target->shared->key);
    live_shared_endpoint_release(checker->shared, target->shared, target->service->shared);
    endpoint_unref(target->endpoint);
    free(target);
}

static void drop_unwanted_targets(struct checked_service *service) {
    LIST_EACH(&service->targets, node, following) {
        struct target *target = LIST_ENTRY(node, struct target, link);
        if (!target->is_wanted)
            drop_target(target);
        else
            target->is_wanted = false;
    }
}

// One of two endpoints at one address has gone, and it was the one that was asked.
static void take_endpoint(struct target *target, struct endpoint *endpoint) {
    target->is_wanted = true;
    if (target->endpoint->cluster != NULL)
        return;
    give_up_turn(target);
    endpoint_unref(target->endpoint);
    target->endpoint = endpoint;
    endpoint_ref(endpoint);
    if (!target->checker->is_stopped)
        await_turn(target, target->checker->loop->now);
}

static void follow_endpoints(struct health_checker *checker, struct checked_service *service) {
    const struct cluster *cluster = service->cluster;
    for (uint32_t i = 0; i < cluster->endpoint_count; i++) {
        struct endpoint *endpoint = cluster->endpoints[i];
        endpoint_link(endpoint);
        struct target *target = map_get(&checker->targets, endpoint->shared->key);
        if (target != NULL)
            take_endpoint(target, endpoint);
        else
            add_target(checker, service, endpoint);
    }
    drop_unwanted_targets(service);
}

// --- which services ---

// The texts of the policy are the snapshot's.
static void take_check(struct checked_service *service, const struct health_check_config *check) {
    struct bytes *kept[] = {&service->path, &service->host, &service->grpc_service};
    const struct bytes given[] = {check->path, check->host, check->grpc_service};
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
        bytes_drop(kept[i]);
        *kept[i] = bytes_keep(given[i]);
    }
    service->check = *check;
    service->check.path = service->path;
    service->check.host = service->host;
    service->check.grpc_service = service->grpc_service;
}

// What the checker's own cluster is to go by: the endpoints, and how connections to them are made.
static struct service_config config_of(const struct service_config *from) {
    struct service_config config = *from;
    config.traffic.load_balancer.type = LB_RANDOM; // no tables are made for it
    config.traffic.connections.max = 0;
    config.traffic.connections.max_pending = UINT32_MAX; // PROBES_MAX bounds them
    if (config.traffic.connections.connect_timeout > from->traffic.health_check.timeout)
        config.traffic.connections.connect_timeout = from->traffic.health_check.timeout; // a connection is of one check
    config.traffic.outlier.failure_threshold = 0;
    config.traffic.health_check.interval = 0;
    return config;
}

// A probe goes by the texts of the check that it began with; a turn may be nearer than it was.
static void turn_anew(struct target *target) {
    struct health_checker *checker = target->checker;
    const nanoseconds now = checker->loop->now;
    // Documents may change again and again: one that is cut off is made up for at once.
    const nanoseconds next = target->probe != NULL ? now : target->begun + target->service->check.interval;
    if (checker->is_stopped || target->begun == 0)
        return;
    give_up_turn(target);
    await_turn(target, next > now ? next : now);
}

static void follow_service(struct health_checker *checker, const struct service_config *from) {
    const struct service_config config = config_of(from);
    struct checked_service *service = map_get(&checker->services, from->key);
    if (service == NULL) {
        service = alloc_zeroed_or_abort(1, sizeof *service);
        service->cluster = cluster_create(&checker->upstream, &config);
        service->name = bytes_keep(from->name);
        list_init(&service->targets);
        service->shared = live_shared_service(checker->shared, from->key);
        map_put(&checker->services, service->cluster->key, service);
    } else if (service->cluster->config_digest != from->digest) {
        cluster_update(service->cluster, &config);
    } else {
        service->is_wanted = true;
        return;
    }
    service->is_wanted = true;
    take_check(service, &from->traffic.health_check);
    follow_endpoints(checker, service);
    LIST_EACH(&service->targets, node, following)
        turn_anew(LIST_ENTRY(node, struct target, link));
}

static void drop_service(struct health_checker *checker, struct checked_service *service) {
    drop_unwanted_targets(service);
    map_remove(&checker->services, service->cluster->key);
    live_shared_service_release(checker->shared, service->cluster->key);
    cluster_drop(service->cluster);
    bytes_drop(&service->name);
    bytes_drop(&service->path);
    bytes_drop(&service->host);
    bytes_drop(&service->grpc_service);
    free(service);
}

// Those that no snapshot has, or all, where nobody has said that one does.
static void drop_unwanted_services(struct health_checker *checker) {
    struct checked_service **all = alloc_zeroed_or_abort(checker->services.count + 1, sizeof(struct checked_service *));
    uint32_t count = 0, position = 0;
    struct bytes key;
    void *value;
    while (map_next(&checker->services, &position, &key, &value))
        all[count++] = value;
    for (uint32_t i = 0; i < count; i++) {
        if (!all[i]->is_wanted)
            drop_service(checker, all[i]);
        else
            all[i]->is_wanted = false;
    }
    free(all);
}

void health_checker_apply(struct health_checker *checker, const struct snapshot *snapshot) {
    const struct limits_config *limits = &snapshot->proxy.limits;
    checker->upstream.buffer_per_stream = limits->buffer_per_stream;
    checker->upstream.codec_limits = codec_limits_of(limits, limits->buffer_per_stream);
    for (uint32_t i = 0; i < snapshot->service_count; i++) {
        const struct service_config *service = snapshot->services[i];
        if (service->traffic.health_check.interval > 0 && !service->is_application && !service->is_passthrough && service->gateway == NULL)
            follow_service(checker, service);
    }
    drop_unwanted_services(checker);
}

void health_checker_set_endpoints(struct health_checker *checker, struct endpoint_set *set) {
    struct checked_service *service = map_get(&checker->services, set->service->key);
    if (service == NULL)
        return;
    cluster_set_endpoints(service->cluster, endpoint_set_ref(set));
    follow_endpoints(checker, service);
}

// --- the end ---

void health_checker_stop(struct health_checker *checker) {
    uint32_t position = 0;
    struct bytes key;
    void *value;
    checker->is_stopped = true;
    while (map_next(&checker->targets, &position, &key, &value))
        give_up_turn(value);
}

void health_checker_close(struct health_checker *checker) {
    health_checker_stop(checker);
    drop_unwanted_services(checker);
    upstream_close_all(&checker->upstream);
}

void health_checker_destroy(struct health_checker *checker) {
    CHECK(checker->targets.count == 0 && checker->probing == 0);
    map_dispose(&checker->services);
    map_dispose(&checker->targets);
    upstream_dispose(&checker->upstream);
    h2_memory_destroy(checker->h2_memory);
    live_shared_destroy(checker->own_shared);
    free(checker);
}
