// Binds a snapshot and its chains to a worker's live clusters; gives all back with the last pin.
#include "stream/bound.h"

#include "base/check.h"
#include "stream/backend_hash.h"
#include "stream/keepsake.h"
#include "stream/stream.h"

#include <stdlib.h>

// Of most nothing goes but a reference: about 20 ns each.
#define RELEASE_SLICE 256

// Streams looked at in one turn: some take a copy of what they need.
#define REVIEW_SLICE 64

void bound_let_go(struct bound_destination *destination) {
    while (destination->keepsakes != NULL) {
        struct keepsake *first = destination->keepsakes;
        destination->keepsakes = first->next;
        first->next = NULL;
        keepsake_unref(first);
    }
    if (destination->series != NULL)
        upstream_unref_series(destination->cluster->upstream, destination->series);
    if (destination->ends != NULL)
        upstream_unref_series(destination->cluster->upstream, destination->ends);
    destination->series = destination->ends = NULL;
    cluster_unref(destination->cluster);
}

static struct bytes label_of(const struct destination *config) {
    return config->rule != NULL ? config->rule->label : BYTES_NONE;
}

#define LABELS_BYTES_MAX (SERIES_LABELS_MAX * (SERIES_LABEL_NAME_MAX + 1))

// Names of the labels that its policies ask for, a NUL behind each.
static struct bytes write_labels(const struct destination *config, char text[LABELS_BYTES_MAX]) {
    const struct telemetry_rules *rules = config->telemetry;
    size_t length = 0;
    for (uint32_t i = 0; i < rules->metrics.label_count; i++) {
        const struct bytes name = rules->metrics.labels[i].name;
        CHECK(i < SERIES_LABELS_MAX && name.len <= SERIES_LABEL_NAME_MAX);
        memcpy(text + length, name.at, name.len);
        length += name.len;
        text[length++] = '\0';
    }
    return bytes_from(text, length);
}

static struct series_set *set_of(const struct bound_destination *destination) {
    return &destination->cluster->upstream->series;
}

static void find_series(struct bound_destination *destination) {
    const struct destination *config = destination->config;
    char labels[LABELS_BYTES_MAX];
    destination->series = series_scope_find(set_of(destination), config->service->key, label_of(config), write_labels(config, labels));
}

static void find_ends(struct bound_destination *destination) {
    destination->ends = series_scope_find(set_of(destination), destination->config->service->key, BYTES_NONE, BYTES_NONE);
}

struct bound_destination bound_share(const struct bound_destination *destination, const struct destination *config) {
    struct bound_destination shared = {.config = config, .cluster = destination->cluster, .role = destination->role};
    cluster_ref(shared.cluster);
    find_series(&shared);
    find_ends(&shared);
    return shared;
}

// Those that begin with it after all, on a listener that is gone but for its connections, look for themselves.
static void review(struct bound_snapshot *bound) {
    for (uint32_t i = 0; i < REVIEW_SLICE && !list_is_empty(&bound->streams); i++) {
        struct list *node = list_pop_front(&bound->streams);
        list_push_back(&bound->stayed, node);
        keepsake_take(LIST_ENTRY(node, struct stream, of_bound));
    }
    if (!list_is_empty(&bound->streams))
        loop_wake(bound->upstream->loop, &bound->task);
}

// A cluster that only this snapshot had goes with all its endpoints.
static void release(struct bound_snapshot *bound) {
    for (uint32_t i = 0; i < RELEASE_SLICE && bound->bound_count > 0; i++) {
        struct bound_destination *destination = &bound->destinations[--bound->bound_count];
        list_remove(&destination->of_cluster);
        bound_let_go(destination);
    }
    if (bound->bound_count > 0) {
        loop_wake(bound->upstream->loop, &bound->task);
        return;
    }
    CHECK(list_is_empty(&bound->streams) && list_is_empty(&bound->stayed));
    if (bound->matcher != NULL)
        regex_matcher_destroy(bound->matcher);
    metric_subtract(&bound->upstream->metrics->snapshots_bound, 1);
    free(bound->destinations);
    chain_set_give_back(bound->chains);
    free(bound);
}

static void run(struct task *task) {
    struct bound_snapshot *bound = CONTAINER_OF(task, struct bound_snapshot, task);
    if (bound->pins > 0)
        review(bound);
    else
        release(bound);
}

struct bound_snapshot *bound_create(struct upstream *upstream, struct chain_set *chains) {
    struct snapshot *snapshot = chains->snapshot;
    struct bound_snapshot *bound = alloc_zeroed_or_abort(1, sizeof *bound);
    bound->upstream = upstream;
    bound->snapshot = snapshot;
    bound->chains = chains;
    bound->pins = 1;
    bound->destinations = alloc_zeroed_or_abort(snapshot->destination_count + 1, sizeof bound->destinations[0]);
    bound->matcher = snapshot->has_regexes ? regex_matcher_create() : NULL;
    list_init(&bound->streams);
    list_init(&bound->stayed);
    task_init(&bound->task, run);
    metric_add(&upstream->metrics->snapshots_bound, 1);
    return bound;
}

