// PCRE2 without its just-in-time compiler, with memory of a pool and a bound on the work of one match.
#include "config/regex.h"

#include "base/check.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>

// Enough for any sane expression and paths of some hundred bytes; (a+)+ against a text that does not match stops after some 0.5 ms.
#define MATCH_STEPS_MAX 50000

struct regex {
    pcre2_code *code;
};

struct regex_matcher {
    pcre2_match_data *result;
    pcre2_match_context *limits;
    bool gave_up; // since regex_matcher_begin
};

static void *take(size_t size, void *pool) {
    return pool_alloc(pool, size);
}

static void give(void *memory, void *pool) {
    (void)memory; // goes with the pool
    (void)pool;
}

enum error regex_compile(struct bytes text, struct pool *pool, const struct regex **regex, struct bytes *fault) {
    if (text.len > REGEX_BYTES_MAX) {
        *fault = pool_format(pool, "is longer than %u bytes", REGEX_BYTES_MAX);
        return ERROR_INVALID;
    }
    pcre2_general_context *memory = pcre2_general_context_create(take, give, pool);
    CHECK(memory != NULL);
    pcre2_compile_context *options = pcre2_compile_context_create(memory);
    CHECK(options != NULL);
    int number;
    PCRE2_SIZE offset;
    // Texts are bytes of a peer, which may be no UTF-8: an expression may not ask for characters.
    const uint32_t flags = PCRE2_ANCHORED | PCRE2_ENDANCHORED | PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_BACKSLASH_C | PCRE2_NEVER_UTF | PCRE2_NEVER_UCP;
    pcre2_code *code = pcre2_compile((PCRE2_SPTR)text.at, text.len, flags, &number, &offset, options);
    if (code == NULL) {
        char message[128];
        (void)pcre2_get_error_message(number, (PCRE2_UCHAR *)message, sizeof(message));
        *fault = pool_format(pool, "%s at byte %zu", message, (size_t)offset);
        return ERROR_INVALID;
    }
    struct regex *compiled = pool_alloc(pool, sizeof(*compiled));
    compiled->code = code;
    *regex = compiled;
    return OK;
}

struct regex_matcher *regex_matcher_create(void) {
    struct regex_matcher *matcher = alloc_zeroed_or_abort(1, sizeof(*matcher));
    matcher->result = pcre2_match_data_create(1, NULL);
    matcher->limits = pcre2_match_context_create(NULL);
    CHECK(matcher->result != NULL && matcher->limits != NULL);
    CHECK(pcre2_set_match_limit(matcher->limits, MATCH_STEPS_MAX) == 0 && pcre2_set_depth_limit(matcher->limits, MATCH_STEPS_MAX) == 0);
    return matcher;
}

void regex_matcher_destroy(struct regex_matcher *matcher) {
    pcre2_match_data_free(matcher->result);
    pcre2_match_context_free(matcher->limits);
    free(matcher);
}

void regex_matcher_begin(struct regex_matcher *matcher) {
    matcher->gave_up = false;
}

bool regex_matcher_gave_up(const struct regex_matcher *matcher) {
    return matcher->gave_up;
}

enum regex_result regex_match(const struct regex *regex, struct regex_matcher *matcher, struct bytes text) {
    if (matcher->gave_up)
        return REGEX_GAVE_UP;
    const char *at = text.len > 0 ? text.at : "";
    int result = pcre2_match(regex->code, (PCRE2_SPTR)at, text.len, 0, PCRE2_NO_UTF_CHECK, matcher->result, matcher->limits);
    if (result >= 0)
        return REGEX_YES;
    matcher->gave_up = result != PCRE2_ERROR_NOMATCH;
    return matcher->gave_up ? REGEX_GAVE_UP : REGEX_NO;
}
