// Which context a request brought, what becomes of it, and in which fields it goes on. The fields' formats are telemetry/trace_context's. See tracing.h.
#include "stream/tracing.h"

#include "base/check.h"
#include "http/headers.h"
#include "stream/attempts.h"
#include "stream/debug_header.h"
#include "stream/stream_telemetry.h"
#include "stream/trace_span.h"

#define X_B3_TRACE_ID BYTES("X-B3-TraceId")
#define X_B3_SPAN_ID BYTES("X-B3-SpanId")
#define X_B3_PARENT_ID BYTES("X-B3-ParentSpanId")
#define X_B3_SAMPLED BYTES("X-B3-Sampled")
#define X_B3_FLAGS BYTES("X-B3-Flags")

// ---- what the request brought

enum decision { UNDECIDED, DENIED, ACCEPTED };

struct brought {
    bool has_ids;
    bool is_w3c; // and so its tracestate counts
    struct trace_context context;
    enum decision decision;
    bool is_debug;
};

// More than one, or one that is not valid: none. What no other proxy would understand is not guessed at.
static bool read_w3c(const struct fields *fields, struct brought *brought) {
    const struct field *field = fields_find(fields, FIELD_TRACEPARENT);
    if (field == NULL || fields_find_next(fields, field) != NULL || !traceparent_parse(field->value, &brought->context))
        return false;
    brought->has_ids = brought->is_w3c = true;
    brought->decision = (brought->context.flags & TRACE_SAMPLED) != 0 ? ACCEPTED : DENIED;
    return true;
}

// The one field counts before the several.
static bool read_b3(const struct fields *fields, struct brought *brought) {
    struct b3 b3;
    const struct bytes single = fields_only_value(fields, BYTES("b3"));
    if ((single.len == 0 || !b3_parse(single, &b3)) &&
        !b3_parse_fields(fields_only_value(fields, X_B3_TRACE_ID), fields_only_value(fields, X_B3_SPAN_ID), fields_only_value(fields, X_B3_SAMPLED),
                         fields_only_value(fields, X_B3_FLAGS), &b3))
        return false;
    brought->has_ids = b3.has_ids;
    brought->context = b3.context;
    brought->decision = b3.sampling == B3_DEFERRED ? UNDECIDED : b3.sampling == B3_DENIED ? DENIED : ACCEPTED;
    brought->is_debug = b3.sampling == B3_DEBUG;
    return true;
}

static struct brought read_request(const struct stream *stream, const struct telemetry_propagators *propagators) {
    const struct fields *fields = &stream->request->fields;
    struct brought brought = {0};
    const bool is_read = propagators->tracecontext && read_w3c(fields, &brought);
    if (!is_read && (propagators->b3 || propagators->b3_multi))
        (void)read_b3(fields, &brought);
    return brought;
}

struct tracestate tracing_read_state(const struct head *request) {
    struct tracestate state = {0};
    const struct fields *fields = &request->fields;
    for (const struct field *field = fields_find(fields, FIELD_TRACESTATE); field != NULL; field = fields_find_next(fields, field))
        tracestate_add(&state, field->value);
    return state;
}

// ---- what becomes of it

static void make_span_id(struct stream *stream, uint8_t id[SPAN_ID_BYTES]) {
    uint64_t random = rng_next(&stream->env->loop->rng);
    random += random == 0; // all zeros are no id
    memcpy(id, &random, SPAN_ID_BYTES);
}

static void make_trace_id(struct stream *stream, uint8_t id[TRACE_ID_BYTES]) {
    make_span_id(stream, id);
    make_span_id(stream, id + SPAN_ID_BYTES);
}

// Whether somebody who may asks for it. From all others the field is taken off, so that it asks nobody further on.
static bool is_asked_for(struct stream *stream) {
    const struct bytes name = stream->proxy->telemetry.traces.force_header;
    if (name.len == 0)
        return false;
    if (fields_find_name(&stream->request->fields, name) == NULL)
        return false;
    if (!debug_header_may_ask(stream, name)) {
        fields_remove_name(&stream->request->fields, name);
        return false;
    }
    const struct bytes value = fields_only_value(&stream->request->fields, name);
    return bytes_equal(value, BYTES("1")) || bytes_equal_nocase(value, BYTES("true"));
}

