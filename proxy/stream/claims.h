// What the verified token of a request says (RFC 7519 section 4): what conditions ask, keys and tiers are made of, and headers can carry. Nothing of a token that was not
// verified is ever in one.
//
// Flat: one entry for each value. A claim that is an object is its members, by their path with dots between ("realm_access.roles"); a claim whose own name has dots
// ("https://id.example/role") is found by that name. Members of an array are a value each, and so are the words of `scope` and `scp` where these are one text (RFC 8693 section 4.2). Texts
// are as they are, numbers, true and false as JSON writes them; null is no value. What has a path longer than CLAIM_NAME_MAX cannot be named and is not there.
//
// Immutable, counted over threads: streams of all workers share those of one token.
#ifndef STREAM_CLAIMS_H
#define STREAM_CLAIMS_H

#include "base/bytes.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct json_t; // jansson

#define CLAIM_NAME_MAX 255

// Names and values of one token together. A token is shorter, but names of members repeat those of what they are in.
#define CLAIMS_BYTES_MAX (64 * 1024)

struct claim {
    struct bytes name, value;
    bool is_listed; // it stands in an array, alone or not
};

struct claims {
    _Atomic uint32_t references;
    uint32_t count;
    struct claim all[]; // in the order of the token; the texts stand behind them
};

// Of an object, which stays the caller's. One reference; NULL: it has more than CLAIMS_BYTES_MAX, or there is no memory.
struct claims *claims_create(struct json_t *payload);

struct claims *claims_ref(struct claims *claims);
void claims_unref(struct claims *claims); // any thread

// The next value of that name behind `before` (NULL: the first); NULL: there is none. `claims` NULL: the request has no token, and none has any.
const struct claim *claims_find(const struct claims *claims, struct bytes name, const struct claim *before);

// Whether any value of that name is that one.
static inline bool claims_have(const struct claims *claims, struct bytes name, struct bytes value) {
    const struct claim *claim = claims_find(claims, name, NULL);
    while (claim != NULL && !bytes_equal(claim->value, value))
        claim = claims_find(claims, name, claim);
    return claim != NULL;
}

#endif
