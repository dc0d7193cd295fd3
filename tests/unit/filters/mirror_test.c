// Copies of requests: when they go, of which parts they are made, and that nothing waits for them.
#include "filters/registry.h"
#include "stream/subrequest.h"

#include "unit/stream/stream_drive.h"

#define OTHER                                                                                                                                     \
    API "kind: ServiceEntry\nmetadata: {name: b}\nspec:\n  hosts: [b]\n  ports: [{name: http, port: 80, protocol: HTTP1}]\n  tls: {mode: None}\n" \
        "  endpoints: [{address: '127.0.0.1:8002'}]\n---\n"
#define ROUTE                                                                                 \
    "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r}\nspec:\n" \
    "  parentRefs: [{group: '', kind: Service, name: a}]\n  rules:\n"                         \
    "  - backendRefs: [{name: a}]\n    filters: [{type: RequestMirror, requestMirror: {backendRef: {name: b}}}]\n---\n"
#define WORLD                   \
    PROXY SERVICE("HTTP1", ONE) \
    OTHER ROUTE

struct mirrored {
    struct loopback world;
    struct client client;
};

static void begin(struct mirrored *mirrored, const char *request, bool has_body) {
    loopback_init(&mirrored->world, WORLD, filter_types);
    fake_upstream_port(&mirrored->world.far, 1, FAR_ACCEPT);
    if (has_body)
        client_open(&mirrored->client, &mirrored->world, request);
    else
        client_get(&mirrored->client, &mirrored->world, request);
    loopback_settle(&mirrored->world);
}

static void end(struct mirrored *mirrored) {
    client_dispose(&mirrored->client);
    subrequests_cancel_all(&mirrored->world.env);
    loopback_dispose(&mirrored->world);
}

// The connection to the backend (8001) or to the mirror (8002).
static unsigned position_of(struct mirrored *mirrored, uint16_t port) {
    for (unsigned i = 0; i < mirrored->world.far.count; i++)
        if (far_conn(&mirrored->world.far, i)->port == port)
            return i;
    fail_msg("nobody asked for port %u", port);
    return 0;
}

static uint64_t active(const struct mirrored *mirrored) {
    return metric_read(&mirrored->world.far.metrics.subrequests_active);
}

static void a_request_without_a_body_is_copied_at_once(void **state) {
    (void)state;
    struct mirrored mirrored;
    begin(&mirrored, "GET a /x?y\nx-a: 1\n", false);
    assert_has(received(&mirrored.world, position_of(&mirrored, 8002)), "head GET http a /x?y");
    respond(&mirrored.world, position_of(&mirrored, 8001), 200, "content-length: 2\n", "ok");
    assert_string_equal(mirrored.client.body.at, "ok");
    assert_int_equal(active(&mirrored), 1);
    respond(&mirrored.world, position_of(&mirrored, 8002), 500, "content-length: 2\n", "no");
    assert_int_equal(active(&mirrored), 0);
    assert_int_equal(metric_read(&mirrored.world.far.metrics.mirrors_answered), 1);
    end(&mirrored);
}

static void one_with_a_body_is_copied_once_that_is_whole(void **state) {
    (void)state;
    struct mirrored mirrored;
    begin(&mirrored, "POST a /\n", true);
    client_send(&mirrored.client, BYTES("first "), false);
    assert_int_equal(active(&mirrored), 0);
    client_send(&mirrored.client, BYTES("second"), true);
    assert_int_equal(active(&mirrored), 1);
    assert_has(received(&mirrored.world, position_of(&mirrored, 8002)), "body 12 first second");
    assert_has(received(&mirrored.world, position_of(&mirrored, 8001)), "body 12 first second");
    respond(&mirrored.world, position_of(&mirrored, 8001), 200, "content-length: 0\n", "");
    end(&mirrored);
}

