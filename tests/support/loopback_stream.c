// A sink that records in the place of a client, and the rest of a worker that a stream needs: see loopback_stream.h.
#include "support/loopback_stream.h"

#include "base/check.h"
#include "stream/attempts.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

static const struct filter_type *const no_filters[] = {NULL};

// --- the world ---

static void copy_to(char *to, size_t size, struct bytes text) {
    size_t length = text.len < size - 1 ? text.len : size - 1;
    if (length > 0)
        memcpy(to, text.at, length);
    to[length] = '\0';
}

static void record(void *user, const struct access_record *from) {
    struct loopback *world = user;
    struct loopback_record *to = &world->record;
    unsigned count = to->count + 1;
    *to = (struct loopback_record){
        .count = count,
        .end = from->end,
        .status = from->status,
        .grpc_status = from->grpc_status,
        .attempts = from->attempts,
        .request_bytes = from->request_bytes,
        .response_bytes = from->response_bytes,
        .duration = from->duration,
        .upstream_duration = from->upstream_duration,
    };
    copy_to(to->detail, sizeof to->detail, from->detail);
    copy_to(to->policy, sizeof to->policy, from->policy);
    copy_to(to->delayed, sizeof to->delayed, from->delayed);
    copy_to(to->dry_run, sizeof to->dry_run, from->dry_run);
    copy_to(to->retried_for, sizeof to->retried_for, from->retried_for);
    copy_to(to->retried_by, sizeof to->retried_by, from->retried_by);
    copy_to(to->ejected_by, sizeof to->ejected_by, from->ejected_by);
    copy_to(to->retry_refused, sizeof to->retry_refused, from->retry_refused);
    copy_to(to->ejected, sizeof to->ejected, from->ejected);
    copy_to(to->service, sizeof to->service, from->service);
    copy_to(to->endpoint, sizeof to->endpoint, from->endpoint);
    copy_to(to->path, sizeof to->path, from->path);
    copy_to(to->request_id, sizeof to->request_id, from->request_id);
    copy_to(to->trace_id, sizeof to->trace_id, from->trace_id);
    copy_to(to->span_id, sizeof to->span_id, from->span_id);
    copy_to(to->keys, sizeof to->keys, from->keys);
    copy_to(to->headers, sizeof to->headers, from->headers);
}

void loopback_apply(struct loopback *world, const char *documents) {
    struct snapshot *snapshot = fake_upstream_apply(&world->far, documents);
    struct bound_snapshot *bound = bound_create(&world->far.upstream, chain_set_create(snapshot_ref(snapshot), world->filters, &world->states, NULL));
    while (bound_next(bound))
        ;
    if (world->bound != NULL)
        bound_retire(world->bound);
    world->bound = bound;
}

void loopback_init(struct loopback *world, const char *documents, const struct filter_type *const *filters) {
    *world = (struct loopback){0};
    fake_upstream_init(&world->far, NULL);
    world->filters = filters == NULL ? no_filters : filters;
    world->far.upstream.policies = &world->states;
    world->states = (struct policy_states){.live = policy_state_set_create(), .shadow = policy_state_set_create()};
    world->env = (struct stream_env){
        .unanswered_max = UINT32_MAX,
        .loop = &world->far.check.loop,
        .upstream = &world->far.upstream,
        .metrics = &world->far.metrics,
        .log = record,
        .log_user = world,
    };
    list_init(&world->env.subrequests);
    list_init(&world->env.unanswered);
    loopback_apply(world, documents);
}

static void check_endpoints(const struct fake_upstream *far) {
    uint32_t position = 0;
    struct bytes key;
    void *value;
    while (map_next(&far->upstream.clusters, &position, &key, &value)) {
        const struct cluster *cluster = value;
        CHECK(cluster->waiting == 0);
        for (uint32_t i = 0; i < cluster->endpoint_count; i++)
            CHECK(cluster->endpoints[i]->in_flight == 0);
    }
}

void loopback_dispose(struct loopback *world) {
    loopback_settle(world);
    CHECK(world->env.streams == 0);
    CHECK(metric_read(&world->far.metrics.streams_active) == 0);
    CHECK(world->bound->pins == 1);
    check_endpoints(&world->far);
    bound_unpin(world->bound);
    fake_upstream_dispose(&world->far);
    policy_state_set_destroy(world->states.live);
    policy_state_set_destroy(world->states.shadow);
}

void loopback_settle(struct loopback *world) {
    fake_upstream_settle(&world->far);
}

void loopback_pass(struct loopback *world, nanoseconds duration) {
    fake_upstream_pass(&world->far, duration);
}

