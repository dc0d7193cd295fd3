// Connections of the mesh and the credentials they are made with: who is expected at the far end, and what a rotation does to connections that are idle, busy or still
// being made: no request is lost, and none goes out under the old identity that could go under the new.
#include "unit/net/tls_drive.h"
#include "unit/upstream/pool_drive.h"

#include "http/h2_codec.h"

#define KEY "default/a:80"
#define DOCUMENTS_WITH(service)                                                         \
    API "kind: Proxy\nmetadata: {name: p}\nspec:\n"                                     \
        "  listeners: [{name: outbound, role: Outbound, address: '127.0.0.1:15001'}]\n" \
        "  identity: {certificate: a.crt, privateKey: a.key, trustBundle: ca.crt}\n---\n" service
#define SERVICE(endpoints) SERVICE_OF("HTTP", endpoints)
#define SERVICE_OF(protocol, endpoints)                                                                                             \
    API "kind: ServiceEntry\nmetadata: {name: a}\nspec:\n  hosts: [a]\n  ports: [{name: http, port: 80, protocol: " protocol "}]\n" \
        "  tls: {mode: Mesh}\n  identities: ['" SERVER_ID "']\n  endpoints: [" endpoints "]\n---\n"
#define DOCUMENTS DOCUMENTS_WITH(SERVICE(ONE_ENDPOINT))
#define SERVERS_MAX 8
#define MANY 6

// A server's end: TLS, then HTTP/2.
struct server {
    struct world *world;
    struct fake_peer *peers[2]; // the proxy's, ours
    struct transport *tls;
    struct codec_owner owner;
    struct task ready; // tells the proxy that its connection is made
    bool speaks;
    bool closed;
    char client_id[64];
    char alpn[16];
};

struct world {
    struct fake_upstream far;
    struct conn_pool *pool;
    struct try tries[MANY];
    struct server servers[SERVERS_MAX];
    unsigned count;
    bool hold;                      // no `ready` for now
    struct tls_protocols protocols; // that servers choose from; none: ours
    struct ticket_keys *keys;
    struct test_identity root, client, server, other;
    struct credentials *of_server;
    struct credentials *of_client[3];
};

static struct world *current;

static void on_server_ready(void *user, enum error error) {
    struct server *server = user;
    if (error != OK)
        return;
    snprintf(server->alpn, sizeof server->alpn, "%.*s", BYTES_FORMAT(server->tls->alpn));
    if (strcmp(server->alpn, "http/1.1") == 0)
        return; // it listens only
    codec_owner_init(&server->owner);
    struct codec_limits limits = codec_owner_limits();
    server->owner.codec =
        h2_codec_create(CODEC_SERVER, &limits, &codec_owner_handler, &server->owner, &server->owner.out, server->world->far.far_h2_memory);
    server->speaks = true;
    snprintf(server->client_id, sizeof server->client_id, "%.*s", BYTES_FORMAT(server->tls->peer_id->text));
    server->tls->ops->read_start(server->tls);
}

static void on_server_bytes(void *user, struct block *block, struct bytes in) {
    struct server *server = user;
    (void)block;
    (void)codec_owner_feed(&server->owner, in);
}

static void on_server_ended(void *user, enum error error) {
    (void)error;
    struct server *server = user;
    if (!server->closed)
        server->tls->ops->close(server->tls, false);
    server->closed = true;
}

static void on_server_drained(void *user) {
    (void)user;
}

static void on_server_closed(void *user) {
    (void)user;
}

static const struct transport_handler server_handler = {on_server_ready, on_server_bytes, on_server_ended, on_server_drained, on_server_closed};

static void tell_ready(struct task *task) {
    struct server *server = CONTAINER_OF(task, struct server, ready);
    struct transport *transport = server->peers[0]->transport;
    if (!server->peers[0]->closed)
        transport->handler->ready(transport->user, OK);
}

