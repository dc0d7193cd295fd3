// Trials of the filters that bound what a service gets: limits, bulkheads, breakers; and faults.
#ifndef TESTS_FILTERS_TRIAL_ROWS_LOAD_H
#define TESTS_FILTERS_TRIAL_ROWS_LOAD_H

#include "unit/filters/trial_rows_access.h"

#define OUTBOUND PROXY SERVICE("HTTP2", ONE)
#define NOT_REPEATED "  retry: {disabled: true}\n"

// ---- faults

#define FAULT(mode, percent)                                                                             \
    OF_A("FaultPolicy", "f",                                                                             \
         mode "  rules:\n  - {name: get, matches: [{method: GET}], delay: {fixed: 300ms, percent: 60}, " \
              "abort: {status: 418, percent: " percent "}}\n"                                            \
              "  - {name: rest, delay: {fixed: 1s, percent: 50}}\n")

static const struct trial_request of_faults[] = {
    {.text = "GET a /x\n", .fate = {TRIAL_EITHER, TRIAL_PASSES, TRIAL_PASSES}, .own = {418}},
    {.text = "POST a /x\n", .has_body = true, .fate = PASSES_ALWAYS},
};

// ---- limits: none is charged for what does not pass, nor twice for what does

#define LIMIT_REQUESTS 4
#define LIMIT(rules) OF_A("RateLimitPolicy", "l", "  rules:\n" rules)
#define LIMIT_ALL "  - {name: all, limits: [{requests: 4, per: 24h}]}\n"
#define LIMIT_SUBJECTS "  - {name: all, key: [{type: JWTClaim, name: sub}], limits: [{requests: 4, per: 24h}]}\n"
#define LIMIT_OTHERS "  - {name: others, matches: [{path: {value: /none}}], limits: [{requests: 1, per: 1h}]}\n"
#define LIMIT_FAILURES_MOST 2
#define LIMIT_FAILURES "  - {name: failures, limits: [{requests: 2, per: 24h}], charge: {statuses: [503]}}\n"
// Behind the limit: what it refuses is to cost nothing.
#define FAULTS_BEHIND OF_A("FaultPolicy", "f", "  rules: [{name: some, abort: {status: 418, percent: 15}}]\n")
#define BEHIND_LIMIT FAULTS_BEHIND BULKHEAD_BEHIND
#define BULKHEAD_BEHIND OF_A("BulkheadPolicy", "b", "  pools: [{name: two, maxConcurrent: 2, maxQueue: 0}]\n")

static const struct trial_request of_limits[] = {
    {.text = "GET a /x\n", .fate = {TRIAL_EITHER, TRIAL_EITHER, TRIAL_EITHER}, .own = {418, 429, 503}},
    {.text = "POST a /x\n", .has_body = true, .fate = {TRIAL_EITHER, TRIAL_EITHER, TRIAL_EITHER}, .own = {418, 429, 503}},
};

static const struct trial_request of_failures[] = {
    {.text = "GET a /x\n", .statuses = {503, 200, 503}, .fate = {TRIAL_EITHER, TRIAL_EITHER, TRIAL_PASSES}, .own = {429}},
    {.text = "POST a /x\n", .has_body = true, .statuses = {503, 200}, .fate = {TRIAL_EITHER, TRIAL_EITHER, TRIAL_PASSES}, .own = {429}},
};

static const struct trial_request of_subjects[] = {
    {.text = trial_tokens.reads, .fate = {TRIAL_EITHER, TRIAL_EITHER, TRIAL_EITHER}, .own = {401, 429, 503}},
    {.text = trial_tokens.writes, .has_body = true, .fate = {TRIAL_EITHER, TRIAL_EITHER, TRIAL_EITHER}, .own = {401, 429, 503}},
    {.text = trial_tokens.strange, .fate = {TRIAL_REFUSED, TRIAL_REFUSED, TRIAL_REFUSED}, .own = {401}},
};

// How often the first request of the table passes now, until it is refused; its own way of being refused is not 429.
static inline unsigned passes_left(struct trial_run *run) {
    unsigned passes = 0;
    for (int i = 0; i < 14; i++) {
        const unsigned status = trial_ask(run, &run->trial->requests[0])->client.status;
        if (status == 429)
            return passes;
        passes += status == 200;
    }
    return passes;
}

static inline void expect_left(struct trial_run *run, unsigned used) {
    const unsigned most = used > LIMIT_REQUESTS ? 0 : LIMIT_REQUESTS - used;
    if (!run->was_removed && !run->stopped && passes_left(run) != most)
        trial_failed(run, NULL, "what is left of the limit is not what has not passed");
}

static inline void check_tokens(struct trial_run *run) {
    unsigned used = 0;
    for (unsigned i = 0; i < run->watched.count; i++)
        used += run->watched.calls[i].passed;
    expect_left(run, used);
}

// Of one subject: a pool for each.
static inline void check_subjects(struct trial_run *run) {
    const uint32_t count = run->watched.count;
    unsigned used = 0;
    for (unsigned i = 0; i < count; i++)
        used += run->watched.calls[i].passed && run->watched.calls[i].tag == 'G';
    expect_left(run, used);
}

static inline void check_failures(struct trial_run *run) {
    unsigned used = 0;
    for (unsigned i = 0; i < run->watched.count; i++)
        used += run->watched.calls[i].status == 503;
    if (run->was_removed || run->stopped)
        return;
    if ((trial_ask(run, &run->trial->requests[0])->client.status == 429) != (used >= LIMIT_FAILURES_MOST))
        trial_failed(run, NULL, "what is counted are not the failures");
}

