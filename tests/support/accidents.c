// What befalls clients, servers and the worker between them: see accidents.h.
#include "support/accidents.h"

#include "base/check.h"
#include "stream/subrequest.h"
#include "support/place_text.h"
#include "support/seeds.h"

#define STEPS 200
#define CLIENTS 4

struct world {
    struct fake_downstream near;
    const struct accidents *plan;
    struct rng rng;
    struct near_conn *conns[CLIENTS];
    bool calm; // no more accidents: what is left is finished
};

static struct world *current;

bool accidents_one_in(uint32_t count) {
    return rng_below(&current->rng, count) == 0;
}

uint32_t accidents_below(uint32_t bound) {
    return rng_below(&current->rng, bound);
}

bool accidents_are_over(void) {
    return current->calm;
}

static size_t any_length(void) {
    static const uint32_t most[] = {1, 100, 5000, 70000};
    return accidents_below(most[accidents_below(4)] + 1);
}

// --- what clients do ---

static struct near_conn *any_client(void) {
    struct near_conn *conn = current->conns[accidents_below(CLIENTS)];
    return conn == NULL || near_is_closed(conn) ? NULL : conn;
}

static void arrive(void) {
    uint32_t place = accidents_below(CLIENTS);
    struct near_conn *conn = current->conns[place];
    if (conn != NULL && !near_is_closed(conn))
        return;
    conn = near_arrive(&current->near, accidents_below(100) < current->plan->inbound_percent ? "inbound" : "outbound");
    current->conns[place] = conn->refused ? NULL : conn;
    if (!conn->refused)
        near_open(conn, current->plan->front);
}

static struct owner_stream *any_stream(struct codec_owner *owner) {
    if (owner->count == 0)
        return NULL;
    uint32_t back = accidents_below(owner->count < 6 ? owner->count : 6); // one of the last
    return codec_owner_stream(owner, owner->count - 1 - back);
}

// HTTP/1: no more and no less than it said. (HTTP/2 may say less; then the stream is broken off.)
static bool has_stated_length(const struct near_conn *conn, const struct owner_stream *request) {
    return conn->client.codec->version != HTTP_2 && request->stream.out_left >= 0;
}

static void begin_request(struct near_conn *conn) {
    struct codec *codec = conn->client.codec;
    if (codec->refuses_new || codec->streams_open >= codec->streams_max || conn->peer->end_due)
        return;
    const struct accident_request *kind = &current->plan->requests[accidents_below(current->plan->request_count)];
    bool end = kind->body == ACCIDENT_NO_BODY || (kind->body == ACCIDENT_ANY_BODY && accidents_one_in(4));
    struct owner_stream *request = near_request(conn, kind->text, end);
    if (!end && accidents_one_in(2))
        near_body(conn, request, place_text(0, kind->length > 0 ? kind->length : any_length()), accidents_one_in(2));
}

static void go_on_with_request(struct near_conn *conn) {
    struct owner_stream *request = any_stream(&conn->client);
    if (request == NULL || request->stream.codec == NULL || request->stream.sent != PROGRESS_BODY || request->send_end)
        return;
    size_t sent = request->stream.body_sent + request->sending.length + request->stream.out.length;
    size_t length = any_length();
    bool stated = has_stated_length(conn, request);
    if (stated)
        length = (size_t)request->stream.out_left - request->sending.length;
    near_body(conn, request, place_text(sent, length), stated || accidents_one_in(3));
}

static void client_acts(void) {
    struct near_conn *conn = any_client();
    if (conn == NULL) {
        arrive();
        return;
    }
    switch (accidents_below(12)) {
    case 0:
    case 1:
    case 2:
        begin_request(conn);
        break;
    case 3: {
        struct owner_stream *request = any_stream(&conn->client);
        if (request != NULL && accidents_one_in(2))
            near_reset(conn, request, ERROR_CANCELLED);
        break;
    }
    case 4:
        if (accidents_one_in(3))
            fake_peer_reset(conn->peer, accidents_one_in(2));
        break;
    case 5:
        if (accidents_one_in(4) && !conn->peer->end_due)
            fake_peer_end(conn->peer);
        break;
    case 6:
        fake_peer_accept(conn->peer, accidents_one_in(2) ? 0 : accidents_below(30000));
        break;
    case 7:
        fake_peer_accept(conn->peer, SIZE_MAX);
        break;
    case 8:
        conn->client.keep_body = accidents_one_in(2);
        break;
    default:
        go_on_with_request(conn);
        break;
    }
}