static enum error connect_pair(struct loop *loop, const struct sockaddr *address, socklen_t length, const struct transport_handler *handler,
                               void *user, struct transport **transport) {
    (void)address;
    (void)length;
    CHECK(current->count < SERVERS_MAX);
    struct server *server = &current->servers[current->count++];
    server->world = current;
    fake_pair_create(loop, NULL, (const struct transport_handler *const[]){handler, NULL}, (void *const[]){user, NULL}, server->peers);
    struct tls_server_options options = {.credentials = current->of_server, .require_client = true, .protocols = current->protocols};
    server->tls = tls_server_create(server->peers[1]->transport, &options, NULL, &server_handler, server);
    task_init(&server->ready, tell_ready);
    if (!current->hold)
        loop_wake(loop, &server->ready);
    *transport = server->peers[0]->transport;
    return OK;
}

static bool pump(void *user) {
    struct world *world = user;
    bool moved = false;
    for (unsigned i = 0; i < world->count; i++) {
        struct server *server = &world->servers[i];
        if (!server->speaks || server->closed)
            continue;
        struct bytes out = codec_owner_sent(&server->owner);
        if (out.len == 0)
            continue;
        buffer_append(&server->tls->out, out);
        server->tls->ops->flush(server->tls);
        moved = true;
    }
    return moved;
}

static void world_init_of(struct world *world, const char *documents, enum pool_kind kind) {
    memset(world, 0, sizeof *world);
    current = world;
    world->root = test_root("spiffe://school.local");
    world->client = test_svid(CLIENT_ID, &world->root);
    world->server = test_svid(SERVER_ID, &world->root);
    world->other = test_svid("spiffe://school.local/ns/school/sa/other", &world->root);
    world->keys = ticket_keys_create();
    world->of_server = tls_make_credentials(&world->server, &world->root, NULL, world->keys, 1);
    for (unsigned i = 0; i < 3; i++)
        world->of_client[i] = tls_make_credentials(&world->client, &world->root, NULL, world->keys, i + 1);
    fake_upstream_init(&world->far, documents);
    world->far.upstream.connect = connect_pair;
    world->far.also = pump;
    world->far.also_user = world;
    world->pool = pool_of(&world->far, KEY, 0, kind);
}

static void world_init(struct world *world) {
    world_init_of(world, DOCUMENTS, POOL_HTTP2);
}

static void set_credentials(struct world *world, unsigned number) {
    upstream_set_credentials(&world->far.upstream, world->of_client[number]);
}

static void world_dispose(struct world *world, unsigned tries) {
    for (unsigned i = 0; i < tries; i++)
        try_end(&world->tries[i]);
    upstream_close_all(&world->far.upstream);
    check_loop_settle(&world->far.check);
    for (unsigned i = 0; i < world->count; i++) {
        struct server *server = &world->servers[i];
        if (!server->closed)
            server->tls->ops->close(server->tls, false);
        check_loop_settle(&world->far.check);
        if (server->speaks)
            codec_owner_dispose(&server->owner);
        fake_peer_destroy(server->peers[0]);
        fake_peer_destroy(server->peers[1]);
    }
    fake_upstream_dispose(&world->far);
    for (unsigned i = 0; i < 3; i++)
        credentials_unref(world->of_client[i]);
    credentials_unref(world->of_server);
    ticket_keys_destroy(world->keys);
    struct test_identity *const all[] = {&world->root, &world->client, &world->server, &world->other};
    for (size_t i = 0; i < 4; i++)
        test_identity_free(all[i]);
    current = NULL;
}

static void begin(struct world *world, unsigned number) {
    try_begin(&world->tries[number], &world->far, world->pool);
    fake_upstream_settle(&world->far);
}

static void answer(struct world *world, unsigned server, unsigned request) {
    struct owner_stream *stream = codec_owner_stream(&world->servers[server].owner, request);
    assert_non_null(stream);
    struct codec *codec = world->servers[server].owner.codec;
    struct head head;
    head_init(&head, &stream->pool);
    head.version = HTTP_2;
    head.status = 204;
    head.content_length = -1;
    assert_int_equal(codec->ops->send_head(codec, &stream->stream, &head, true), OK);
    fake_upstream_settle(&world->far);
}

