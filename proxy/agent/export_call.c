// The head of a try, and what is kept of its answer. See export_call.h.
#include "agent/export_call.h"

#include "base/check.h"
#include "config/url_service.h"
#include "http/headers.h"
#include "stream/subrequest.h"

#include <stdlib.h>

#define PRODUCT "outrigger/" OUTRIGGER_VERSION " OTel-OTLP-Exporter-C/" OUTRIGGER_VERSION

static void on_note(struct note *note) {
    struct export_call *call = CONTAINER_OF(note, struct export_call, note);
    call->over(call);
}

static const struct bytes grpc_paths[OTLP_SIGNALS] = {
    [OTLP_TRACES] = BYTES_OF("/opentelemetry.proto.collector.trace.v1.TraceService/Export"),
    [OTLP_METRICS] = BYTES_OF("/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"),
    [OTLP_LOGS] = BYTES_OF("/opentelemetry.proto.collector.logs.v1.LogsService/Export"),
};

struct export_call *export_call_create(struct mailbox *home, enum otlp_signal signal, const struct otlp_sender_terms *terms, struct bytes body,
                                       nanoseconds timeout, void (*over)(struct export_call *call), void *user) {
    struct export_call *call = alloc_zeroed_or_abort(1, sizeof *call);
    *call = (struct export_call){.home = home, .over = over, .user = user, .signal = signal, .terms = *terms, .timeout = timeout, .body = body};
    note_init(&call->note, on_note);
    return call;
}

void export_call_destroy(struct export_call *call) {
    struct otlp_answer *answer = &call->answer;
    struct bytes *const texts[] = {&answer->content_type, &answer->content_encoding, &answer->retry_after, &answer->grpc_status,
                                   &answer->grpc_message, &answer->grpc_details,     &answer->body};
    mailbox_withdraw_note(call->home, &call->note);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        bytes_drop(texts[i]);
    free(call);
}

// ---- the worker's thread

static void finish(struct export_call *call, enum error end) {
    call->answer.end = end;
    call->subrequest = NULL;
    *call->under_way = NULL;
    mailbox_leave_note(call->home, &call->note);
}

static struct bytes keep_value(const struct fields *fields, struct bytes name) {
    const struct field *field = fields == NULL ? NULL : fields_find_name(fields, name);
    return field == NULL || field->value.len == 0 ? BYTES_NONE : bytes_keep(field->value);
}

// Of gRPC's fields those of the trailers, or where the answer is nothing but trailers those of its head.
static struct bytes keep_status(const struct subrequest_answer *answer, struct bytes name) {
    const struct bytes value = keep_value(answer->trailers, name);
    return value.len > 0 ? value : keep_value(&answer->head->fields, name);
}

// All that was kept of the body as one text; BYTES_NONE where there is none, or no memory for it: then nothing is read of it.
static struct bytes keep_body(struct buffer *body) {
    const size_t length = body->length;
    char *to = length == 0 ? NULL : try_alloc(length);
    if (to == NULL)
        return BYTES_NONE;
    for (size_t at = 0; at < length;) {
        const struct bytes piece = buffer_front(body);
        memcpy(to + at, piece.at, piece.len);
        at += piece.len;
        buffer_consume(body, piece.len);
    }
    return bytes_from(to, length);
}

static void completed(void *user, const struct subrequest_answer *answer) {
    struct export_call *call = user;
    if (answer->end == OK) {
        struct otlp_answer *to = &call->answer;
        to->status = answer->head->status;
        to->content_type = keep_value(&answer->head->fields, BYTES("content-type"));
        to->content_encoding = keep_value(&answer->head->fields, BYTES("content-encoding"));
        to->retry_after = keep_value(&answer->head->fields, BYTES("retry-after"));
        to->grpc_status = keep_status(answer, BYTES("grpc-status"));
        to->grpc_message = keep_status(answer, BYTES("grpc-message"));
        to->grpc_details = keep_status(answer, BYTES("grpc-status-details-bin"));
        to->body = keep_body(answer->body);
        to->is_cut = answer->is_cut;
    }
    finish(call, answer->end);
}

