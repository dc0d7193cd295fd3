// Tokens of one provider that have been verified: a request whose token is among them costs a look-up in the place of a signature. Shared by all workers; bounded: sets of four, of which the
// one that was asked for longest ago goes. A token is known by 128 bits that a key of this process makes of it (SipHash twice): nobody outside can find another one with the same.
#ifndef FILTERS_TOKEN_CACHE_H
#define FILTERS_TOKEN_CACHE_H

#include "base/bytes.h"

#include <stdint.h>

struct claims;
struct token_cache;

struct token_cache *token_cache_create(void);
void token_cache_destroy(struct token_cache *cache);

// What the token says, one reference; NULL: it is not known, or was verified by another `version` of the keys, or has expired.
struct claims *token_cache_find(struct token_cache *cache, struct bytes token, uint64_t version, int64_t now_s);

// It was verified, and is good until `expires_s`. Takes a reference of its own.
void token_cache_put(struct token_cache *cache, struct bytes token, uint64_t version, int64_t expires_s, struct claims *claims);

#endif
