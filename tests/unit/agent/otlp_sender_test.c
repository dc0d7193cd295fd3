// A request that is large enough to be made in many turns, and what happens to it meanwhile. What becomes of small ones is shown by exporter_test.c.
#include "agent/otlp_sender.h"

#include "agent/otlp_request.h"
#include "base/check.h"
#include "config/url_service.h"
#include "support/check_loop.h"
#include "support/quiet_log.h"

#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define SPANS 200000
#define SPAN "\x12\x02\x2a\x00" // with no name

struct world {
    struct check_loop check;
    struct otlp_sender sender;
    struct otlp_config config;
    unsigned carried, done;
    enum otlp_protocol protocol;
    size_t body_length;
    enum otlp_end end;
};

static void carry(void *user, const struct otlp_sender_terms *terms, struct bytes body, nanoseconds timeout) {
    struct world *world = user;
    world->carried++;
    world->protocol = terms->protocol;
    world->body_length = body.len;
    assert_int_equal(timeout, 10 * NS_PER_S);
}

static void cancel(void *user) {
    (void)user;
    fail();
}

static void done(void *user, const struct otlp_result *result) {
    struct world *world = user;
    world->done++;
    world->end = result->end;
    assert_int_equal(result->records, SPANS);
}

static void turns(struct world *world, unsigned count) {
    for (unsigned i = 0; i < count; i++)
        check_loop_turn(&world->check);
}

// It is at a large request as JSON.
static void world_init(struct world *world) {
    static const struct service_url url = {.text = BYTES_OF("http://a/")};
    const struct otlp_origin origin = {BYTES("\x0a\x00"), BYTES("\x0a\x00")};
    *world =
        (struct world){.config = {.url = &url, .protocol = OTLP_HTTP_JSON, .timeout = 10 * NS_PER_S, .batch = {.export_timeout = 30 * NS_PER_S}}};
    check_loop_init(&world->check);
    otlp_sender_init(&world->sender, &world->check.loop, OTLP_TRACES, (struct otlp_carrier){carry, cancel, world}, done, world);
    otlp_sender_lead(&world->sender, &world->config);
    const size_t head = otlp_head_room(&origin), length = sizeof SPAN - 1, records = SPANS * length;
    char *memory = alloc_or_abort(head + records);
    for (size_t i = 0; i < SPANS; i++)
        memcpy(memory + head + i * length, SPAN, length);
    const char *begin = otlp_head_write(&origin, records, memory + head);
    otlp_sender_send(&world->sender, memory, bytes_from(begin, (size_t)(memory + head + records - begin)), SPANS);
    turns(world, 3);
    assert_int_equal(world->sender.state, OTLP_SENDER_ENCODING);
}

static void world_dispose(struct world *world) {
    otlp_sender_dispose(&world->sender);
    check_loop_settle(&world->check);
    check_loop_dispose(&world->check);
}

// Others of the thread have their turns in between.
static void it_is_made_in_many_turns(void **state) {
    (void)state;
    struct world world;
    world_init(&world);
    unsigned count = 0;
    for (; world.carried == 0 && count < 100; count++)
        turns(&world, 1);
    assert_in_range(count, 15, 60);
    assert_true(world.body_length > 2000000);
    otlp_sender_answered(&world.sender, &(struct otlp_answer){.status = 200});
    assert_int_equal(world.end, OTLP_END_EXPORTED);
    assert_int_equal(world.done, 1);
    world_dispose(&world);
}

static void in_another_form_it_is_made_anew(void **state) {
    (void)state;
    struct world world;
    world_init(&world);
    world.config.protocol = OTLP_GRPC;
    otlp_sender_lead(&world.sender, &world.config);
    turns(&world, 2);
    assert_int_equal(world.carried, 1);
    assert_int_equal(world.protocol, OTLP_GRPC);
    assert_true(world.body_length < 1000000);
    otlp_sender_answered(&world.sender, &(struct otlp_answer){.status = 200, .grpc_status = BYTES("0")});
    assert_int_equal(world.end, OTLP_END_EXPORTED);
    world_dispose(&world);
}

static void it_can_be_given_up_meanwhile(void **state) {
    (void)state;
    for (int how = 0; how < 3; how++) {
        struct world world;
        world_init(&world);
        if (how == 0)
            otlp_sender_drop(&world.sender);
        else if (how == 1)
            otlp_sender_end(&world.sender);
        else
            otlp_sender_hurry(&world.sender, world.check.loop.now);
        turns(&world, 100);
        assert_int_equal(world.carried, 0);
        assert_int_equal(world.done, 1);
        assert_int_equal(world.end, how < 2 ? OTLP_END_DROPPED : OTLP_END_TIMEOUT);
        world_dispose(&world);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_made_in_many_turns),
        cmocka_unit_test(in_another_form_it_is_made_anew),
        cmocka_unit_test(it_can_be_given_up_meanwhile),
    };
    return cmocka_run_group_tests(tests, be_quiet, NULL);
}