const struct listener_config *loopback_listener(const struct loopback *world, const char *name) {
    const struct proxy_config *proxy = &world->bound->snapshot->proxy;
    for (uint32_t i = 0; i < proxy->listener_count; i++)
        if (bytes_equal(proxy->listeners[i].name, bytes_from_text(name)))
            return &proxy->listeners[i];
    CHECK(false);
}

// --- the sink ---

static struct client *client_of(struct stream_sink *sink) {
    return CONTAINER_OF(sink, struct client, sink);
}

static void add_lines(struct text *text, const struct fields *fields) {
    FIELDS_EACH(fields, field)
        text_format(text, "%.*s: %.*s\n", BYTES_FORMAT(field->name), BYTES_FORMAT(field->value));
}

static bool sink_send_head(struct stream_sink *sink, const struct head *head, bool end) {
    struct client *client = client_of(sink);
    CHECK(!client->done && !client->was_reset && client->status == 0);
    if (client->head_error != OK) {
        client->was_reset = true;
        stream_on_failed(client->stream, client->head_error);
        return false;
    }
    text_format(&client->heads, "%u\n", head->status);
    add_lines(&client->heads, &head->fields);
    if (head->status < 200 && head->status != 101) {
        CHECK(!end);
        client->interim++;
        return true;
    }
    client->status = head->status;
    client->ended = end;
    add_lines(&client->fields, &head->fields);
    return true;
}

static void sink_send_body(struct stream_sink *sink, struct buffer *body, bool end, const struct fields *trailers) {
    struct client *client = client_of(sink);
    CHECK(!client->done && !client->was_reset && client->status != 0 && !client->ended);
    CHECK(end || trailers == NULL);
    while (!buffer_is_empty(body) && client->accepts > 0) {
        struct bytes front = buffer_front(body);
        if (front.len > client->accepts)
            front.len = client->accepts;
        text_add(&client->body, front);
        buffer_consume(body, front.len);
        if (client->accepts != SIZE_MAX)
            client->accepts -= front.len;
    }
    if (!end || !buffer_is_empty(body))
        return;
    client->ended = true;
    if (trailers != NULL)
        add_lines(&client->trailers, trailers);
}

static void watch_held(struct client *client) {
    const struct stream *stream = client->stream;
    size_t held = stream->request_body.length;
    if (stream->attempts != NULL)
        held += attempts_foremost(stream->attempts)->body.length;
    if (held > client->held_most)
        client->held_most = held;
}

// Gives the stream what it has credit for, in pieces of one read, as a connection that stops reading would.
static void send_on(struct client *client) {
    struct stream *stream = client->stream;
    while (client->unsent_at < client->unsent.len && stream->request_body.length < stream_body_credit(stream)) {
        size_t length = client->unsent.len - client->unsent_at;
        if (length > BLOCK_CAPACITY)
            length = BLOCK_CAPACITY;
        struct block *block = block_get(&client->world->far.check.loop.blocks);
        memcpy(block->bytes, client->unsent.at + client->unsent_at, length);
        block->filled = (uint32_t)length;
        client->unsent_at += length;
        stream_on_body(stream, block, bytes_from(block->bytes, length));
        block_unref(block);
    }
    watch_held(client);
    if (client->unsent_at < client->unsent.len || !client->unsent_end)
        return;
    client->unsent_end = false;
    struct fields *trailers = NULL;
    if (client->trailer_lines != NULL) {
        trailers = pool_alloc(&stream->pool, sizeof *trailers);
        fields_init(trailers, &stream->pool);
        fields_from_lines(trailers, client->trailer_lines);
    }
    stream_on_end(stream, trailers);
}

static void sink_consumed(struct stream_sink *sink, size_t count) {
    struct client *client = client_of(sink);
    CHECK(!client->done && count > 0);
    client->consumed += count;
    CHECK(client->consumed <= client->unsent_at); // never more than came
    watch_held(client);
}

static void sink_reset(struct stream_sink *sink, enum error error) {
    struct client *client = client_of(sink);
    CHECK(!client->done && !client->was_reset && !client->ended);
    client->was_reset = true;
    client->reset_error = error;
}

static void sink_done(struct stream_sink *sink) {
    struct client *client = client_of(sink);
    CHECK(!client->done && (client->ended || client->was_reset));
    client->done = true;
    if (client->keeps)
        return;
    stream_release(client->stream);
    client->stream = NULL;
}

static const struct stream_sink_ops sink_ops = {
    .send_head = sink_send_head,
    .send_body = sink_send_body,
    .consumed = sink_consumed,
    .reset = sink_reset,
    .done = sink_done,
};

// --- what a client does ---

static struct bytes next_word(const char **text, const char *end) {
    while (*text < end && **text == ' ')
        (*text)++;
    const char *start = *text;
    while (*text < end && **text != ' ')
        (*text)++;
    return bytes_from(start, (size_t)(*text - start));
}

