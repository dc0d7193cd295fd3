// Trials of the filters that say how a request is carried: its time, its route, copies of it; and of its attempts.
#ifndef TESTS_FILTERS_TRIAL_ROWS_CARRIAGE_H
#define TESTS_FILTERS_TRIAL_ROWS_CARRIAGE_H

#include "unit/filters/trial_rows.h"

#define CARRIED(more) PROXY SERVICE("HTTP2", ONE) POLICY(more)
#define CARRIED_BY_TWO(more) PROXY SERVICE("HTTP2", TWO) POLICY(IN_TURN more)

static inline bool is_application(unsigned port) {
    return port == 8001 || port == 8002 || port == 8009;
}

// ---- time

static const struct trial_request of_time[] = {
    {.text = "GET a /x\n", .fate = UNLESS_REMOVED(TRIAL_EITHER), .late = {504}},
    {.text = "POST a /x\nx-request-timeout-ms: 700\n", .has_body = true, .fate = UNLESS_REMOVED(TRIAL_EITHER), .late = {504}},
    {.text = "GET a /x\ngrpc-timeout: 0m\n", .fate = UNLESS_REMOVED(TRIAL_REFUSED), .own = {504}},
};

// Whoever is silent: what is told in time is told in time.
static inline void check_times(struct trial_run *run) {
    for (unsigned i = 0; i < run->count; i++) {
        const struct trial_exchange *exchange = &run->exchanges[i];
        const bool is_short = has_text(exchange->request->text, "timeout-ms");
        const nanoseconds most = (is_short ? 700 : exchange->version == 0 ? 2000 : 1000) * NS_PER_MS;
        if (exchange->told && exchange->version < 2 && exchange->done_at > exchange->told_at + most + 20 * NS_PER_MS)
            trial_failed(run, exchange, "it took longer than it may");
    }
}

static const struct trial_request of_tries[] = {
    {.text = "GET a /x\n", .statuses = {200, 503}, .fate = {TRIAL_EITHER, TRIAL_EITHER, TRIAL_EITHER}, .late = {504}, .executions_max = 3},
    {.text = "POST a /x\n", .has_body = true, .fate = {TRIAL_EITHER, TRIAL_EITHER, TRIAL_EITHER}, .late = {504}},
};

static inline void expect_time_left(struct trial_run *run, const struct trial_exchange *exchange, const struct owner_stream *asked, unsigned port) {
    const struct field *left = fields_find(&asked->stream.head.fields, FIELD_X_REQUEST_TIMEOUT_MS);
    uint64_t ms = 0;
    if (is_application(port) && (left != NULL) != (exchange->version < 2))
        trial_failed(run, exchange, "an attempt was told its time, or not");
    if (left != NULL && (!bytes_to_u64(left->value, exchange->version == 0 ? 2000 : 800, &ms) || ms == 0))
        trial_failed(run, exchange, "that is not the time that is left");
}

// ---- routes

#define ROUTE_WITH(more)                                                                      \
    "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r}\nspec:\n" \
    "  parentRefs: [{group: '', kind: Service, name: a}]\n  rules:\n  - " more "---\n"
#define TO_A(filters) CARRIED(NO_REPEATING) ROUTE_WITH("backendRefs: [{name: a}]\n    filters: [" filters "]\n")
#define NO_REPEATING "  retry: {disabled: true}\n"
#define REDIRECT_TO(host, status)                                                                                        \
    CARRIED(NO_REPEATING)                                                                                                \
    ROUTE_WITH("matches: [{path: {type: Exact, value: /x}}]\n"                                                           \
               "    filters: [{type: RequestRedirect, requestRedirect: {hostname: " host ", statusCode: " status "}}]\n" \
               "  - backendRefs: [{name: a}]\n")
#define REWRITE_TO(path) TO_A("{type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath, replaceFullPath: " path "}}}")
#define SET_TO(value)                                                                                     \
    TO_A("{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: x-v, value: " value "}]}}, " \
         "{type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: x-answer, value: " value "}]}}")
#define CORS_FOR(origin) TO_A("{type: CORS, cors: {allowOrigins: ['" origin "'], allowMethods: [GET]}}")

static const struct trial_request of_redirects[] = {
    {.text = "GET a /x\n", .fate = UNLESS_REMOVED(TRIAL_REFUSED), .own = {301, 302}},
    {.text = "POST a /x\n", .has_body = true, .fate = UNLESS_REMOVED(TRIAL_REFUSED), .own = {301, 302}},
    {.text = "GET a /y\n", .fate = PASSES_ALWAYS},
    {.text = "POST a /y\n", .has_body = true, .fate = PASSES_ALWAYS},
};

static inline void check_redirects(struct trial_run *run) {
    for (unsigned i = 0; i < run->count; i++) {
        const struct trial_exchange *exchange = &run->exchanges[i];
        const unsigned other = exchange->version == 0 ? 301 : 302;
        if (exchange->version < 2 && exchange->client.status == other)
            trial_failed(run, exchange, "it was redirected by other documents than those that it came to");
    }
}