// ---- bulkheads

#define POOLS(name, more, pools) OF_A("BulkheadPolicy", name, more "  pools:\n" pools)
#define POOL_SMALL "  - {name: x, maxConcurrent: 1, maxQueue: 2, queueTimeout: 400ms}\n"
#define POOL_KEYED "  - {name: x, maxConcurrent: 2, maxQueue: 3, queueTimeout: 0s, perKey: {key: [{type: Header, name: x-user}], maxConcurrent: 1}}\n"
#define POOL_DRY POOLS("dry", "  mode: DryRun\n", "  - {name: y, maxConcurrent: 1, maxQueue: 1, queueTimeout: 100ms}\n")
#define CLASSES "  priority: {from: {type: Header, name: x-user}, classes: [u1, u2], default: u2}\n"

static const struct trial_request of_bulkheads[] = {
    {.text = "GET a /x\nx-user: u1\n", .fate = UNLESS_REMOVED(TRIAL_EITHER), .own = {503}},
    {.text = "POST a /x\nx-user: u2\n", .has_body = true, .fate = UNLESS_REMOVED(TRIAL_EITHER), .own = {503}},
    {.text = "POST a /x\n", .has_body = true, .fate = UNLESS_REMOVED(TRIAL_EITHER), .own = {503}},
};

// ---- breakers

#define BREAKER_OF(fields) POLICY(NOT_REPEATED "  circuitBreaker: {" fields "}\n")
#define IN_A_ROW "failureThreshold: 2, openFor: 3s, halfOpenRequests: 1"
#define IN_PERCENT "failurePercent: 50, minRequests: 2, openFor: 1s, halfOpenRequests: 2"

static const struct trial_request of_breakers[] = {
    {.text = "GET a /x\n", .statuses = {200, 500, 500}, .fate = UNLESS_REMOVED(TRIAL_EITHER), .own = {503}},
    {.text = "POST a /x\n", .has_body = true, .statuses = {500, 500, 200}, .fate = UNLESS_REMOVED(TRIAL_EITHER), .own = {503}},
};

// ---- the table

static const struct trial load_trials[] = {
    {.name = "fault",
     .filter = &filter_fault,
     .listener = "outbound",
     .waits = true,
     .documents = {OUTBOUND FAULT("", "30"), OUTBOUND FAULT("  mode: DryRun\n", "100"), OUTBOUND},
     ROWS(of_faults)},
    {.name = "rate_limit",
     .filter = &filter_rate_limit,
     .with = {&filter_fault, &filter_bulkhead},
     .listener = "outbound",
     .documents = {OUTBOUND LIMIT(LIMIT_ALL) BEHIND_LIMIT, OUTBOUND LIMIT(LIMIT_ALL LIMIT_OTHERS) BEHIND_LIMIT, OUTBOUND BEHIND_LIMIT},
     .check = check_tokens,
     ROWS(of_limits)},
    {.name = "rate_limit by statuses",
     .filter = &filter_rate_limit,
     .listener = "outbound",
     .documents = {OUTBOUND LIMIT(LIMIT_FAILURES), OUTBOUND LIMIT(LIMIT_FAILURES LIMIT_OTHERS), OUTBOUND},
     .check = check_failures,
     ROWS(of_failures)},
    {.name = "rate_limit_claims",
     .filter = &filter_rate_limit_claims,
     .with = {&filter_authentication, &filter_bulkhead},
     .listener = "inbound",
     .asks = true,
     .documents = {TRIAL_BESIDE TOKENS_OF("", "i", "8003") LIMIT(LIMIT_SUBJECTS) BULKHEAD_BEHIND,
                   TRIAL_BESIDE TOKENS_OF("", "i", "8003") LIMIT(LIMIT_SUBJECTS LIMIT_OTHERS) BULKHEAD_BEHIND,
                   TRIAL_BESIDE TOKENS_OF("", "i", "8003") BULKHEAD_BEHIND},
     .prepare = make_tokens,
     .answer = answer_with_keys,
     .check = check_subjects,
     ROWS(of_subjects)},
    {.name = "bulkhead",
     .filter = &filter_bulkhead,
     .listener = "outbound",
     .waits = true,
     .documents = {OUTBOUND POOLS("b", "", POOL_SMALL) POOL_DRY, OUTBOUND POOLS("b", CLASSES, POOL_KEYED), OUTBOUND},
     .serves_afterwards = true,
     ROWS(of_bulkheads)},
    {.name = "breaker",
     .filter = &filter_breaker,
     .listener = "outbound",
     .documents = {OUTBOUND BREAKER_OF(IN_A_ROW), OUTBOUND BREAKER_OF(IN_PERCENT), OUTBOUND POLICY(NOT_REPEATED)},
     .before = 4,
     .jump = 3100 * NS_PER_MS,
     .serves_afterwards = true,
     ROWS(of_breakers)},
    {.name = "breaker of an endpoint",
     .listener = "outbound",
     .documents = {OUTBOUND BREAKER_OF("scope: Endpoint, " IN_A_ROW), OUTBOUND BREAKER_OF("scope: Endpoint, " IN_PERCENT),
                   OUTBOUND POLICY(NOT_REPEATED)},
     .before = 4,
     .jump = 3100 * NS_PER_MS,
     .serves_afterwards = true,
     ROWS(of_breakers)},
};

#endif