// --- what servers do ---

static struct far_conn *any_server(void) {
    struct fake_upstream *far = &current->near.loopback.far;
    if (far->count == 0)
        return NULL;
    uint32_t back = accidents_below(far->count < 6 ? far->count : 6);
    struct far_conn *conn = far_conn(far, far->count - 1 - back);
    return conn->peer->closed ? NULL : conn;
}

static void send_head(struct far_conn *conn, struct owner_stream *request, unsigned status, bool end) {
    struct head head;
    head_init(&head, &request->pool);
    head.version = conn->server.codec->version;
    head.status = (uint16_t)status;
    head.content_length = -1;
    fields_add(&head.fields, BYTES("x-answer"), BYTES("yes"));
    enum error error = conn->server.codec->ops->send_head(conn->server.codec, &request->stream, &head, end);
    CHECK(error == OK);
}

static void answer(struct far_conn *conn, struct owner_stream *request) {
    if (request->stream.codec == NULL || request->heads == 0)
        return;
    if (request->stream.sent == PROGRESS_HEAD) {
        if (accidents_one_in(5)) {
            send_head(conn, request, accidents_one_in(2) ? 100 : 103, false);
            return;
        }
        bool end = accidents_one_in(3);
        send_head(conn, request, accidents_one_in(8) ? 503 : 200, end);
        if (end || request->stream.codec == NULL)
            return;
    }
    if (request->stream.sent != PROGRESS_BODY || request->send_end)
        return;
    size_t sent = request->stream.body_sent + request->sending.length + request->stream.out.length;
    const struct fields *trailers = NULL;
    bool end = accidents_one_in(3);
    if (end && accidents_one_in(2)) {
        struct fields *fields = pool_alloc(&request->pool, sizeof *fields);
        fields_init(fields, &request->pool);
        fields_add(fields, BYTES("x-sum"), BYTES("1"));
        trailers = fields;
    }
    owner_stream_send(request, place_text(sent, any_length()), end, trailers);
}

static void server_acts(void) {
    struct far_conn *conn = any_server();
    if (conn == NULL)
        return;
    if (conn->peer->connecting && !conn->peer->ready_due) {
        fake_peer_connected(conn->peer, accidents_one_in(3) ? ERROR_CONNECT_REFUSED : OK);
        return;
    }
    if (!conn->speaks)
        return;
    struct owner_stream *request = any_stream(&conn->server);
    switch (accidents_below(16)) {
    case 0:
        if (request != NULL && request->stream.codec != NULL)
            conn->server.codec->ops->reset(conn->server.codec, &request->stream, accidents_one_in(2) ? ERROR_REFUSED_STREAM : ERROR_INTERNAL);
        break;
    case 1:
        if (accidents_one_in(2))
            fake_peer_reset(conn->peer, accidents_one_in(2));
        break;
    case 2:
        if (accidents_one_in(2) && !conn->peer->end_due)
            fake_peer_end(conn->peer);
        break;
    case 3:
        if (accidents_one_in(3))
            conn->server.codec->ops->signal(conn->server.codec, accidents_one_in(2) ? CODEC_DRAIN : CODEC_DRAIN_FINAL);
        break;
    case 4:
        fake_peer_accept(conn->peer, accidents_one_in(2) ? 0 : accidents_below(30000));
        break;
    case 5:
        fake_peer_accept(conn->peer, SIZE_MAX);
        break;
    case 6:
        conn->server.keep_body = accidents_one_in(2);
        break;
    default:
        if (request != NULL)
            answer(conn, request);
        break;
    }
}

// --- what befalls both ---

static void choose_mode(void) {
    static const enum far_mode modes[] = {FAR_ACCEPT, FAR_ACCEPT, FAR_ACCEPT, FAR_WAIT, FAR_REFUSE, FAR_NO_SOCKET};
    current->near.loopback.far.mode = modes[accidents_below(6)];
}

