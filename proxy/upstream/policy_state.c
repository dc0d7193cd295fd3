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
    struct map by_key; // key -> struct policy_state, the newest of its key
    uint32_t count;    // of all, those that newer ones have taken the place of too
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

static struct policy_state *add_state(struct policy_state_set *set, const struct policy_state *named, const struct policy_state_type *type,
                                      const void *config) {
    struct policy_state *state = type->create(config);
    *state = *named;
    map_put(&set->by_key, state->key, state);
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
    set->count -= is_last;
    pthread_mutex_unlock(&set->lock);
    if (!is_last)
        return;
    bytes_drop(&state->key);
    state->type->destroy(state);
}

void policy_states_release(struct policy_state *const *states, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        policy_state_release(states[i]);
}

void policy_state_each(struct policy_state_set *set, void (*each)(struct policy_state *state, void *user), void *user) {
    pthread_mutex_lock(&set->lock);
    uint32_t position = 0;
    struct bytes key;
    void *state;
    while (map_next(&set->by_key, &position, &key, &state))
        each(state, user);
    pthread_mutex_unlock(&set->lock);
}