static struct bytes print_state(struct stream *stream, const struct tracestate *state, struct bytes ot) {
    char text[TRACESTATE_BYTES_MAX];
    const size_t length = tracestate_print(state, ot, text);
    return length == 0 ? BYTES_NONE : pool_copy(&stream->pool, bytes_from(text, length));
}

// tracestate of what is recorded. `threshold`: by which it was chosen here; NONE: by no probability.
static void settle_state(struct stream *stream, const struct brought *brought, bool is_chosen_here, uint64_t threshold) {
    struct stream_tracing *tracing = stream->tracing;
    struct tracestate state = {0};
    char text[TRACE_OT_BYTES_MAX];
    if (brought->is_w3c)
        state = tracing_read_state(stream->request);
    struct bytes ot = tracestate_value(&state, BYTES("ot"));
    if (is_chosen_here)
        ot = bytes_from(text, trace_ot_print(ot, threshold, text));
    tracing->changes_state = is_chosen_here || state.is_invalid || !brought->is_w3c;
    if (tracing->changes_state || state.count > 0)
        tracing->state = print_state(stream, &state, ot);
}

static void decide(struct stream *stream, const struct brought *brought, bool is_forced) {
    struct stream_tracing *tracing = stream->tracing;
    const bool is_open = brought->decision == UNDECIDED;
    uint64_t threshold = is_open ? stream_telemetry_rules(stream)->traces.threshold : TRACE_THRESHOLD_NONE;
    bool is_sampled = is_open ? trace_is_sampled(tracing->context.trace_id, BYTES_NONE, threshold) : brought->decision == ACCEPTED;
    const bool is_forced_here = is_forced && !is_sampled;
    if (is_forced_here) {
        is_sampled = true;
        threshold = TRACE_THRESHOLD_NONE;
    }
    tracing->is_recorded = is_sampled;
    tracing->tells = is_sampled || is_open || !brought->has_ids;
    tracing->is_w3c = brought->is_w3c;
    tracing->context.flags = (uint8_t)((tracing->context.flags & ~TRACE_SAMPLED) | (is_sampled ? TRACE_SAMPLED : 0));
    if (is_sampled)
        settle_state(stream, brought, is_open || is_forced_here, threshold);
    else
        tracing->changes_state = tracing->tells;
    if (!brought->has_ids || (is_sampled && tracing->has_server_span))
        make_span_id(stream, tracing->context.span_id);
    if (is_sampled && !tracing->has_server_span)
        make_span_id(stream, tracing->first_id);
}

// More baggage than all have to pass on goes no further.
static void limit_baggage(struct fields *fields) {
    struct baggage_room room = {BAGGAGE_MEMBERS_MAX, BAGGAGE_BYTES_MAX};
    struct field *next;
    for (struct field *field = fields_find(fields, FIELD_BAGGAGE); field != NULL; field = next) {
        const size_t fits = baggage_fit(&room, field->value);
        next = fields_find_next(fields, field);
        fields->bytes -= (uint32_t)(field->value.len - fits);
        field->value.len = fits;
        if (fits == 0)
            fields_remove_field(fields, field);
    }
}

