// Sets of four places, found by a token's mark, each under one of some locks. See token_cache.h.
#include "filters/token_cache.h"

#include "base/hash.h"
#include "base/map.h"
#include "base/pool.h"
#include "stream/claims.h"

#include <pthread.h>
#include <stdlib.h>

// 1,024 tokens of at most CLAIMS_BYTES_MAX, usually of 1 KB.
#define SETS 256
#define WAYS 4

// Workers rarely meet at one of these.
#define LOCKS 16

struct known_token {
    uint64_t mark[2];
    struct claims *claims; // one reference; NULL: the place is free
    uint64_t version;
    int64_t expires_s;
    uint64_t used; // counts up within a set
};

struct token_set {
    struct known_token tokens[WAYS];
    uint64_t uses;
};

struct token_cache {
    pthread_mutex_t locks[LOCKS];
    struct token_set sets[SETS];
};

// What is meant by a look-up: where the token stands, if it does.
struct token_place {
    uint64_t mark[2];
    struct token_set *set;
    pthread_mutex_t *lock;
};

struct token_cache *token_cache_create(void) {
    struct token_cache *cache = alloc_zeroed_or_abort(1, sizeof *cache);
    for (size_t i = 0; i < LOCKS; i++)
        pthread_mutex_init(&cache->locks[i], NULL);
    return cache;
}

static void forget(struct known_token *token) {
    if (token->claims != NULL)
        claims_unref(token->claims);
    *token = (struct known_token){.claims = NULL};
}

void token_cache_destroy(struct token_cache *cache) {
    for (size_t i = 0; i < SETS; i++)
        for (size_t j = 0; j < WAYS; j++)
            forget(&cache->sets[i].tokens[j]);
    for (size_t i = 0; i < LOCKS; i++)
        pthread_mutex_destroy(&cache->locks[i]);
    free(cache);
}

// The keys come of the one that this process has chosen (base/map.h).
static struct token_place place_of(struct token_cache *cache, struct bytes token) {
    const uint64_t first = hash_bytes(BYTES("tokens, first half")), second = hash_bytes(BYTES("tokens, second half"));
    struct token_place place = {.mark = {hash_with_key(first, hash_mix(first), token), hash_with_key(second, hash_mix(second), token)}};
    const size_t index = place.mark[0] % SETS;
    place.set = &cache->sets[index];
    place.lock = &cache->locks[index % LOCKS];
    return place;
}

static struct known_token *find(const struct token_place *place) {
    for (size_t i = 0; i < WAYS; i++) {
        struct known_token *token = &place->set->tokens[i];
        if (token->claims != NULL && token->mark[0] == place->mark[0] && token->mark[1] == place->mark[1])
            return token;
    }
    return NULL;
}

// A free place, or the one that was asked for longest ago.
static struct known_token *choose(struct token_set *set) {
    struct known_token *chosen = &set->tokens[0];
    for (size_t i = 1; i < WAYS; i++)
        if (set->tokens[i].used < chosen->used) // a free one was never used
            chosen = &set->tokens[i];
    return chosen;
}

struct claims *token_cache_find(struct token_cache *cache, struct bytes token, uint64_t version, int64_t now_s) {
    const struct token_place place = place_of(cache, token);
    struct claims *claims = NULL;
    pthread_mutex_lock(place.lock);
    struct known_token *known = find(&place);
    if (known != NULL && (known->version != version || known->expires_s <= now_s)) {
        forget(known);
    } else if (known != NULL) {
        known->used = ++place.set->uses;
        claims = claims_ref(known->claims);
    }
    pthread_mutex_unlock(place.lock);
    return claims;
}

void token_cache_put(struct token_cache *cache, struct bytes token, uint64_t version, int64_t expires_s, struct claims *claims) {
    const struct token_place place = place_of(cache, token);
    pthread_mutex_lock(place.lock);
    struct known_token *into = find(&place);
    if (into == NULL)
        into = choose(place.set);
    forget(into);
    *into = (struct known_token){
        .mark = {place.mark[0], place.mark[1]}, .claims = claims_ref(claims), .version = version, .expires_s = expires_s, .used = ++place.set->uses};
    pthread_mutex_unlock(place.lock);
}