// The end of an empty body may come before the backend's connection is there, and after.
static void an_empty_body_that_ends_late_is_copied(void **state) {
    (void)state;
    for (int after = 0; after < 2; after++) {
        struct mirrored mirrored;
        loopback_init(&mirrored.world, WORLD, filter_types);
        fake_upstream_port(&mirrored.world.far, 1, FAR_WAIT);
        client_open(&mirrored.client, &mirrored.world, "POST a /\n");
        loopback_settle(&mirrored.world);
        if (after)
            far_connect(far_conn(&mirrored.world.far, 0), OK);
        loopback_settle(&mirrored.world);
        client_end(&mirrored.client, NULL);
        if (!after)
            far_connect(far_conn(&mirrored.world.far, 0), OK);
        loopback_settle(&mirrored.world);
        assert_int_equal(active(&mirrored), 1);
        assert_int_equal(metric_read(&mirrored.world.far.metrics.subrequests), 1);
        respond(&mirrored.world, position_of(&mirrored, 8001), 200, "content-length: 0\n", "");
        end(&mirrored);
    }
}

// The route is gone by then; the answer has begun.
static void an_empty_body_may_end_after_the_documents_have_changed(void **state) {
    (void)state;
    struct mirrored mirrored;
    begin(&mirrored, "POST a /\n", true);
    const unsigned backend = position_of(&mirrored, 8001);
    far_respond(far_conn(&mirrored.world.far, backend), only_request(&mirrored.world, backend), 200, "", "so", false);
    loopback_apply(&mirrored.world, PROXY SERVICE("HTTP1", ONE) OTHER);
    client_end(&mirrored.client, NULL);
    assert_has(received(&mirrored.world, position_of(&mirrored, 8002)), "head POST http a /");
    far_body(far_conn(&mirrored.world.far, backend), only_request(&mirrored.world, backend), BYTES(" be it"), true);
    assert_string_equal(mirrored.client.body.at, "so be it");
    end(&mirrored);
}

static void a_body_that_never_comes_whole_is_not_copied(void **state) {
    (void)state;
    struct mirrored mirrored;
    begin(&mirrored, "POST a /\n", true);
    client_send(&mirrored.client, BYTES("first"), false);
    client_fail(&mirrored.client, ERROR_CLIENT_GONE);
    assert_int_equal(metric_read(&mirrored.world.far.metrics.subrequests), 0);
    assert_int_equal(metric_read(&mirrored.world.far.metrics.mirrors_skipped_incomplete), 1);
    end(&mirrored);
}

static void a_copy_fails_alone(void **state) {
    (void)state;
    struct mirrored mirrored;
    loopback_init(&mirrored.world, WORLD, filter_types);
    fake_upstream_port(&mirrored.world.far, 2, FAR_REFUSE);
    client_get(&mirrored.client, &mirrored.world, "GET a /\n");
    loopback_settle(&mirrored.world);
    assert_int_equal(metric_read(&mirrored.world.far.metrics.mirrors_failed), 1);
    assert_int_equal(mirrored.client.status, 0);
    respond(&mirrored.world, position_of(&mirrored, 8001), 200, "content-length: 0\n", "");
    assert_int_equal(mirrored.client.status, 200);
    assert_int_equal(mirrored.world.record.end, OK);
    end(&mirrored);
}

static void a_silent_mirror_is_given_up_in_the_end(void **state) {
    (void)state;
    struct mirrored mirrored;
    begin(&mirrored, "GET a /\n", false);
    respond(&mirrored.world, position_of(&mirrored, 8001), 200, "content-length: 0\n", "");
    assert_true(mirrored.client.done);
    loopback_pass(&mirrored.world, 16 * NS_PER_S);
    assert_int_equal(active(&mirrored), 0);
    assert_int_equal(metric_read(&mirrored.world.far.metrics.mirrors_failed), 1);
    end(&mirrored);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_without_a_body_is_copied_at_once),  cmocka_unit_test(one_with_a_body_is_copied_once_that_is_whole),
        cmocka_unit_test(an_empty_body_that_ends_late_is_copied),      cmocka_unit_test(an_empty_body_may_end_after_the_documents_have_changed),
        cmocka_unit_test(a_body_that_never_comes_whole_is_not_copied), cmocka_unit_test(a_copy_fails_alone),
        cmocka_unit_test(a_silent_mirror_is_given_up_in_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
