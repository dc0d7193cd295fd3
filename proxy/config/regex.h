// Regular expressions of documents (PCRE2): anchored at both ends, bounded in length and in work, so that no expression and no text can hold a worker up.
#ifndef CONFIG_REGEX_H
#define CONFIG_REGEX_H

#include "base/bytes.h"
#include "base/error.h"
#include "base/pool.h"

#define REGEX_BYTES_MAX 1024

// Compiled, immutable, shared by all threads; lies in the pool it was compiled into.
struct regex;

// What one thread needs to match with any expression: its owner's, freed by regex_matcher_destroy.
struct regex_matcher;

// REGEX_GAVE_UP: the work was given up half way. It is no answer: whoever asks refuses the request, since either answer could be the one that an attacker wants.
enum regex_result { REGEX_NO, REGEX_YES, REGEX_GAVE_UP };

// ERROR_INVALID: `*fault` says why, in `pool`.
enum error regex_compile(struct bytes text, struct pool *pool, const struct regex **regex, struct bytes *fault) MUST_CHECK;

struct regex_matcher *regex_matcher_create(void);
void regex_matcher_destroy(struct regex_matcher *matcher);

// A new request: what follows is asked about it. Whether anything was given up since then; what is asked after that is given up at once, so that a request is given up once at most.
void regex_matcher_begin(struct regex_matcher *matcher);
bool regex_matcher_gave_up(const struct regex_matcher *matcher);

// Whether the whole of `text` matches. Bytes, not characters: what is no UTF-8 is matched as it is.
enum regex_result regex_match(const struct regex *regex, struct regex_matcher *matcher, struct bytes text);

#endif