bool bound_next(struct bound_snapshot *bound) {
    const uint32_t index = bound->bound_count;
    if (index == bound->snapshot->destination_count)
        return false;
    const struct destination *config = bound->snapshot->destinations[index];
    struct cluster *cluster = map_get(&bound->upstream->clusters, config->service->key);
    CHECK(cluster != NULL && config->index == index);
    cluster_ref(cluster);
    struct bound_destination *destination = &bound->destinations[index];
    *destination = (struct bound_destination){
        .config = config,
        .cluster = cluster,
        .chain = bound->chains->chains[index],
        .attempt_chain = bound->chains->attempt_chains[index],
        .role = chain_role(config->service),
    };
    list_init(&destination->of_cluster);
    list_push_back(&cluster->bound, &destination->of_cluster);
    find_series(destination);
    find_ends(destination);
    bound->bound_count++;
    return true;
}

void bound_unpin(struct bound_snapshot *bound) {
    CHECK(bound->pins > 0);
    if (--bound->pins == 0)
        loop_wake(bound->upstream->loop, &bound->task);
}

void bound_retire(struct bound_snapshot *bound) {
    bound->is_retired = true;
    if (!list_is_empty(&bound->streams))
        loop_wake(bound->upstream->loop, &bound->task);
    bound_unpin(bound);
}

struct series_scope *bound_series(struct bound_destination *destination) {
    if (destination->series != NULL)
        return destination->series;
    const struct destination *config = destination->config;
    const struct bytes label = label_of(config);
    char labels[LABELS_BYTES_MAX];
    destination->series = series_scope_take(set_of(destination), config->service->key, label, write_labels(config, labels));
    LIST_EACH(&destination->cluster->bound, node, following) {
        struct bound_destination *other = LIST_ENTRY(node, struct bound_destination, of_cluster);
        if (other->series == NULL && bytes_equal(label_of(other->config), label))
            find_series(other);
    }
    return destination->series;
}

struct series_scope *bound_ends(struct bound_destination *destination) {
    if (destination->ends != NULL)
        return destination->ends;
    destination->ends = series_scope_take(set_of(destination), destination->config->service->key, BYTES_NONE, BYTES_NONE);
    LIST_EACH(&destination->cluster->bound, node, following) {
        struct bound_destination *other = LIST_ENTRY(node, struct bound_destination, of_cluster);
        if (other->ends == NULL)
            find_ends(other);
    }
    return destination->ends;
}

struct bound_destination *bound_find(struct bound_snapshot *bound, const struct service_config *service) {
    CHECK(service->destination->index < bound->snapshot->destination_count);
    return &bound->destinations[service->destination->index];
}

struct bound_destination *bound_find_host(struct bound_snapshot *bound, struct bytes authority) {
    if (authority.len == 0)
        return NULL;
    size_t place = (authority.len + (unsigned char)authority.at[authority.len - 1]) % BOUND_HOSTS;
    struct bound_host *known = &bound->hosts[place];
    if (known->destination != NULL && bytes_equal(authority, bytes_from(known->authority, known->length)))
        return known->destination;
    const struct service_config *config = snapshot_find_host(bound->snapshot, authority, 80);
    if (config == NULL)
        return NULL;
    struct bound_destination *destination = bound_find(bound, config);
    if (authority.len <= sizeof known->authority) {
        known->destination = destination;
        known->length = (uint8_t)authority.len;
        memcpy(known->authority, authority.at, authority.len);
    }
    return destination;
}

// Smooth weighted round robin: each gains its weight, the one that is furthest behind gets the request and pays for all.
struct bound_destination *bound_choose(struct bound_snapshot *bound, const struct route_rule *rule) {
    struct bound_destination *chosen = &bound->destinations[rule->destinations[0]->index];
    if (rule->destination_count == 1)
        return chosen;
    for (uint32_t i = 0; i < rule->destination_count; i++) {
        struct bound_destination *destination = &bound->destinations[rule->destinations[i]->index];
        destination->share += destination->config->weight;
        if (destination->share > chosen->share || chosen->config->weight == 0)
            chosen = destination;
    }
    chosen->share -= (int64_t)rule->weights;
    return chosen;
}

struct bound_destination *bound_foresee(struct bound_snapshot *bound, const struct route_rule *rule) {
    struct bound_destination *chosen = &bound->destinations[rule->destinations[0]->index];
    for (uint32_t i = 1; i < rule->destination_count; i++) {
        struct bound_destination *destination = &bound->destinations[rule->destinations[i]->index];
        if (destination->share + destination->config->weight > chosen->share + chosen->config->weight || chosen->config->weight == 0)
            chosen = destination;
    }
    return chosen;
}

struct bound_destination *bound_choose_by_hash(struct bound_snapshot *bound, const struct route_rule *rule, uint64_t key) {
    return &bound->destinations[rule->destinations[backend_by_hash(rule, key)]->index];
}

static struct bound_destination *find_or_null(struct bound_snapshot *bound, const struct service_config *config) {
    return config == NULL ? NULL : bound_find(bound, config);
}

struct bound_destination *bound_find_server_name(struct bound_snapshot *bound, struct bytes name, uint16_t port) {
    return find_or_null(bound, snapshot_find_server_name(bound->snapshot, name, port));
}

struct bound_destination *bound_find_address(struct bound_snapshot *bound, const struct sockaddr *destination) {
    return find_or_null(bound, snapshot_find_destination(bound->snapshot, destination));
}