static void a_connection_of_the_mesh_speaks_http2_under_our_identity(void **state) {
    (void)state;
    struct world world;
    world_init(&world);
    set_credentials(&world, 0);
    begin(&world, 0);
    begin(&world, 1);
    assert_true(world.tries[0].sent && world.tries[1].sent);
    assert_int_equal(world.count, 1);
    assert_true(world.tries[0].conn->mesh);
    assert_string_equal(world.servers[0].client_id, CLIENT_ID);
    answer(&world, 0, 0);
    answer(&world, 0, 1);
    assert_true(world.tries[0].up.ended && world.tries[1].up.ended);
    world_dispose(&world, 2);
}

static void bytes_of_a_connection_are_counted_as_they_go_over_the_wire(void **state) {
    (void)state;
    struct world world;
    world_init(&world);
    set_credentials(&world, 0);
    begin(&world, 0);
    const struct worker_metrics *metrics = &world.far.metrics;
    const struct transport *socket = world.servers[0].peers[1]->transport; // the far end of it
    for (int answered = 0; answered < 2; answered++) {
        assert_false(world.tries[0].conn == NULL || world.tries[0].conn->closing); // it is open
        assert_int_equal(metric_read(&metrics->upstream_bytes_out), socket->bytes_in);
        assert_int_equal(metric_read(&metrics->upstream_bytes_in), socket->bytes_out);
        assert_true(metric_read(&metrics->upstream_bytes_in) > world.tries[0].conn->transport->bytes_in + 500); // certificates, say
        if (!answered)
            answer(&world, 0, 0);
    }
    world_dispose(&world, 1);
}

