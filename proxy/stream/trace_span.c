// Which spans there are, when they began and ended, and what hangs on them. See trace_span.h.
#include "stream/trace_span.h"

#include "base/check.h"
#include "http/headers.h"
#include "stream/attempt_outcome.h"
#include "stream/attempts.h"
#include "stream/trace_attributes.h"
#include "stream/trace_draft.h"
#include "stream/trace_outcome.h"
#include "stream/tracing.h"

// ---- events and links

// Where there is no queue of the log (none is set up, or not yet) they stay what they are without it: nothing is lost.
static bool are_records(const struct stream *stream) {
    return stream->tracing->events_are_records && stream->env->log_records != NULL;
}

static void put_events(struct trace_draft *draft, const struct trace_events *events) {
    if (are_records(draft->stream))
        return;
    for (const struct trace_event *event = events->first; event != NULL; event = event->next) {
        span_event_begin(&draft->writer, event->name, event->at + draft->wall_ahead);
        for (uint32_t i = 0; i < event->count; i++) {
            const struct log_value *value = &event->values[i];
            if (value->text.len > 0)
                span_text(&draft->writer, value->key, value->text);
            else
                span_number(&draft->writer, value->key, (int64_t)value->number);
        }
        span_event_end(&draft->writer);
    }
}

// Where they are no events of the span: whether there is room for that or not. What finds no room itself the queue counts.
static void write_records(const struct trace_draft *draft, const uint8_t *span_id, const struct trace_events *events) {
    const struct stream *stream = draft->stream;
    const struct stream_env *env = stream->env;
    if (!are_records(stream))
        return;
    const bool gives_way = stream->proxy->telemetry.audit_log.format == AUDIT_FORMAT_OTLP;
    for (const struct trace_event *event = events->first; event != NULL; event = event->next) {
        char *const memory = gives_way ? export_queue_spare_room(env->log_records) : export_queue_room(env->log_records);
        if (memory == NULL)
            continue;
        const struct log_event record = {.at = event->at + draft->wall_ahead,
                                         .observed = loop_wall(env->loop),
                                         .trace_id = stream->tracing->context.trace_id,
                                         .span_id = span_id,
                                         .flags = stream->tracing->context.flags,
                                         .name = event->name,
                                         .values = event->values,
                                         .count = event->count};
        export_queue_add(env->log_records, log_record_of_event(&record, memory));
        loop_flush(env->loop, env->publish);
    }
}

static void put_link(struct trace_draft *draft, const struct attempt_span *span) {
    if (span->follows == NULL)
        return;
    struct trace_context to = draft->stream->tracing->context;
    memcpy(to.span_id, span->follows->id, SPAN_ID_BYTES);
    span_link_begin(&draft->writer, &to);
    span_text(&draft->writer, BYTES("outrigger.link"), span->is_hedge ? BYTES("hedge_of") : BYTES("retry_of"));
    span_link_end(&draft->writer);
}

// ---- whole spans

// NULL: the queue is full, and has counted it; or traces were switched off while the stream ran.
static char *room_of(const struct stream *stream) {
    return stream->env->spans == NULL ? NULL : export_queue_room(stream->env->spans);
}

static struct trace_draft draft_of(struct stream *stream, const struct attempt *attempt) {
    const struct loop *loop = stream->env->loop;
    return (struct trace_draft){.stream = stream,
                                .attempt = attempt,
                                .request = attempt == NULL || attempt->never_sent ? stream->request : &attempt->head,
                                .grpc_code = CONVENTION_NO_CODE,
                                .wall_ahead = loop_wall(loop) - loop->now};
}

static void begin(struct trace_draft *draft, char *memory, struct span_head *head, const struct trace_outcome *outcome) {
    const struct stream_tracing *tracing = draft->stream->tracing;
    head->trace_state = tracing->state;
    head->name = trace_name_of(draft);
    head->begun += draft->wall_ahead;
    head->ended += draft->wall_ahead;
    head->status = outcome->status;
    head->message = outcome->message;
    span_begin(&draft->writer, memory, head);
}

static void finish(struct trace_draft *draft) {
    const struct stream_env *env = draft->stream->env;
    export_queue_add(env->spans, span_end(&draft->writer));
    loop_flush(env->loop, env->publish);
}

