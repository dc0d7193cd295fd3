// Keys of an issuer that are fetched from a URL, for all workers. Nobody fetches without a request that needs them: the first one, or one with a key that is not among them, waits; near the end
// of their freshness one request has them fetched anew and goes on. There is one fetch at a time, by the worker of the request that began it, and all wait for that. It fails closed: where there are none, because fetching
// has failed from the beginning or for longer than keepFor, no token is good.
#ifndef FILTERS_JWKS_H
#define FILTERS_JWKS_H

#include "base/clock.h"
#include "base/list.h"
#include "certs/jwk_set.h"

#include <stdbool.h>
#include <stdint.h>

struct jwt_provider;
struct stream;
struct jwks;

struct jwks *jwks_create(void);
void jwks_unref(struct jwks *jwks); // any thread

// The keys in use, one reference; NULL: there are none. `*version` counts the times that they have changed.
struct jwk_set *jwks_keys(struct jwks *jwks, nanoseconds now, uint64_t *version);

// The same number alone: 0 where there are none.
uint64_t jwks_version(const struct jwks *jwks, nanoseconds now);

// Has the keys fetched where they will not be fresh for much longer. `stream` stands for the request that makes it necessary, and does not wait.
void jwks_refresh(struct jwks *jwks, struct stream *stream, const struct jwt_provider *provider);

enum jwks_lack { JWKS_NONE, JWKS_KEY_UNKNOWN };

struct jwks_fetcher;

// In the state of a filter; initialised with list_init of its link, by which it can be seen to wait.
struct jwks_waiter {
    struct list link;
    struct stream *stream;
    struct jwks_fetcher *fetcher;
    uint64_t fetch; // its number
};

enum jwks_wait {
    JWKS_COMING,  // the keys are being fetched, and the stream will be woken once that is over, whatever comes of it
    JWKS_CHANGED, // there are others than those that were looked at: to be looked at
    JWKS_LACKING // they have been asked for a moment ago (for a key that is unknown less than 10 s, where there are none less than 1 s), or nothing can be asked now
};

// `version`: of the keys that something was lacking of.
enum jwks_wait jwks_await(struct jwks *jwks, struct stream *stream, const struct jwt_provider *provider, enum jwks_lack lack, uint64_t version,
                          struct jwks_waiter *waiter);

// It waits no longer, if it did. Before its memory goes.
void jwks_leave(struct jwks_waiter *waiter);

#endif