// HTTP/1.1 over mutual TLS is agreed on as strangers do: the words of the mesh belong to outrigger/1.
static void the_protocol_of_the_port_is_what_is_offered(void **state) {
    (void)state;
    static const struct {
        const char *documents, *alpn;
        enum pool_kind kind;
        enum http_version version;
    } cases[] = {{DOCUMENTS_WITH(SERVICE_OF("HTTP", ONE_ENDPOINT)), ALPN_MESH, POOL_HTTP2, HTTP_2},
                 {DOCUMENTS_WITH(SERVICE_OF("HTTP2", ONE_ENDPOINT)), ALPN_MESH, POOL_HTTP2, HTTP_2},
                 {DOCUMENTS_WITH(SERVICE_OF("GRPC", ONE_ENDPOINT)), ALPN_MESH, POOL_HTTP2, HTTP_2},
                 {DOCUMENTS_WITH(SERVICE_OF("HTTP1", ONE_ENDPOINT)), "http/1.1", POOL_HTTP1, HTTP_1_1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct world world;
        world_init_of(&world, cases[i].documents, cases[i].kind);
        set_credentials(&world, 0);
        begin(&world, 0);
        assert_true(world.tries[0].sent);
        assert_string_equal(world.servers[0].alpn, cases[i].alpn);
        assert_int_equal(world.tries[0].conn->codec->version, cases[i].version);
        assert_int_equal(world.tries[0].conn->mesh, cases[i].version == HTTP_2);
        world_dispose(&world, 1);
    }
}

static void http1_that_was_agreed_on_is_let_go_where_the_port_becomes_http2(void **state) {
    (void)state;
    static const struct bytes http1[] = {BYTES_OF("http/1.1")};
    for (int speaks_http2 = 0; speaks_http2 < 2; speaks_http2++) {
        struct world world;
        world_init(&world);
        if (!speaks_http2)
            world.protocols = (struct tls_protocols){http1, 1};
        set_credentials(&world, 0);
        begin(&world, 0);
        struct upstream_conn *busy = world.tries[0].conn;
        assert_int_equal(busy->codec->version, speaks_http2 ? HTTP_2 : HTTP_1_1);
        fake_upstream_apply(&world.far, DOCUMENTS_WITH(SERVICE_OF("HTTP1", ONE_ENDPOINT)));
        assert_false(busy->draining); // what waits here still goes by what the port was
        fake_upstream_apply(&world.far, DOCUMENTS_WITH(SERVICE_OF("GRPC", ONE_ENDPOINT)));
        assert_int_equal(busy->draining, !speaks_http2);
        world_dispose(&world, 1);
    }
}

// It was asked for while the port was HTTP, and waits in the pool of that.
static void a_request_that_waits_while_the_port_becomes_http1_takes_what_the_peer_chooses(void **state) {
    (void)state;
    static const struct bytes http1[] = {BYTES_OF("http/1.1")};
    struct world world;
    world_init(&world);
    world.protocols = (struct tls_protocols){http1, 1};
    world.hold = true;
    set_credentials(&world, 0);
    begin(&world, 0);
    fake_upstream_apply(&world.far, DOCUMENTS_WITH(SERVICE_OF("HTTP1", ONE_ENDPOINT)));
    loop_wake(&world.far.check.loop, &world.servers[0].ready);
    fake_upstream_settle(&world.far);
    assert_true(world.tries[0].sent);
    assert_int_equal(world.tries[0].conn->codec->version, HTTP_1_1);
    world_dispose(&world, 1);
}

static void without_an_identity_no_connection_is_made(void **state) {
    (void)state;
    struct world world;
    world_init(&world);
    begin(&world, 0);
    assert_int_equal(world.tries[0].error, ERROR_TLS_FAILED);
    assert_int_equal(metric_read(&world.far.metrics.upstream_failed_tls), 1);
    world_dispose(&world, 1);
}

static void somebody_else_at_the_far_end_is_told_as_such(void **state) {
    (void)state;
    struct world world;
    world_init(&world);
    credentials_unref(world.of_server);
    world.of_server = tls_make_credentials(&world.other, &world.root, NULL, world.keys, 1);
    set_credentials(&world, 0);
    begin(&world, 0);
    assert_int_equal(world.tries[0].error, ERROR_IDENTITY_MISMATCH);
    assert_int_equal(metric_read(&world.far.metrics.upstream_failed_identity), 1);
    world_dispose(&world, 1);
}

static void new_credentials_close_what_is_idle_and_serve_what_is_new(void **state) {
    (void)state;
    struct world world;
    world_init(&world);
    set_credentials(&world, 0);
    begin(&world, 0);
    answer(&world, 0, 0);
    set_credentials(&world, 1);
    fake_upstream_settle(&world.far);
    assert_int_equal(world.pool->open, 0);
    begin(&world, 1);
    assert_int_equal(world.count, 2);
    answer(&world, 1, 0);
    assert_true(world.tries[1].up.ended);
    world_dispose(&world, 2);
}

static void new_credentials_let_streams_end_where_they_are(void **state) {
    (void)state;
    struct world world;
    world_init(&world);
    set_credentials(&world, 0);
    begin(&world, 0);
    begin(&world, 1);
    set_credentials(&world, 1);
    fake_upstream_settle(&world.far);
    begin(&world, 2);
    assert_int_equal(world.count, 2);
    assert_int_equal(world.servers[1].owner.count, 1);
    answer(&world, 0, 0);
    assert_int_equal(world.pool->open, 2);
    answer(&world, 0, 1);
    assert_int_equal(world.pool->open, 1);
    assert_true(world.tries[0].up.ended && world.tries[1].up.ended);
    answer(&world, 1, 0);
    assert_true(world.tries[2].up.ended);
    world_dispose(&world, 3);
}

// The handshake was under way: the connection is made, and given up; whoever waits for it gets another.
static void new_credentials_during_a_handshake_lose_nobody(void **state) {
    (void)state;
    struct world world;
    world_init(&world);
    set_credentials(&world, 0);
    world.hold = true;
    try_begin(&world.tries[0], &world.far, world.pool);
    world.hold = false;
    loop_wake(&world.far.check.loop, &world.servers[0].ready);
    check_loop_turn(&world.far.check); // its ClientHello is on its way
    set_credentials(&world, 1);
    fake_upstream_settle(&world.far);
    assert_true(world.tries[0].sent);
    assert_int_equal(world.tries[0].error, OK);
    assert_int_equal(world.tries[0].conn->credentials_generation, 2);
    unsigned serving = world.count - 1;
    answer(&world, serving, 0);
    assert_true(world.tries[0].up.ended);
    world_dispose(&world, 1);
}

static void rotations_in_a_row_lose_nobody(void **state) {
    (void)state;
    struct world world;
    world_init(&world);
    for (unsigned i = 0; i < 3; i++) {
        set_credentials(&world, i);
        try_begin(&world.tries[2 * i], &world.far, world.pool);
        check_loop_turn(&world.far.check);
        try_begin(&world.tries[2 * i + 1], &world.far, world.pool);
    }
    fake_upstream_settle(&world.far);
    for (unsigned i = 0; i < 6; i++) {
        assert_int_equal(world.tries[i].error, OK);
        assert_true(world.tries[i].sent);
    }
    world_dispose(&world, 6);
}

// A connection that only streams still hold: its service, or its endpoint, is not in the newest documents.
static void assert_outlived_and_rotated(const char *newest) {
    struct world world;
    world_init(&world);
    set_credentials(&world, 0);
    begin(&world, 0);
    begin(&world, 1);
    struct cluster *cluster = fake_upstream_cluster(&world.far, KEY);
    cluster_ref(cluster); // as a stream's snapshot does
    fake_upstream_apply(&world.far, newest);
    answer(&world, 0, 0);
    assert_false(world.tries[1].up.ended);
    struct test_identity stranger = test_root("spiffe://school.local");
    struct credentials *foreign = tls_issue_credentials(CLIENT_ID, &stranger, world.keys);
    upstream_set_credentials(&world.far.upstream, foreign);
    fake_upstream_settle(&world.far);
    assert_int_equal(upstream_conn_room(world.tries[1].conn), 0);
    assert_int_equal(world.tries[1].up.error, OK);
    fake_upstream_pass(&world.far, TLS_LAST_CALL_NS + NS_PER_MS);
    assert_int_equal(world.tries[1].up.error, ERROR_UPSTREAM_RESET);
    assert_int_equal(metric_read(&world.far.metrics.upstream_closed_untrusted), 1);
    for (unsigned i = 0; i < 2; i++)
        try_end(&world.tries[i]);
    cluster_unref(cluster);
    world_dispose(&world, 0);
    credentials_unref(foreign);
    test_identity_free(&stranger);
}

static void what_only_streams_still_hold_is_checked_again_too(void **state) {
    (void)state;
    assert_outlived_and_rotated(DOCUMENTS_WITH(""));
    assert_outlived_and_rotated(DOCUMENTS_WITH(SERVICE("{address: '127.0.0.1:8002'}")));
}

static void what_only_streams_still_hold_takes_nothing_under_old_credentials(void **state) {
    (void)state;
    struct world world;
    world_init(&world);
    set_credentials(&world, 0);
    begin(&world, 0);
    answer(&world, 0, 0);
    struct cluster *cluster = fake_upstream_cluster(&world.far, KEY);
    cluster_ref(cluster);
    fake_upstream_apply(&world.far, DOCUMENTS_WITH(""));
    set_credentials(&world, 1);
    fake_upstream_settle(&world.far);
    assert_int_equal(world.pool->open, 0);
    begin(&world, 1); // a stream that pins the older snapshot
    assert_true(world.tries[1].sent);
    assert_int_equal(world.tries[1].conn->credentials_generation, 2);
    for (unsigned i = 0; i < 2; i++)
        try_end(&world.tries[i]);
    cluster_unref(cluster);
    world_dispose(&world, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connection_of_the_mesh_speaks_http2_under_our_identity),
        cmocka_unit_test(bytes_of_a_connection_are_counted_as_they_go_over_the_wire),
        cmocka_unit_test(the_protocol_of_the_port_is_what_is_offered),
        cmocka_unit_test(http1_that_was_agreed_on_is_let_go_where_the_port_becomes_http2),
        cmocka_unit_test(a_request_that_waits_while_the_port_becomes_http1_takes_what_the_peer_chooses),
        cmocka_unit_test(without_an_identity_no_connection_is_made),
        cmocka_unit_test(somebody_else_at_the_far_end_is_told_as_such),
        cmocka_unit_test(new_credentials_close_what_is_idle_and_serve_what_is_new),
        cmocka_unit_test(new_credentials_let_streams_end_where_they_are),
        cmocka_unit_test(new_credentials_during_a_handshake_lose_nobody),
        cmocka_unit_test(rotations_in_a_row_lose_nobody),
        cmocka_unit_test(what_only_streams_still_hold_is_checked_again_too),
        cmocka_unit_test(what_only_streams_still_hold_takes_nothing_under_old_credentials),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