static void write_own_span(struct stream *stream, enum span_kind kind) {
    const struct stream_tracing *tracing = stream->tracing;
    struct trace_draft draft = draft_of(stream, NULL);
    const struct field *agent = fields_find(&draft.request->fields, FIELD_USER_AGENT);
    write_records(&draft, tracing->context.span_id, &tracing->events);
    char *const memory = room_of(stream);
    if (memory == NULL)
        return;
    draft.status = stream->status;
    if (stream->grpc_status != ACCESS_LOG_NO_GRPC_STATUS)
        draft.grpc_code = stream->grpc_status;
    const struct trace_outcome outcome = trace_outcome_of(&draft, stream->end, stream->detail, kind == SPAN_SERVER);
    struct span_head head = {.context = tracing->context,
                             .parent_id = tracing->has_parent ? tracing->parent_id : NULL,
                             .parent_is_remote = tracing->parent_is_remote,
                             .kind = kind,
                             .begun = stream->begun,
                             .ended = stream->env->loop->now,
                             .events_dropped = tracing->events.dropped};
    begin(&draft, memory, &head, &outcome);
    trace_put_request(&draft);
    if (kind == SPAN_CLIENT)
        trace_put_asked(&draft);
    else
        trace_put_served(&draft);
    span_text(&draft.writer, BYTES("error.type"), outcome.type);
    span_text(&draft.writer, BYTES("user_agent.original"), agent == NULL ? BYTES_NONE : agent->value);
    trace_put_ours(&draft, stream->end);
    span_text(&draft.writer, BYTES("outrigger.policy"), stream->policy);
    put_events(&draft, &tracing->events);
    finish(&draft);
}

static void write_attempt(struct stream *stream, const struct attempt *attempt) {
    const struct stream_tracing *tracing = stream->tracing;
    const struct attempt_span *span = attempt->span;
    struct trace_draft draft = draft_of(stream, attempt);
    write_records(&draft, span->id, &span->events);
    char *const memory = room_of(stream);
    if (memory == NULL)
        return;
    draft.status = attempt->answered_after > 0 ? attempt->up.codec_stream.head.status : 0;
    draft.grpc_code = draft.status > 0 ? attempt_grpc_code(attempt) : CONVENTION_NO_CODE;
    const enum error error = trace_attempt_error(attempt);
    const struct trace_outcome outcome = trace_outcome_of_attempt(&draft, error);
    struct span_head head = {.context = tracing->context,
                             .parent_is_remote = !tracing->has_server_span && tracing->parent_is_remote,
                             .kind = SPAN_CLIENT,
                             .begun = span->begun,
                             .ended = span->ended > 0 ? span->ended : stream->env->loop->now,
                             .events_dropped = span->events.dropped};
    memcpy(head.context.span_id, span->id, SPAN_ID_BYTES);
    if (tracing->has_server_span)
        head.parent_id = tracing->context.span_id;
    else if (tracing->has_parent)
        head.parent_id = tracing->parent_id;
    begin(&draft, memory, &head, &outcome);
    trace_put_request(&draft);
    trace_put_asked(&draft);
    trace_put_endpoint(&draft);
    span_text(&draft.writer, BYTES("error.type"), outcome.type);
    if (span->resend_count > 0 && !stream->request_is_grpc)
        span_number(&draft.writer, BYTES("http.request.resend_count"), span->resend_count);
    trace_put_ours(&draft, trace_speaks_for_stream(attempt) && stream->end != OK ? stream->end : error);
    if (trace_speaks_for_stream(attempt))
        span_text(&draft.writer, BYTES("outrigger.policy"), stream->policy);
    if (attempt->refusal != OK)
        span_text(&draft.writer, BYTES("outrigger.refusal"), bytes_from_text(error_name(attempt->refusal)));
    put_link(&draft, span);
    put_events(&draft, &span->events);
    finish(&draft);
}

void trace_spans_write(struct stream *stream) {
    CHECK(stream_is_recorded(stream) && stream->request != NULL);
    bool has_tries = false;
    if (stream->attempts != NULL)
        LIST_EACH(&stream->attempts->over, node, following) {
            const struct attempt *attempt = LIST_ENTRY(node, struct attempt, link);
            if (attempt->span == NULL)
                continue;
            has_tries = true;
            write_attempt(stream, attempt);
        }
    if (stream->tracing->has_server_span)
        write_own_span(stream, SPAN_SERVER);
    else if (!has_tries)
        write_own_span(stream, SPAN_CLIENT);
}
