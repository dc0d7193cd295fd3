// See breaking.h. What is a failure of a service, and what is not its doing, stands here (docs/circuit-breakers.md).
#include "stream/breaking.h"

#include "http/headers.h"
#include "stream/attempt.h"
#include "stream/attempt_outcome.h"
#include "stream/stream.h"
#include "stream/tracing.h"
#include "stream/verdict.h"
#include "upstream/breaker_state.h"
#include "upstream/endpoint_breaker.h"

// When it may be tried again where that hangs on probes that are under way.
#define PROBES_WAIT_NS NS_PER_S

struct breaker_pass {
    struct breaker_pass *next; // of the same attempt
    struct attempt *attempt;
    struct circuit_breaker *breaker;
    struct endpoint *endpoint; // whose it is, and the attempt has a reference to; NULL: of the service
    uint64_t generation;
    struct timer timer; // until it is a long stream
    bool is_settled;
};

// ---- what an attempt says of whom it asked

#define GRPC_DEADLINE_EXCEEDED 4

// UNKNOWN, DEADLINE_EXCEEDED, INTERNAL, UNAVAILABLE, DATA_LOSS.
static bool is_grpc_failure(uint64_t code) {
    return code == 2 || code == GRPC_DEADLINE_EXCEEDED || code == 13 || code == 14 || code == 15;
}

// Of a call without one the status of HTTP speaks.
static const struct field *grpc_status_of(const struct attempt *attempt) {
    const struct codec_stream *answer = &attempt->up.codec_stream;
    const struct field *in_head = fields_find(&answer->head.fields, FIELD_GRPC_STATUS);
    return in_head != NULL ? in_head : fields_find(&answer->trailers, FIELD_GRPC_STATUS);
}

static enum circuit_outcome outcome_of_head(const struct attempt *attempt) {
    const struct head *head = &attempt->up.codec_stream.head;
    if (attempt->is_refusal)
        return CIRCUIT_NONE; // our own proxy's, before it was asked
    if (head->status >= 500 && head->status != 501)
        return CIRCUIT_FAILED;
    const struct field *status = attempt->stream->request_is_grpc ? grpc_status_of(attempt) : NULL;
    uint64_t code;
    if (status == NULL)
        return CIRCUIT_SUCCEEDED;
    if (!bytes_to_u64(status->value, UINT64_MAX, &code))
        return CIRCUIT_FAILED;
    if (code == GRPC_DEADLINE_EXCEEDED && attempt_meets_callers_deadline(attempt))
        return CIRCUIT_NONE;
    return is_grpc_failure(code) ? CIRCUIT_FAILED : CIRCUIT_SUCCEEDED;
}

// The route's timeouts. A caller's own deadline that is shorter says how patient he is, nothing of the service: he could open the breaker of all others by it.
static bool ran_out_of_time(const struct attempt *attempt) {
    return attempt->error == ERROR_TRY_TIMEOUT || attempt->error == ERROR_REQUEST_TIMEOUT;
}

// A call of gRPC that is over has a status, or its client takes it for UNKNOWN.
static bool lacks_grpc_status(const struct attempt *attempt) {
    return attempt->stream->request_is_grpc && attempt->up.ended && attempt->up.codec_stream.head.status == 200 && grpc_status_of(attempt) == NULL;
}

static enum circuit_outcome outcome_of_answer(const struct attempt *attempt) {
    const enum circuit_outcome by_head = outcome_of_head(attempt);
    if (by_head != CIRCUIT_SUCCEEDED || attempt->stream->has_tunnel)
        return by_head;
    if (attempt->up.error == ERROR_RESPONSE_INCOMPLETE && attempt_meets_callers_deadline(attempt))
        return CIRCUIT_NONE;
    if (attempt->up.error != OK || lacks_grpc_status(attempt))
        return CIRCUIT_FAILED;
    if (attempt->up.ended || attempt->error == OK)
        return CIRCUIT_SUCCEEDED; // whether its client has taken it or not
    // Else its client went while it came, or was too slow for it, or too impatient.
    return ran_out_of_time(attempt) && attempt_was_its_time(attempt) ? CIRCUIT_FAILED : CIRCUIT_NONE;
}

// Of one that has no answer.
static enum circuit_outcome outcome_of_failure(const struct attempt *attempt) {
    if (attempt->endpoint == NULL || attempt->was_unreached || attempt->is_refusal || attempt->up.was_unsent || retry_was_unsent(attempt))
        return CIRCUIT_NONE;
    if (ran_out_of_time(attempt))
        return attempt_was_its_time(attempt) ? CIRCUIT_FAILED : CIRCUIT_NONE;
    switch (attempt->error) {
    case OK:
    case ERROR_CANCELLED:
    case ERROR_CLIENT_GONE:
    case ERROR_DEADLINE_EXPIRED:
    case ERROR_POOL_FULL:
    case ERROR_NO_ENDPOINT: // it was taken away meanwhile
    case ERROR_MEMORY_LIMIT:
    case ERROR_NO_MEMORY:
    case ERROR_REFUSED_STREAM: // provably not processed: so servers say that they are about to end
    case ERROR_UPGRADE_FAILED: // it speaks, but not that
        return CIRCUIT_NONE;
    case ERROR_TLS_FAILED: // without an identity, or authorities, of our own yet
        return upstream_has_credentials(attempt->stream->env->upstream, attempt->endpoint->peer) ? CIRCUIT_FAILED : CIRCUIT_NONE;
    case ERROR_UPSTREAM_RESET:
        return attempt_meets_callers_deadline(attempt) ? CIRCUIT_NONE : CIRCUIT_FAILED;
    default:
        return CIRCUIT_FAILED;
    }
}