void head_from_text(struct head *head, struct pool *pool, enum http_version version, const char *request) {
    head_init(head, pool);
    struct bytes text = pool_copy(pool, bytes_from_text(request));
    const char *at = text.at;
    const char *line_end = strchr(at, '\n');
    CHECK(line_end != NULL);
    head->version = version;
    head->method_text = next_word(&at, line_end);
    head->method = method_from_text(head->method_text);
    head->authority = next_word(&at, line_end);
    head->path = next_word(&at, line_end);
    head->scheme = BYTES("http");
    fields_from_lines(&head->fields, line_end + 1);
    const struct field *length = fields_find(&head->fields, FIELD_CONTENT_LENGTH);
    uint64_t value;
    head->content_length = length != NULL && bytes_to_u64(length->value, INT64_MAX, &value) ? (int64_t)value : -1;
    head->te_trailers = fields_find(&head->fields, FIELD_TE) != NULL;
    head->expect_continue = fields_find(&head->fields, FIELD_EXPECT) != NULL;
}

static const union address somewhere = {.v4 = {.sin_family = AF_INET}};

void client_begin_as(struct client *client, struct loopback *world, const struct listener_config *listener, const struct stream_client *from,
                     enum http_version version, const char *request, bool end) {
    void *memory;
    *client = (struct client){.sink = {.ops = &sink_ops}, .world = world, .accepts = SIZE_MAX};
    client->stream = stream_create(&world->env, world->bound, listener, from, 1, &memory);
    client->stream->sink = &client->sink;
    if (request == NULL)
        return;
    struct head *head = pool_alloc_zeroed(&client->stream->pool, sizeof *head);
    head_from_text(head, &client->stream->pool, version, request);
    stream_on_head(client->stream, head, end);
}

static void begin_outbound(struct client *client, struct loopback *world, const char *request, bool end) {
    const struct stream_client from = {.address = &somewhere};
    client_begin_as(client, world, loopback_listener(world, "outbound"), &from, HTTP_1_1, request, end);
}

void client_get(struct client *client, struct loopback *world, const char *request) {
    begin_outbound(client, world, request, true);
}

void client_ask(struct client *client, struct loopback *world, const char *request) {
    client_get(client, world, request);
    loopback_settle(world);
}

void client_open(struct client *client, struct loopback *world, const char *request) {
    begin_outbound(client, world, request, false);
}

// Until nothing moves: what was held back goes on as credit comes back.
static void settle_client(struct client *client) {
    size_t before;
    do {
        before = client->unsent_at;
        if (client->stream != NULL && !client->done)
            send_on(client);
        loopback_settle(client->world);
    } while (client->unsent_at != before);
}

void client_send(struct client *client, struct bytes body, bool end) {
    text_add(&client->unsent, body);
    client->unsent_end = end;
    settle_client(client);
}

void client_end(struct client *client, const char *lines) {
    client->trailer_lines = lines == NULL ? NULL : strdup(lines);
    client_send(client, BYTES_NONE, true);
}

void client_accept(struct client *client, size_t count) {
    client->accepts += count;
    if (client->stream != NULL && !client->done)
        stream_on_writable(client->stream);
    settle_client(client);
}

void client_fail(struct client *client, enum error error) {
    if (client->stream != NULL && !client->done)
        stream_on_failed(client->stream, error);
    loopback_settle(client->world);
}

void client_release(struct client *client) {
    CHECK(client->keeps && client->done);
    stream_release(client->stream);
    client->stream = NULL;
    loopback_settle(client->world);
}

void client_dispose(struct client *client) {
    CHECK(client->done && client->stream == NULL);
    text_dispose(&client->heads);
    text_dispose(&client->fields);
    text_dispose(&client->body);
    text_dispose(&client->trailers);
    text_dispose(&client->unsent);
    free(client->trailer_lines);
    client->trailer_lines = NULL;
}

void clients_leave(struct client *clients, unsigned count, struct loopback *world) {
    for (unsigned i = 0; i < count; i++)
        client_dispose(&clients[i]);
    loopback_dispose(world);
}

const char *client_field(const struct client *client, const char *name) {
    static char value[512];
    size_t length = strlen(name);
    for (const char *line = client->fields.at; line != NULL && *line != '\0';) {
        const char *line_end = strchr(line, '\n');
        if (strncasecmp(line, name, length) == 0 && line[length] == ':') {
            copy_to(value, sizeof value, bytes_from(line + length + 2, (size_t)(line_end - line) - length - 2));
            return value;
        }
        line = line_end + 1;
    }
    return NULL;
}