static void something_happens(void) {
    switch (accidents_below(20)) {
    case 0:
        if (accidents_one_in(2))
            near_pass(&current->near, accidents_below(8000) * NS_PER_MS);
        break;
    case 1:
        near_pass(&current->near, accidents_below(50) * NS_PER_MS);
        break;
    case 2:
        if (accidents_one_in(2))
            fake_downstream_apply(&current->near, current->plan->documents[accidents_one_in(8) ? 2 : accidents_below(2)]);
        break;
    case 3:
        if (accidents_one_in(8))
            downstream_drain(&current->near.downstream, false);
        break;
    case 4:
        choose_mode();
        break;
    case 5:
        arrive();
        break;
    case 6:
        near_settle(&current->near);
        break;
    case 7:
    case 8:
    case 9:
    case 10:
    case 11:
        server_acts();
        break;
    default:
        client_acts();
        break;
    }
    for (uint32_t turns = accidents_below(4); turns > 0; turns--)
        fake_upstream_step(&current->near.loopback.far);
}

// Everything that can still be answered is; what the clients then have whole must be right.
static void finish_calmly(void) {
    struct fake_upstream *far = &current->near.loopback.far;
    current->calm = true;
    far->mode = FAR_ACCEPT;
    for (int round = 0; round < 40; round++) {
        for (struct near_conn *conn = current->near.conns; conn != NULL; conn = conn->next) {
            if (conn->refused || conn->peer->closed)
                continue;
            conn->client.keep_body = false;
            fake_peer_accept(conn->peer, SIZE_MAX);
            for (struct owner_stream *request = conn->client.streams; request != NULL; request = request->next)
                if (request->stream.codec != NULL && request->stream.sent == PROGRESS_BODY && !request->send_end && !has_stated_length(conn, request))
                    owner_stream_send(request, BYTES_NONE, true, NULL);
        }
        for (struct far_conn *conn = far->conns; conn != NULL; conn = conn->next) {
            if (conn->peer->closed || !conn->speaks)
                continue;
            conn->server.keep_body = false;
            fake_peer_accept(conn->peer, SIZE_MAX);
            for (struct owner_stream *request = conn->server.streams; request != NULL; request = request->next)
                answer(conn, request);
        }
        near_settle(&current->near);
        near_pass(&current->near, 100 * NS_PER_MS);
    }
}

static void check_responses(void) {
    for (struct near_conn *conn = current->near.conns; conn != NULL; conn = conn->next)
        for (struct owner_stream *request = conn->speaks ? conn->client.streams : NULL; request != NULL; request = request->next)
            if (request->ended && request->stream.head.status == 200 && fields_find_name(&request->stream.head.fields, BYTES("x-answer")) != NULL)
                CHECK(place_text_is(bytes_from(request->body.at, request->body.len)));
    for (struct far_conn *conn = current->near.loopback.far.conns; conn != NULL; conn = conn->next)
        for (struct owner_stream *request = conn->speaks ? conn->server.streams : NULL; request != NULL; request = request->next)
            CHECK(place_text_is(bytes_from(request->body.at, request->body.len)));
}

static void run(const struct accidents *plan, uint64_t seed) {
    struct world world = {.plan = plan};
    current = &world;
    rng_init(&world.rng, seed);
    fake_downstream_init(&world.near, plan->documents[0], plan->filters);
    if (!accidents_one_in(4)) {
        world.near.options = (struct fake_options){.seed = seed, .piece_max = 1 + accidents_below(3000), .late_max = accidents_below(3)};
        world.near.loopback.far.options = world.near.options;
        world.near.loopback.far.options.seed = ~seed;
    }
    rng_init(&world.near.loopback.far.check.loop.rng, seed);
    arrive();
    for (int i = 0; i < STEPS; i++)
        something_happens();
    if (accidents_one_in(2))
        finish_calmly();
    check_responses();
    struct worker_metrics *metrics = &world.near.loopback.far.metrics;
    downstream_close_all(&world.near.downstream);
    subrequests_cancel_all(&world.near.loopback.env); // as a worker does that stops
    near_settle(&world.near);
    CHECK(world.near.loopback.env.streams == 0);
    CHECK(metric_read(&metrics->streams_begun) == world.near.loopback.record.count + metric_read(&metrics->subrequests)); // which have no line
    fake_downstream_dispose(&world.near); // and the rest of what may be left
    current = NULL;
}

static void run_seed(uint64_t seed, const void *user) {
    run(user, seed);
}

void accidents_run(const struct accidents *plan) {
    seeds_each(plan->front == HTTP_2 ? "clients over HTTP/2" : "clients over HTTP/1", plan->seeds, run_seed, plan);
}