static const struct trial_request of_routes[] = {
    {.text = "GET a /x\nx-v: mine\n", .fate = PASSES_ALWAYS},
    {.text = "POST a /x\nx-v: mine\n", .has_body = true, .fate = PASSES_ALWAYS},
};

static inline void expect_path(struct trial_run *run, const struct trial_exchange *exchange, const struct owner_stream *asked, unsigned port) {
    static const char *const paths[] = {"/zero", "/one", "/x"};
    if (is_application(port) && !bytes_equal(asked->stream.head.path, bytes_from_text(paths[exchange->version])))
        trial_failed(run, exchange, "its path is not that of its documents");
}

static const char *const set_by_version[] = {"zero", "one", "mine"};

static inline void expect_field(struct trial_run *run, const struct trial_exchange *exchange, const struct owner_stream *asked, unsigned port) {
    const struct field *field = fields_find_name(&asked->stream.head.fields, BYTES("x-v"));
    if (is_application(port) && (field == NULL || !bytes_equal(field->value, bytes_from_text(set_by_version[exchange->version]))))
        trial_failed(run, exchange, "its field is not that of its documents");
}

static inline void check_fields(struct trial_run *run) {
    for (unsigned i = 0; i < run->count; i++) {
        const struct trial_exchange *exchange = &run->exchanges[i];
        const char *value = client_field(&exchange->client, "x-answer");
        if (exchange->version < 2 && value != NULL && strcmp(value, set_by_version[exchange->version]) != 0)
            trial_failed(run, exchange, "its answer's field is not that of its documents");
    }
}

#define PREFLIGHT "OPTIONS a /x\norigin: https://a\naccess-control-request-method: GET\n"
static const struct trial_request of_pages[] = {
    {.text = PREFLIGHT, .fate = UNLESS_REMOVED(TRIAL_REFUSED), .own = {204}},
    {.text = "GET a /x\norigin: https://a\n", .fate = PASSES_ALWAYS},
    {.text = "POST a /x\norigin: https://b\n", .has_body = true, .fate = PASSES_ALWAYS},
};

static inline void check_pages(struct trial_run *run) {
    for (unsigned i = 0; i < run->count; i++) {
        const struct trial_exchange *exchange = &run->exchanges[i];
        const char *said = client_field(&exchange->client, "access-control-allow-origin");
        const bool is_named = exchange->version == (has_text(exchange->request->text, "https://b") ? 1 : 0);
        if (said != NULL && !is_named)
            trial_failed(run, exchange, "a page may read what is not for it");
        if (said == NULL && is_named && (exchange->client.status == 200 || exchange->client.status == 204))
            trial_failed(run, exchange, "a page may not read what is for it");
    }
}

// ---- copies

#define SHADOW(name, port)                                                                                                                 \
    API "kind: ServiceEntry\nmetadata: {name: " name "}\nspec:\n  hosts: [" name "]\n  ports: [{name: http, port: 80, protocol: HTTP1}]\n" \
        "  tls: {mode: None}\n  endpoints: [{address: '127.0.0.1:" port "'}]\n---\n"
#define MIRROR_TO(name) SHADOW("s", "8004") SHADOW("t", "8005") TO_A("{type: RequestMirror, requestMirror: {backendRef: {name: " name "}}}")

// Each copy is of a request that has come whole, and comes once: both are seen where the copy is, whatever becomes of the request.
static inline void expect_copy(struct trial_run *run, const struct trial_exchange *exchange, const struct owner_stream *asked, unsigned port) {
    if (is_application(port))
        return;
    if (port != (exchange->version == 0 ? 8004 : 8005))
        trial_failed(run, exchange, "it was copied to others than its documents say");
    if (exchange->version == 2)
        trial_failed(run, exchange, "it was copied although no document says so");
    const size_t sent = exchange->client.unsent.len;
    if (!exchange->body_ended || (asked->ended ? asked->body.len != sent : asked->body.len > sent))
        trial_failed(run, exchange, "that is no copy of a request that has come whole");
    if (!asked->ended && !run->servers_trouble && !run->stopped)
        trial_failed(run, exchange, "its copy never came whole");
}

static inline void check_copies(struct trial_run *run) {
    const struct worker_metrics *metrics = run->world.env.metrics;
    unsigned charged = 0;
    for (unsigned i = 0; i < run->watched.count; i++)
        charged += run->watched.calls[i].charged;
    const uint64_t settled = metric_read(&metrics->mirrors_answered) + metric_read(&metrics->mirrors_failed) +
                             metric_read(&metrics->mirrors_skipped_body) + metric_read(&metrics->mirrors_skipped_busy) +
                             metric_read(&metrics->mirrors_skipped_memory) + metric_read(&metrics->mirrors_skipped_incomplete);
    if (settled != charged)
        trial_failed(run, NULL, "not each copy was counted once");
}