void tracing_begin(struct stream *stream) {
    const struct telemetry_propagators *propagators = &stream->proxy->telemetry.traces.propagators;
    const bool is_forced = !stream->request->opaque && is_asked_for(stream);
    if (stream->env->spans == NULL || stream->request->opaque || stream_telemetry_rules(stream)->traces.is_disabled)
        return;
    CHECK(stream->tracing == NULL && !stream->is_own);
    struct stream_tracing *tracing = pool_alloc_zeroed(&stream->pool, sizeof *tracing);
    stream->tracing = tracing;
    tracing->propagators = *propagators;
    tracing->events_are_records = stream->proxy->telemetry.traces.events == TRACE_EVENTS_LOG;
    tracing->has_server_span = stream->listener->role != ROLE_OUTBOUND;
    const struct brought brought = read_request(stream, propagators);
    tracing->context = brought.context;
    tracing->is_debug = brought.is_debug;
    tracing->has_parent = tracing->parent_is_remote = brought.has_ids;
    memcpy(tracing->parent_id, brought.context.span_id, SPAN_ID_BYTES);
    if (!brought.has_ids) {
        make_trace_id(stream, tracing->context.trace_id);
        tracing->context.flags = TRACE_RANDOM;
    }
    decide(stream, &brought, is_forced);
    if (propagators->baggage)
        limit_baggage(&stream->request->fields);
}

void tracing_begin_below(struct stream *stream, const struct stream *parent) {
    if (parent->tracing == NULL)
        return;
    struct stream_tracing *tracing = pool_alloc(&stream->pool, sizeof *tracing);
    stream->tracing = tracing;
    *tracing = *parent->tracing;
    tracing->events = (struct trace_events){0};
    tracing->state = tracing->state.len == 0 ? BYTES_NONE : pool_copy(&stream->pool, tracing->state);
    tracing->has_server_span = false;
    if (!tracing->is_recorded)
        return;
    memcpy(tracing->parent_id, parent->tracing->has_server_span ? tracing->context.span_id : tracing->first_id, SPAN_ID_BYTES);
    tracing->has_parent = true;
    tracing->parent_is_remote = false;
    make_span_id(stream, tracing->first_id);
}

// ---- attempts

// An inbound listener sends what it lets pass to the application beside it: that is no span of its own.
static bool has_client_spans(const struct stream *stream) {
    return stream->is_subrequest || stream->listener->role != ROLE_INBOUND;
}

void tracing_begin_attempt(struct stream *stream, const struct attempt *before, bool is_hedge) {
    struct stream_tracing *tracing = stream->tracing;
    struct attempt *attempt = stream->attempts->last;
    if (!stream_is_recorded(stream) || !has_client_spans(stream))
        return;
    attempt->span = pool_alloc_zeroed(&attempt->pool, sizeof *attempt->span);
    *attempt->span = (struct attempt_span){.begun = stream->env->loop->now,
                                           .resend_count = stream->attempts->begun - 1,
                                           .follows = before == NULL ? NULL : before->span,
                                           .is_hedge = is_hedge};
    if (tracing->has_server_span || before != NULL) {
        make_span_id(stream, attempt->span->id);
        return;
    }
    memcpy(attempt->span->id, tracing->first_id, SPAN_ID_BYTES); // what hangs below the request hangs below it
    // There is no other span for what came before.
    attempt->span->begun = stream->begun;
    attempt->span->events = tracing->events;
    tracing->events = (struct trace_events){0};
}

void tracing_replace_attempt(struct attempt *attempt, struct attempt *lost) {
    attempt->span = lost->span;
    lost->span = NULL;
}

// ---- what is told on

static void set_field(struct fields *fields, enum field_id id, struct bytes value) {
    fields_remove(fields, id);
    if (value.len > 0)
        fields_add_known(fields, id, value);
}

static struct bytes print_hex(struct pool *pool, const uint8_t *id, size_t count) {
    char *text = pool_alloc(pool, 2 * count);
    (void)trace_hex_print(id, count, text);
    return bytes_from(text, 2 * count);
}

static void tell_w3c(const struct stream_tracing *tracing, const struct trace_context *context, struct fields *fields, struct pool *pool) {
    char *text = pool_alloc(pool, TRACEPARENT_LENGTH);
    traceparent_print(context, text);
    set_field(fields, FIELD_TRACEPARENT, bytes_from(text, TRACEPARENT_LENGTH));
    if (tracing->changes_state)
        set_field(fields, FIELD_TRACESTATE, tracing->state);
}

