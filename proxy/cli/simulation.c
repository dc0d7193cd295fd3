// A worker without sockets whose clients are lines of a log: see simulation.h.
#include "cli/simulation.h"

#include "base/check.h"
#include "cli/canned_answers.h"
#include "filters/registry.h"
#include "http/form.h"
#include "stream/claims.h"
#include "stream/stream_sink.h"
#include "stream/subrequest.h"
#include "upstream/upstream_change.h"

#include <arpa/inet.h>
#include <jansson.h>
#include <stdlib.h>

// When the virtual clock begins.
#define CLOCK_BEGIN (1000 * NS_PER_S)

// Behind the last line and the longest answer: no policy makes anybody wait longer. Who still waits then is let go.
#define PATIENCE (3600 * NS_PER_S)

// More types of filters than there are.
#define FILTER_TYPES_MAX 64

// One line that is being replayed, in its stream's pool.
struct replayed {
    struct stream_sink sink;
    struct simulation *simulation;
    struct list link; // in simulation->running
    const struct logged *request;
    struct stream *stream;
    nanoseconds sent_at; // when an endpoint got it first; 0: none did
    union address address;
    struct spiffe_id identity;
    struct head head;
    struct claims *claims; // that stand for what the log has hashes of; one reference; NULL: none
};

// --- in the place of the client

static bool send_head(struct stream_sink *sink, const struct head *head, bool end) {
    (void)sink;
    (void)head;
    (void)end;
    return true;
}

static void send_body(struct stream_sink *sink, struct buffer *body, bool end, const struct fields *trailers) {
    (void)sink;
    (void)end;
    (void)trailers;
    buffer_clear(body);
}

static void consumed(struct stream_sink *sink, size_t count) {
    (void)sink;
    (void)count;
}

static void reset(struct stream_sink *sink, enum error error) {
    (void)sink;
    (void)error;
}

static void done(struct stream_sink *sink) {
    struct replayed *replayed = CONTAINER_OF(sink, struct replayed, sink);
    struct simulation *simulation = replayed->simulation;
    const nanoseconds until = replayed->sent_at > 0 ? replayed->sent_at : simulation->loop.now;
    list_remove(&replayed->link);
    report_add(simulation->report, replayed->request, replayed->stream, until - replayed->stream->begun);
    replayed->stream->claims = NULL;
    if (replayed->claims != NULL)
        claims_unref(replayed->claims);
    stream_release(replayed->stream);
}

static const struct stream_sink_ops sink_ops = {.send_head = send_head, .send_body = send_body, .consumed = consumed, .reset = reset, .done = done};

const struct logged *simulation_sent(const struct stream *stream) {
    if (stream->sink->ops != &sink_ops)
        return NULL;
    struct replayed *replayed = CONTAINER_OF(stream->sink, struct replayed, sink);
    if (replayed->sent_at == 0)
        replayed->sent_at = stream->env->loop->now;
    return replayed->request;
}

// --- one line

static const struct listener_config *listener_of(const struct simulation *simulation, const struct logged *request) {
    static const struct {
        enum listener_role role;
        struct bytes direction;
    } directions[] = {{ROLE_GATEWAY, BYTES_OF("gateway")}, {ROLE_INBOUND, BYTES_OF("inbound")}, {ROLE_OUTBOUND, BYTES_OF("outbound")}};
    const struct proxy_config *proxy = &simulation->snapshot->proxy;
    for (uint32_t i = 0; i < proxy->listener_count && request->listener.len > 0; i++)
        if (bytes_equal(proxy->listeners[i].name, request->listener))
            return &proxy->listeners[i];
    for (size_t i = 0; i < sizeof directions / sizeof directions[0]; i++) {
        if (request->direction.len > 0 && !bytes_equal(request->direction, directions[i].direction))
            continue;
        for (uint32_t k = 0; k < proxy->listener_count; k++)
            if (proxy->listeners[k].role == directions[i].role)
                return &proxy->listeners[k];
    }
    return NULL;
}

static void read_address(struct bytes ip, union address *address) {
    char copy[INET6_ADDRSTRLEN + 1] = "";
    struct in6_addr v6;
    if (ip.len > 0 && ip.len < sizeof copy)
        memcpy(copy, ip.at, ip.len);
    *address = (union address){.v4 = {.sin_family = AF_INET}};
    if (inet_pton(AF_INET, copy, &address->v4.sin_addr) != 1 && inet_pton(AF_INET6, copy, &v6) == 1)
        address->v6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_addr = v6};
}

static void add_field(struct head *head, struct bytes name, struct bytes value) {
    if (value.len > 0)
        fields_add(&head->fields, name, value);
}