// ---- attempts

#define REPEATED                                                                                                                       \
    "  retry: {attempts: 2, conditions: [ConnectFailure, GatewayError, Reset], backoff: {base: 10ms, max: 50ms}, bufferBytes: 16Ki,\n" \
    "    budget: {percent: 100, minPerSecond: 100}}\n"
#define HEDGED_AFTER(delay) \
    "  retry: {attempts: 0, budget: {percent: 100, minPerSecond: 100}}\n  hedge: {after: Delay, delay: " delay ", max: 1, percent: 100}\n"

static const struct trial_request of_repeats[] = {
    {.text = "GET a /x\n", .statuses = {200, 503}, .fate = PASSES_ALWAYS, .executions_max = 3},
    {.text = "POST a /x\n", .has_body = true, .statuses = {200, 503}, .fate = PASSES_ALWAYS},
    {.text = "PUT a /x\n", .has_body = true, .statuses = {200, 503}, .fate = PASSES_ALWAYS, .executions_max = 3},
};

static inline void check_repeats(struct trial_run *run) {
    for (unsigned i = 0; i < run->count; i++)
        if (run->exchanges[i].version == 1 && run->exchanges[i].executions > 1)
            trial_failed(run, &run->exchanges[i], "it was repeated although that is off");
}

static const struct trial_request of_hedges[] = {
    {.text = "GET a /x\n", .fate = PASSES_ALWAYS, .executions_max = 2},
    {.text = "POST a /x\n", .has_body = true, .fate = PASSES_ALWAYS},
    {.text = "PUT a /x\n", .has_body = true, .fate = PASSES_ALWAYS, .executions_max = 2},
};

// ---- the table

static const struct trial carriage_trials[] = {
    {.name = "deadline",
     .filter = &filter_deadline,
     .listener = "outbound",
     .documents = {CARRIED(NO_REPEATING "  timeouts: {request: 2s}\n"), CARRIED(NO_REPEATING "  timeouts: {request: 1s}\n"),
                   CARRIED(NO_REPEATING "  deadline: {propagate: false}\n")},
     .check = check_times,
     ROWS(of_time)},
    {.name = "try_deadline",
     .filter = &filter_try_deadline,
     .with = {&filter_deadline},
     .listener = "outbound",
     .documents = {CARRIED_BY_TWO(REPEATED "  timeouts: {request: 2s}\n"),
                   CARRIED_BY_TWO(REPEATED "  timeouts: {request: 3s, backendRequest: 800ms}\n"),
                   CARRIED_BY_TWO(REPEATED "  deadline: {propagate: false}\n")},
     .seen = expect_time_left,
     ROWS(of_tries)},
    {.name = "redirect",
     .filter = &filter_redirect,
     .listener = "outbound",
     .documents = {REDIRECT_TO("b.example", "302"), REDIRECT_TO("c.example", "301"), TO_A("")},
     .check = check_redirects,
     ROWS(of_redirects)},
    {.name = "rewrite",
     .filter = &filter_rewrite,
     .listener = "outbound",
     .documents = {REWRITE_TO("/zero"), REWRITE_TO("/one"), TO_A("")},
     .seen = expect_path,
     ROWS(of_routes)},
    {.name = "header_modifier",
     .filter = &filter_header_modifier,
     .listener = "outbound",
     .documents = {SET_TO("zero"), SET_TO("one"), TO_A("")},
     .seen = expect_field,
     .check = check_fields,
     ROWS(of_routes)},
    {.name = "cors",
     .filter = &filter_cors,
     .listener = "outbound",
     .documents = {CORS_FOR("https://a"), CORS_FOR("https://b"), TO_A("")},
     .check = check_pages,
     ROWS(of_pages)},
    {.name = "mirror",
     .filter = &filter_mirror,
     .listener = "outbound",
     .documents = {MIRROR_TO("s"), MIRROR_TO("t"), SHADOW("s", "8004") SHADOW("t", "8005") TO_A("")},
     .seen = expect_copy,
     .check = check_copies,
     ROWS(of_routes)},
    {.name = "attempts: repeated",
     .listener = "outbound",
     .documents = {CARRIED_BY_TWO(REPEATED), CARRIED_BY_TWO(NO_REPEATING), CARRIED_BY_TWO("")},
     .check = check_repeats,
     ROWS(of_repeats)},
    {.name = "attempts: hedged",
     .listener = "outbound",
     .documents = {CARRIED_BY_TWO(HEDGED_AFTER("20ms")), CARRIED_BY_TWO(NO_REPEATING "  hedge: {disabled: true}\n"), CARRIED_BY_TWO("")},
     .check = check_repeats,
     ROWS(of_hedges)},
};

#endif
