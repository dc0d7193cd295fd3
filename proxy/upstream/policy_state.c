// See policy_state.h: a map under a mutex, which is taken when documents are read or go, and for a page of figures; never for a request.
#include "upstream/policy_state.h"

#include "base/check.h"
#include "base/map.h"
#include "base/pool.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct policy_state_set {
    pthread_mutex_t lock;
    struct map by_key;   // key -> struct policy_state, the newest of its key
    struct list states;  // all, those that newer ones have taken the place of too
    uint32_t count;      // of them
    uint32_t figures[2]; // that have figures of their own; of endpoints
    struct policy_totals gone;
};

static struct policy_state *create_counts(const void *config) {
    (void)config;
    return alloc_zeroed_or_abort(1, sizeof(struct policy_state));
}

static void destroy_counts(struct policy_state *state) {
    free(state);
}

const struct policy_state_type policy_state_counts = {.create = create_counts, .destroy = destroy_counts};

struct policy_state_set *policy_state_set_create(void) {
    struct policy_state_set *set = alloc_zeroed_or_abort(1, sizeof *set);
    pthread_mutex_init(&set->lock, NULL);
    map_init(&set->by_key);
    list_init(&set->states);
    return set;
}

void policy_state_set_destroy(struct policy_state_set *set) {
    CHECK(set->count == 0);
    map_dispose(&set->by_key);
    pthread_mutex_destroy(&set->lock);
    free(set);
}

static struct bytes put_part(char **at, struct bytes part) {
    struct bytes there = bytes_from(*at, part.len);
    memcpy(*at, part.at, part.len);
    (*at)[part.len] = '\n';
    *at += part.len + 1;
    return there;
}

// The key, owned, and its parts in it.
static void name_state(struct policy_state *named, struct bytes policy, struct bytes rule, struct bytes target) {
    char *text = alloc_zeroed_or_abort(1, policy.len + rule.len + target.len + 3);
    char *at = text;
    named->policy = put_part(&at, policy);
    named->rule = put_part(&at, rule);
    named->target = put_part(&at, target);
    named->key = bytes_from(text, (size_t)(at - text));
}

// Under the lock.
static void give_figures(struct policy_state_set *set, struct policy_state *state) {
    uint32_t *count = &set->figures[state->type->is_of_endpoint];
    state->has_figures = *count < POLICY_FIGURES_MAX;
    *count += state->has_figures;
}

static void take_figures(struct policy_state_set *set, struct policy_state *state) {
    set->figures[state->type->is_of_endpoint] -= state->has_figures;
    state->has_figures = false;
}

static struct policy_state *add_state(struct policy_state_set *set, const struct policy_state *named, const struct policy_state_type *type,
                                      const void *config) {
    struct policy_state *state = type->create(config);
    *state = *named;
    state->begun = clock_wall_ns();
    list_init(&state->link);
    list_push_back(&set->states, &state->link);
    struct policy_state *before = map_put(&set->by_key, state->key, state);
    if (before != NULL)
        take_figures(set, before);
    give_figures(set, state);
    set->count++;
    return state;
}

struct policy_state *policy_state_get(struct policy_state_set *set, struct bytes policy, struct bytes rule, struct bytes target, uint64_t form,
                                      const struct policy_state_type *type, const void *config) {
    struct policy_state named = {.type = type, .set = set, .form = form};
    name_state(&named, policy, rule, target);
    pthread_mutex_lock(&set->lock);
    struct policy_state *state = map_get(&set->by_key, named.key);
    if (state != NULL && state->form == form)
        bytes_drop(&named.key);
    else
        state = add_state(set, &named, type, config);
    state->references++;
    pthread_mutex_unlock(&set->lock);
    return state;
}

struct policy_state *policy_state_find(struct policy_state_set *set, struct bytes policy, struct bytes rule, struct bytes target) {
    struct policy_state named;
    name_state(&named, policy, rule, target);
    pthread_mutex_lock(&set->lock);
    struct policy_state *state = map_get(&set->by_key, named.key);
    if (state != NULL)
        state->references++;
    pthread_mutex_unlock(&set->lock);
    bytes_drop(&named.key);
    return state;
}

void policy_state_release(struct policy_state *state) {
    struct policy_state_set *set = state->set;
    pthread_mutex_lock(&set->lock);
    CHECK(state->references > 0);
    const bool is_last = --state->references == 0;
    if (is_last && map_get(&set->by_key, state->key) == state)
        map_remove(&set->by_key, state->key);
    if (is_last) {
        policy_totals_add(&set->gone, state);
        set->gone.queue.running = set->gone.queue.limit = set->gone.queue.queued = 0;
        set->gone.has_queue = false;
        take_figures(set, state);
        list_remove(&state->link);
        set->count--;
    }
    pthread_mutex_unlock(&set->lock);
    if (!is_last)
        return;
    bytes_drop(&state->key);
    state->type->destroy(state);
}

void policy_totals_add(struct policy_totals *totals, struct policy_state *state) {
    const struct policy_state_type *type = state->type;
    totals->refusals += atomic_load_explicit(&state->refusals, memory_order_relaxed);
    totals->delays += atomic_load_explicit(&state->delays, memory_order_relaxed);
    if (type->overflows != NULL)
        totals->overflows += type->overflows(state);
    if (type->breaker != NULL) {
        const struct circuit_view view = circuit_breaker_look(type->breaker(state), 0);
        for (int to = 0; to < CIRCUIT_STATES; to++)
            totals->changes[to] += view.changes[to];
    }
    if (type->queue == NULL)
        return;
    struct policy_queue queue;
    type->queue(state, &queue);
    totals->has_queue = true;
    totals->queue.running += queue.running;
    totals->queue.limit += queue.limit;
    totals->queue.queued += queue.queued;
    totals->queue.waited += queue.waited;
    for (unsigned i = 0; i < DURATION_BUCKETS; i++)
        totals->queue.waits[i] += queue.waits[i];
}

static void add_gone(struct policy_totals *totals, const struct policy_totals *gone) {
    totals->refusals += gone->refusals;
    totals->delays += gone->delays;
    totals->overflows += gone->overflows;
    for (int to = 0; to < CIRCUIT_STATES; to++)
        totals->changes[to] += gone->changes[to];
    totals->queue.waited += gone->queue.waited;
    for (unsigned i = 0; i < DURATION_BUCKETS; i++)
        totals->queue.waits[i] += gone->queue.waits[i];
}

void policy_state_figures(struct policy_state_set *set, void (*each)(struct policy_state *state, void *user), void *user,
                          struct policy_totals *rest) {
    pthread_mutex_lock(&set->lock);
    add_gone(rest, &set->gone);
    LIST_EACH(&set->states, node, following) {
        struct policy_state *state = LIST_ENTRY(node, struct policy_state, link);
        if (state->has_figures)
            each(state, user);
        else
            policy_totals_add(rest, state);
    }
    pthread_mutex_unlock(&set->lock);
}

void policy_states_release(struct policy_state *const *states, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        policy_state_release(states[i]);
}