// A part of a key is replayed as its hash: it tells requests apart as what it stands for did.
static void add_part(struct replayed *replayed, json_t *claims, struct bytes name, struct bytes value) {
    struct head *head = &replayed->head;
    struct pool *pool = &replayed->stream->pool;
    struct bytes rest = name, type;
    (void)bytes_next(&rest, ' ', &type);
    if (bytes_equal(type, BYTES("Header")))
        add_field(head, rest, value);
    else if (bytes_equal(type, BYTES("Cookie")))
        add_field(head, BYTES("cookie"), pool_format(pool, "%.*s=%.*s", BYTES_FORMAT(rest), BYTES_FORMAT(value)));
    else if (bytes_equal(type, BYTES("Query")))
        head->path = pool_format(pool, "%.*s%c%.*s=%.*s", BYTES_FORMAT(head->path), bytes_find(head->path, '?') < head->path.len ? '&' : '?',
                                 BYTES_FORMAT(rest), BYTES_FORMAT(value));
    else if (bytes_equal(type, BYTES("JWTClaim")))
        json_object_set_new(claims, pool_format(pool, "%.*s", BYTES_FORMAT(rest)).at, json_stringn(value.at, value.len));
}

// `claims` NULL: they are headers.
static void add_pairs(struct replayed *replayed, struct bytes pairs, json_t *claims) {
    struct pool *pool = &replayed->stream->pool;
    struct bytes pair;
    while (bytes_next(&pairs, '&', &pair)) {
        const size_t equals = bytes_find(pair, '=');
        if (equals == pair.len)
            continue; // it was cut
        const struct bytes name = form_decode(bytes_from(pair.at, equals), pool);
        const struct bytes value = form_decode(bytes_from(pair.at + equals + 1, pair.len - equals - 1), pool);
        if (claims == NULL)
            add_field(&replayed->head, name, value);
        else
            add_part(replayed, claims, name, value);
    }
}

static void make_head(struct replayed *replayed) {
    const struct logged *request = replayed->request;
    struct head *head = &replayed->head;
    head_init(head, &replayed->stream->pool);
    head->version = HTTP_1_1;
    head->method_text = request->method;
    head->method = method_from_text(request->method);
    head->authority = request->authority.len > 0 ? request->authority : replayed->simulation->host;
    head->path = request->path;
    head->scheme = BYTES("http");
    head->content_length = -1;
    add_field(head, BYTES("user-agent"), request->user_agent);
    add_field(head, BYTES("referer"), request->referer);
    json_t *claims = json_object();
    add_pairs(replayed, request->headers, NULL);
    add_pairs(replayed, request->keys, claims);
    if (json_object_size(claims) > 0)
        replayed->stream->claims = replayed->claims = claims_create(claims);
    json_decref(claims);
}

static void begin(struct simulation *simulation, const struct logged *request) {
    const struct listener_config *listener = listener_of(simulation, request);
    if (listener == NULL) {
        simulation->report->without_listener++;
        return;
    }
    const char *unused;
    void *memory;
    struct stream *stream =
        stream_create(&simulation->env, simulation->bound, listener, &(struct stream_client){0}, sizeof(struct replayed), &memory);
    struct replayed *replayed = memory;
    *replayed = (struct replayed){.sink = {.ops = &sink_ops}, .simulation = simulation, .request = request, .stream = stream};
    read_address(request->client, &replayed->address);
    list_init(&replayed->link);
    list_push_back(&simulation->running, &replayed->link);
    stream->sink = &replayed->sink;
    stream->client.address = &replayed->address;
    if (request->identity.len > 0 && spiffe_id_parse(request->identity, &replayed->identity, &unused) == OK) {
        stream->client.identity = &replayed->identity;
        stream->client.is_kin = true; // what our own domain is, a certificate says, and there is none here
        stream->client.mesh = true;
    }
    make_head(replayed);
    explanation_begin(stream, false);
    stream_on_head(stream, &replayed->head, true);
}

// --- the world

static void log_nothing(void *user, const struct access_record *record) {
    (void)user;
    (void)record;
}

// Every service of HTTP has one endpoint, which is asked by HTTP/1.1 in the clear.
static void divert(struct simulation *simulation) {
    static const struct endpoint_traits plain = {.tls = TLS_NONE, .peer_key = BYTES_OF("simulation")};
    struct snapshot *snapshot = simulation->snapshot;
    simulation->nowhere = (struct endpoint_config){.address = {.ip = {127, 0, 0, 1}, .port = 1, .version = 4}, .weight = 1, .traits = &plain};
    for (uint32_t i = 0; i < snapshot->service_count; i++) {
        struct service_config *service = snapshot->services[i];
        if (service->gateway != NULL || service->is_passthrough || service->protocol == PROTOCOL_TCP || service->protocol == PROTOCOL_TLS)
            continue;
        service->protocol = PROTOCOL_HTTP1;
        service->resolution = RESOLUTION_STATIC;
        service->endpoints = &simulation->nowhere;
        service->endpoint_count = 1;
        service->source_count = 0;
    }
}