// gRPC wants to be told how long it may take (grpc/doc/PROTOCOL-HTTP2.md): at most eight digits.
static struct bytes grpc_timeout(struct pool *pool, nanoseconds timeout) {
    const uint64_t ms = timeout / NS_PER_MS;
    return pool_format(pool, "%llum", (unsigned long long)(ms < 99999999 ? ms : 99999999));
}

static void add_form(struct head *head, const struct export_call *call, struct pool *pool) {
    const bool is_compressed = call->terms.compression == OTLP_COMPRESSION_GZIP;
    if (call->terms.protocol == OTLP_GRPC) {
        head->path = grpc_paths[call->signal];
        head->te_trailers = true;
        fields_add(&head->fields, BYTES("content-type"), BYTES("application/grpc+proto"));
        fields_add(&head->fields, BYTES("grpc-timeout"), grpc_timeout(pool, call->timeout));
        if (is_compressed)
            fields_add(&head->fields, BYTES("grpc-encoding"), BYTES("gzip"));
        return;
    }
    fields_add(&head->fields, BYTES("content-type"),
               call->terms.protocol == OTLP_HTTP_JSON ? BYTES("application/json") : BYTES("application/x-protobuf"));
    if (is_compressed)
        fields_add(&head->fields, BYTES("content-encoding"), BYTES("gzip"));
}

static void make_head(struct head *head, const struct export_call *call, const struct otlp_config *config, struct pool *pool) {
    head_init(head, pool);
    head->version = HTTP_1_1;
    head->method = METHOD_POST;
    head->method_text = BYTES("POST");
    head->scheme = config->url->is_https ? BYTES("https") : BYTES("http");
    head->authority = config->url->authority;
    head->path = config->url->path;
    head->content_length = (int64_t)call->body.len;
    add_form(head, call, pool);
    fields_add(&head->fields, BYTES("user-agent"), BYTES(PRODUCT));
    for (uint32_t i = 0; i < config->header_count; i++)
        fields_add(&head->fields, config->headers[i].name, config->headers[i].value)->never_indexed = true;
}

// The documents may be others than those that the body was made by: what it is goes by the call, where it goes by them.
void export_call_run(struct export_call *call, struct stream_env *env, struct bound_snapshot *bound, struct export_call **under_way) {
    const struct otlp_config *config = bound == NULL ? NULL : &bound->snapshot->proxy.telemetry.otlp[call->signal];
    struct pool pool;
    struct head head;
    struct buffer body;
    CHECK(*under_way == NULL);
    call->under_way = under_way;
    *under_way = call;
    if (config == NULL || config->url == NULL || env->refuses_streams) {
        finish(call, env->refuses_streams ? ERROR_MEMORY_LIMIT : ERROR_NO_ENDPOINT);
        return;
    }
    pool_init(&pool, &env->loop->pools);
    make_head(&head, call, config, &pool);
    buffer_init(&body, &env->loop->blocks);
    buffer_append(&body, call->body);
    const struct subrequest_order order = {.kind = SUBREQUEST_TELEMETRY,
                                           .service = config->url->service,
                                           .head = &head,
                                           .body = &body,
                                           .timeout = call->timeout,
                                           .answer_bytes_max = OTLP_ANSWER_BYTES_MAX,
                                           .answer_bytes_kept = OTLP_ANSWER_BYTES_KEPT,
                                           .completed = completed,
                                           .user = call};
    const enum error error = subrequest_start_own(env, bound, &order, &call->subrequest);
    if (error != OK)
        finish(call, error);
    buffer_dispose(&body);
    pool_dispose(&pool);
}

void export_call_cancel(struct export_call *call) {
    subrequest_cancel(call->subrequest);
    finish(call, ERROR_CANCELLED);
}