// Whichever form was read: two that differ would say two things.
static void take_off_b3(struct fields *fields) {
    const struct bytes names[] = {X_B3_TRACE_ID, X_B3_SPAN_ID, X_B3_PARENT_ID, X_B3_SAMPLED, X_B3_FLAGS};
    fields_remove(fields, FIELD_B3);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        fields_remove_name(fields, names[i]);
}

static void tell_b3(const struct stream_tracing *tracing, const struct trace_context *context, struct fields *fields, struct pool *pool) {
    char *text = pool_alloc(pool, B3_LENGTH);
    b3_print(context, tracing->is_debug, text);
    fields_add_known(fields, FIELD_B3, bytes_from(text, B3_LENGTH));
}

static void tell_b3_multi(const struct stream_tracing *tracing, const struct trace_context *context, struct fields *fields, struct pool *pool) {
    const bool is_sampled = (context->flags & TRACE_SAMPLED) != 0;
    fields_add(fields, X_B3_TRACE_ID, print_hex(pool, context->trace_id, TRACE_ID_BYTES));
    fields_add(fields, X_B3_SPAN_ID, print_hex(pool, context->span_id, SPAN_ID_BYTES));
    if (is_sampled && tracing->is_debug)
        fields_add(fields, X_B3_FLAGS, BYTES("1"));
    else
        fields_add(fields, X_B3_SAMPLED, is_sampled ? BYTES("1") : BYTES("0"));
}

// What is not recorded goes on as it came, but in no form that the next one would read as nothing, and begin anew: whoever came by another form, or is asked by a head of a filter's own.
static void tell_what_is_missing(const struct stream_tracing *tracing, struct fields *fields, struct pool *pool) {
    if (tracing->propagators.tracecontext && (!tracing->is_w3c || fields_find(fields, FIELD_TRACEPARENT) == NULL)) {
        tell_w3c(tracing, &tracing->context, fields, pool);
        fields_remove(fields, FIELD_TRACESTATE); // it is of no trace, or of another one
    }
    if (tracing->propagators.b3 && fields_find(fields, FIELD_B3) == NULL)
        tell_b3(tracing, &tracing->context, fields, pool);
    if (tracing->propagators.b3_multi && fields_find_name(fields, X_B3_TRACE_ID) == NULL)
        tell_b3_multi(tracing, &tracing->context, fields, pool);
}

void tracing_tell(struct attempt *attempt) {
    const struct stream_tracing *tracing = attempt->stream->tracing;
    struct fields *fields = &attempt->head.fields;
    if (tracing == NULL)
        return;
    if (!tracing->tells) {
        tell_what_is_missing(tracing, fields, &attempt->pool);
        return;
    }
    struct trace_context context = tracing->context;
    if (attempt->span != NULL)
        memcpy(context.span_id, attempt->span->id, SPAN_ID_BYTES);
    if (tracing->propagators.tracecontext)
        tell_w3c(tracing, &context, fields, &attempt->pool);
    if (tracing->propagators.b3 || tracing->propagators.b3_multi)
        take_off_b3(fields);
    if (tracing->propagators.b3)
        tell_b3(tracing, &context, fields, &attempt->pool);
    if (tracing->propagators.b3_multi)
        tell_b3_multi(tracing, &context, fields, &attempt->pool);
}

// ---- the end

void tracing_end(struct stream *stream) {
    struct stream_tracing *tracing = stream->tracing;
    const struct attempt *foremost = stream->attempts == NULL ? NULL : attempts_foremost(stream->attempts);
    if (!stream_is_recorded(stream))
        return;
    if (!tracing->has_server_span && foremost != NULL && foremost->span != NULL)
        memcpy(tracing->context.span_id, foremost->span->id, SPAN_ID_BYTES);
    else if (!tracing->has_server_span) // no try was made of it
        memcpy(tracing->context.span_id, tracing->first_id, SPAN_ID_BYTES);
    trace_spans_write(stream);
}