// All but those that ask for what no log has: they would refuse every request.
static void choose_filters(const struct filter_type *chosen[FILTER_TYPES_MAX]) {
    uint32_t count = 0;
    for (uint32_t i = 0; filter_types[i] != NULL; i++)
        if (!filter_types[i]->needs_testimony)
            chosen[count++] = filter_types[i];
    CHECK(count < FILTER_TYPES_MAX);
    chosen[count] = NULL;
}

static void open_world(struct simulation *simulation) {
    loop_init(&simulation->loop, NULL);
    simulation->loop.now = CLOCK_BEGIN;
    simulation->loop.wall_ahead = simulation->log->requests[0].at - CLOCK_BEGIN;
    timer_wheel_init(&simulation->loop.timers, CLOCK_BEGIN);
    rng_init(&simulation->loop.rng, 1); // so that two runs are alike
    simulation->shared = live_shared_create();
    simulation->h2_memory = h2_memory_create(&simulation->loop.now);
    simulation->states = (struct policy_states){.live = policy_state_set_create(), .shadow = policy_state_set_create()};
    upstream_init(&simulation->upstream, &simulation->loop, &simulation->metrics, simulation->shared, simulation->h2_memory);
    simulation->upstream.connect = canned_connect;
    simulation->env = (struct stream_env){.loop = &simulation->loop,
                                          .upstream = &simulation->upstream,
                                          .metrics = &simulation->metrics,
                                          .unanswered_max = UINT32_MAX,
                                          .log = log_nothing};
    list_init(&simulation->env.subrequests);
    list_init(&simulation->env.unanswered);
    struct upstream_change change;
    uint32_t cost;
    upstream_change_begin(&change, &simulation->upstream, simulation->snapshot);
    while (upstream_change_next(&change, &cost))
        continue;
    while (upstream_change_drop_next(&change, &cost))
        continue;
    const struct filter_type *filters[FILTER_TYPES_MAX];
    choose_filters(filters);
    simulation->bound = bound_create(&simulation->upstream, chain_set_create(snapshot_ref(simulation->snapshot), filters, &simulation->states, NULL));
    while (bound_next(simulation->bound))
        continue;
}

static nanoseconds longest(const struct log *log) {
    nanoseconds most = 0;
    for (uint32_t i = 0; i < log->count; i++)
        most = log->requests[i].took > most ? log->requests[i].took : most;
    return most;
}

// Behind the last line: what waits or runs comes to its end.
static bool finish(struct simulation *simulation) {
    struct loop *loop = &simulation->loop;
    const nanoseconds end = loop->now + longest(simulation->log) + PATIENCE;
    bool is_sound = loop_settle(loop);
    while (is_sound && simulation->env.streams > 0 && timer_wheel_next(&loop->timers) <= end)
        is_sound = loop_pass(loop, timer_wheel_next(&loop->timers));
    LIST_EACH(&simulation->running, node, following)
        stream_on_failed(LIST_ENTRY(node, struct replayed, link)->stream, ERROR_CLIENT_GONE);
    return loop_settle(loop) && is_sound;
}

static void close_world(struct simulation *simulation) {
    subrequests_cancel_all(&simulation->env);
    CHECK(loop_settle(&simulation->loop));
    CHECK(simulation->env.streams == 0);
    upstream_close_all(&simulation->upstream);
    CHECK(loop_settle(&simulation->loop));
    bound_unpin(simulation->bound);
    CHECK(loop_settle(&simulation->loop));
    upstream_dispose(&simulation->upstream);
    snapshot_unref(simulation->snapshot);
    live_shared_destroy(simulation->shared);
    policy_state_set_destroy(simulation->states.live);
    policy_state_set_destroy(simulation->states.shadow);
    loop_dispose(&simulation->loop);
    h2_memory_destroy(simulation->h2_memory);
}

bool simulate(struct snapshot *snapshot, const struct log *log, struct bytes host, struct simulation_report *report) {
    CHECK(log->count > 0);
    struct simulation *simulation = alloc_zeroed_or_abort(1, sizeof *simulation);
    simulation->snapshot = snapshot;
    simulation->log = log;
    simulation->report = report;
    simulation->host = host;
    list_init(&simulation->running);
    report->reached = pool_alloc_zeroed(report->pool, snapshot->destination_count * sizeof report->reached[0] + 1);
    divert(simulation);
    open_world(simulation);
    bool is_sound = true;
    for (uint32_t i = 0; i < log->count && is_sound; i++) {
        is_sound = loop_pass(&simulation->loop, CLOCK_BEGIN + log->requests[i].at - log->requests[0].at);
        begin(simulation, &log->requests[i]);
    }
    is_sound = finish(simulation) && is_sound;
    close_world(simulation);
    free(simulation);
    return is_sound;
}