// ---- the pass

static void settle(struct breaker_pass *pass, enum circuit_outcome outcome) {
    struct loop *loop = pass->attempt->stream->env->loop;
    if (pass->is_settled)
        return;
    pass->is_settled = true;
    loop_timer_stop(loop, &pass->timer);
    if (!circuit_breaker_settle(pass->breaker, pass->generation, outcome, attempt_took(pass->attempt), loop->now, &loop->rng))
        return;
    if (stream_is_recorded(pass->attempt->stream))
        trace_breaker_changed(pass->attempt, circuit_state_name(circuit_breaker_look(pass->breaker, loop->now).state), pass->endpoint != NULL);
    if (pass->endpoint != NULL)
        endpoint_breakers_changed(pass->endpoint);
}

static void on_timer(struct timer *timer) {
    struct breaker_pass *pass = CONTAINER_OF(timer, struct breaker_pass, timer);
    settle(pass, outcome_of_head(pass->attempt));
}

static bool begin(struct attempt *attempt, struct breaker_state *state, struct endpoint *endpoint, nanoseconds *wait) {
    uint64_t generation;
    const enum circuit_pass answer = circuit_breaker_begin(state->breaker, attempt->stream->env->loop->now, &generation, wait);
    if (answer == CIRCUIT_REFUSED)
        return false;
    if (answer == CIRCUIT_PROBES && endpoint != NULL)
        endpoint_breakers_changed(endpoint);
    struct breaker_pass *pass = pool_alloc_zeroed(&attempt->pool, sizeof *pass);
    *pass = (struct breaker_pass){
        .next = attempt->breaker_passes, .attempt = attempt, .breaker = state->breaker, .endpoint = endpoint, .generation = generation};
    timer_init(&pass->timer, on_timer);
    attempt->breaker_passes = pass;
    return true;
}

bool breaking_begin(struct attempt *attempt, struct breaker_state *state, nanoseconds *wait) {
    return begin(attempt, state, NULL, wait);
}

enum filter_result breaking_refuse(struct attempt *attempt, const struct policy *policy, struct breaker_state *state, nanoseconds wait) {
    return verdict_refuse_attempt(attempt, policy,
                                  &(struct verdict){.end = ERROR_BREAKER_OPEN,
                                                    .rule = BYTES(BREAKER_RULE),
                                                    .reason = wait > 0 ? BYTES("open") : BYTES("half-open, and as many are tried as may be"),
                                                    .state = &state->state,
                                                    .retry_after = wait > 0 ? wait : PROBES_WAIT_NS});
}

// Of the service as such: what endpoints have is its own, whatever route a request came by. NULL: the stream's documents say nothing of it.
static const struct policy *policy_at(const struct attempt *attempt, bool is_dry_run) {
    const struct destination *service = attempt->stream->destination->config->service->destination;
    for (uint32_t i = 0; i < service->policy_count; i++)
        if (service->policies[i]->kind == POLICY_CIRCUIT_BREAKER && service->policies[i]->is_dry_run == is_dry_run)
            return service->policies[i];
    return NULL;
}

bool breaking_begin_at(struct attempt *attempt, struct endpoint *endpoint) {
    nanoseconds wait;
    endpoint_link(endpoint);
    struct breaker_state *state = endpoint->links->breaker;
    if (state == NULL || begin(attempt, state, endpoint, &wait))
        return true;
    if (!endpoint->cluster->traffic.circuit_breaker.dry_run) {
        endpoint_breakers_doubt(endpoint->cluster);
        return false;
    }
    const struct policy *policy = policy_at(attempt, true);
    if (policy != NULL)
        (void)breaking_refuse(attempt, policy, state, wait);
    return true;
}

bool breaking_refuses_all(struct attempt *attempt) {
    struct stream *stream = attempt->stream;
    nanoseconds wait;
    bool all; // or another worker has just given back a probe of one
    struct endpoint *first = endpoint_breakers_first(stream->destination->cluster, stream->env->loop->now, &wait, &all);
    if (first == NULL)
        return false;
    const struct policy *policy = policy_at(attempt, false);
    if (policy != NULL)
        (void)breaking_refuse(attempt, policy, first->links->breaker, wait);
    else
        attempt_refuse(attempt, ERROR_BREAKER_OPEN, BYTES_NONE);
    return true;
}

void breaking_answered(struct attempt *attempt) {
    const struct stream *stream = attempt->stream;
    const bool is_tunnel = stream->has_tunnel || attempt->up.codec_stream.head.status == 101;
    const nanoseconds age = stream->env->loop->now - attempt->begun;
    const enum circuit_outcome outcome = attempt->breaker_passes == NULL ? CIRCUIT_NONE : outcome_of_head(attempt);
    for (struct breaker_pass *pass = attempt->breaker_passes; pass != NULL; pass = pass->next) {
        if (outcome != CIRCUIT_SUCCEEDED || is_tunnel || age >= LONG_STREAM_NS)
            settle(pass, outcome); // what follows makes a failure no better
        else if (!attempt->up.ended)
            loop_timer_start(stream->env->loop, &pass->timer, LONG_STREAM_NS - age);
    }
}

void breaking_end(struct attempt *attempt) {
    for (struct breaker_pass *pass = attempt->breaker_passes; pass != NULL; pass = pass->next)
        settle(pass, attempt->answered_after > 0 ? outcome_of_answer(attempt) : outcome_of_failure(attempt));
}
