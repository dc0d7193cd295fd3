// Servers that answer as soon as a request is whole: see serving_world.h.
#include "support/serving_world.h"

#include "base/check.h"

static void serve(struct far_conn *conn, void *user) {
    struct world *world = user;
    const bool is_other = conn->port == world->other, is_silent = is_other && (world->status == 0 || world->answer == NULL);
    for (struct owner_stream *request = conn->server.streams; request != NULL && !is_silent; request = request->next) {
        if (!request->ended || request->stream.codec == NULL || request->stream.sent != PROGRESS_HEAD)
            continue;
        struct text *text = is_other ? &world->question : &world->got;
        world->questions += is_other;
        world->asked += !is_other;
        text_clear(text);
        owner_stream_transcript(request, text);
        far_answer(conn, request, is_other ? world->status : 200, is_other ? world->fields : "", is_other ? world->answer : "", true);
    }
}

void world_init(struct world *world, const char *documents, const struct filter_type *const *filters, uint16_t other) {
    *world = (struct world){.other = other, .status = 200, .fields = ""};
    loopback_init(&world->loopback, documents, filters);
    world->loopback.far.serve = serve;
    world->loopback.far.serve_user = world;
}

void world_dispose(struct world *world) {
    text_dispose(&world->question);
    text_dispose(&world->got);
    loopback_dispose(&world->loopback);
}

void world_go_on(struct world *world) {
    for (struct far_conn *conn = world->loopback.far.conns; conn != NULL; conn = conn->next)
        if (conn->speaks)
            serve(conn, world);
    loopback_settle(&world->loopback);
}

void world_begin(struct client *client, struct world *world, const struct stream_client *who, const char *request) {
    client_begin_as(client, &world->loopback, loopback_listener(&world->loopback, "inbound"), who, HTTP_1_1, request, true);
    loopback_settle(&world->loopback);
}

unsigned world_ask(struct world *world, const struct stream_client *who, const char *request) {
    struct client client;
    const unsigned before = world->asked;
    world_begin(&client, world, who, request);
    const unsigned status = client.status;
    client_dispose(&client);
    CHECK(world->asked - before == (status == 200));
    return status;
}
