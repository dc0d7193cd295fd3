// The batch processor with its sender, on a virtual clock and with a carrier that answers when the test says so: when it sends, when again, when it gives up, and that each
// record is counted once.
#include "agent/exporter.h"

#include "base/check.h"
#include "base/log.h"
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

// A timer may be a tick late, and so may the one that it starts.
#define SOON (3 * NS_PER_MS)

#define WORKERS 2
#define QUEUE 64
#define BATCH 16

struct world {
    struct check_loop check;
    struct export_queue queues[WORKERS];
    struct exporter exporter;
    struct otlp_config config;
    struct otlp_origin origin;
    uint64_t added; // records, also those for which there was no room
    // The try that is under way.
    bool is_carried;
    nanoseconds timeout;
    enum otlp_protocol protocol;
    bool is_packed; // by gzip
    bool is_framed; // as gRPC wants it
    size_t body_length;
    uint64_t carried; // records of it
    nanoseconds carried_at;
    unsigned tries;
    unsigned cancelled;
};

// Each record of these tests has 9 bytes, the envelope 8 to 10 more.
#define RECORD "\x12\x07span___"
#define RECORD_BYTES (sizeof RECORD - 1)

static void carry(void *user, const struct otlp_sender_terms *terms, struct bytes body, nanoseconds timeout) {
    struct world *world = user;
    CHECK(!world->is_carried);
    world->protocol = terms->protocol;
    world->is_framed = body.at[0] == 0;
    world->is_carried = true;
    world->timeout = timeout;
    world->carried_at = world->check.loop.now;
    world->body_length = body.len;
    world->carried = (body.len - 8) / RECORD_BYTES;
    world->tries++;
}

static void cancel(void *user) {
    struct world *world = user;
    CHECK(world->is_carried);
    world->cancelled++;
}

static void on_note(struct note *note) {
    struct export_queue *queue = CONTAINER_OF(note, struct export_queue, note);
    exporter_look(queue->user);
}

static void world_init(struct world *world) {
    *world = (struct world){.origin = {BYTES("\x0a\x00"), BYTES("\x0a\x00")}};
    check_loop_init(&world->check);
    for (int i = 0; i < WORKERS; i++)
        export_queue_init(&world->queues[i], QUEUE, BATCH / WORKERS, &world->check.loop.mailbox, on_note, &world->exporter);
    exporter_init(&world->exporter, &world->check.loop, OTLP_TRACES, world->queues, WORKERS, (struct otlp_carrier){carry, cancel, world});
    world->config = (struct otlp_config){
        .timeout = 10 * NS_PER_S, .batch = {.schedule_delay = 5 * NS_PER_S, .export_timeout = 30 * NS_PER_S, .max_queue = QUEUE, .max_batch = BATCH}};
    exporter_apply(&world->exporter, &world->config, &world->origin);
}

static void world_dispose(struct world *world) {
    exporter_end(&world->exporter);
    exporter_dispose(&world->exporter);
    check_loop_settle(&world->check);
    for (int i = 0; i < WORKERS; i++)
        export_queue_dispose(&world->queues[i]);
    check_loop_dispose(&world->check);
}

static void add(struct world *world, int worker, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        char *room = export_queue_room(&world->queues[worker]);
        world->added++;
        if (room == NULL)
            continue;
        memcpy(room, RECORD, RECORD_BYTES);
        export_queue_add(&world->queues[worker], RECORD_BYTES);
    }
    export_queue_publish(&world->queues[worker]);
    check_loop_settle(&world->check);
}

static void pass(struct world *world, nanoseconds duration) {
    check_loop_pass(&world->check, duration);
    check_loop_settle(&world->check);
}

static void answer(struct world *world, struct otlp_answer answer) {
    assert_true(world->is_carried);
    world->is_carried = false;
    otlp_sender_answered(&world->exporter.sender, &answer);
    check_loop_settle(&world->check);
    check_loop_pass(&world->check, SOON); // a request is begun by a timer
}

static void answer_status(struct world *world, unsigned status) {
    answer(world, (struct otlp_answer){.status = (uint16_t)status});
}

// What was made is sent, dropped for a reason, or waits: to the record.
static void assert_counted(struct world *world) {
    const struct export_figures figures = exporter_figures(&world->exporter);
    uint64_t dropped = 0;
    for (unsigned i = 0; i < EXPORT_DROPS; i++)
        dropped += figures.dropped[i];
    assert_int_equal(figures.made, world->added);
    assert_int_equal(figures.made, figures.exported + dropped + figures.waiting);
}

static uint64_t dropped(const struct world *world, enum export_drop reason) {
    return exporter_figures(&world->exporter).dropped[reason];
}

static void few_records_wait_for_their_time(void **state) {
    (void)state;
    struct world world;
    world_init(&world);
    add(&world, 0, 3);
    add(&world, 1, 4);
    pass(&world, 2 * NS_PER_S);
    exporter_apply(&world.exporter, &world.config, &world.origin); // documents that say the same put nothing off
    pass(&world, 3 * NS_PER_S - 10 * NS_PER_MS);
    assert_int_equal(world.tries, 0);
    assert_int_equal(exporter_figures(&world.exporter).waiting, 7);
    pass(&world, 20 * NS_PER_MS);
    assert_int_equal(world.tries, 1);
    assert_int_equal(world.carried, 7);
    assert_int_equal(world.timeout, 10 * NS_PER_S);
    assert_int_equal(exporter_figures(&world.exporter).waiting, 7);
    answer_status(&world, 200);
    assert_int_equal(exporter_figures(&world.exporter).exported, 7);
    assert_counted(&world);
    pass(&world, 60 * NS_PER_S); // an empty envelope is never sent
    assert_int_equal(world.tries, 1);
    world_dispose(&world);
}

// A batch is under way when the time comes for what came meanwhile: all of that is sent behind it.
static void what_is_due_is_sent_in_as_many_batches_as_it_is(void **state) {
    (void)state;
    struct world world;
    world_init(&world);
    world.config.batch.schedule_delay = NS_PER_S;
    exporter_apply(&world.exporter, &world.config, &world.origin);
    add(&world, 0, BATCH);
    pass(&world, SOON);
    add(&world, 0, BATCH + 3);
    pass(&world, 1100 * NS_PER_MS);
    assert_int_equal(world.tries, 1);
    answer_status(&world, 200);
    assert_int_equal(world.carried, BATCH);
    answer_status(&world, 200);
    assert_int_equal(world.carried, 3);
    answer_status(&world, 200);
    assert_counted(&world);
    world_dispose(&world);
}

// They fill a queue long before they are a batch.
static void long_records_are_sent_before_there_is_no_room(void **state) {
    (void)state;
    struct world world;
    world_init(&world);
    for (unsigned i = 1; i <= 2; i++) {
        char *room = export_queue_room(&world.queues[0]);
        const size_t content = EXPORT_RECORD_MAX - 3;
        assert_non_null(room);
        memset(room, 'x', EXPORT_RECORD_MAX);
        room[0] = RECORD[0];
        room[1] = (char)((content & 0x7F) | 0x80);
        room[2] = (char)(content >> 7);
        export_queue_add(&world.queues[0], EXPORT_RECORD_MAX);
        world.added++;
        export_queue_publish(&world.queues[0]);
        check_loop_settle(&world.check);
        pass(&world, SOON);
        assert_int_equal(world.tries, i - 1);
    }
    assert_true(world.body_length > 2 * EXPORT_RECORD_MAX);
    answer_status(&world, 200);
    assert_int_equal(exporter_figures(&world.exporter).exported, 2);
    assert_counted(&world);
    world_dispose(&world);
}

static void a_full_batch_is_sent_at_once_and_none_beside_it(void **state) {
    (void)state;
    struct world world;
    world_init(&world);
    add(&world, 0, BATCH - 1);
    pass(&world, SOON);
    assert_int_equal(world.tries, 0);
    add(&world, 1, BATCH / WORKERS);
    pass(&world, SOON);
    assert_int_equal(world.tries, 1);
    assert_int_equal(world.carried, BATCH);
    add(&world, 0, 2 * BATCH);
    pass(&world, 2 * NS_PER_S);
    assert_int_equal(world.tries, 1); // exports do not overlap
    answer_status(&world, 200);
    assert_int_equal(world.tries, 2);
    answer_status(&world, 200);
    assert_int_equal(world.tries, 3);
    answer_status(&world, 200);
    assert_int_equal(world.tries, 3); // what is left is no batch
    assert_int_equal(exporter_figures(&world.exporter).waiting, 7);
    assert_counted(&world);
    world_dispose(&world);
}

static void what_finds_no_room_is_counted(void **state) {
    (void)state;
    struct world world;
    world_init(&world);
    add(&world, 0, QUEUE + 5);
    assert_int_equal(dropped(&world, EXPORT_DROP_QUEUE_FULL), 5);
    assert_int_equal(exporter_figures(&world.exporter).capacity, WORKERS * QUEUE);
    assert_counted(&world);
    world_dispose(&world);
    assert_int_equal(dropped(&world, EXPORT_DROP_SHUTDOWN), QUEUE);
}

// One second, two, four, five, less up to a half by chance; and the time of the batch bounds all of them.
static void it_is_sent_again_until_its_time_is_over(void **state) {
    (void)state;
    struct world world;
    world_init(&world);
    add(&world, 0, BATCH);
    pass(&world, SOON);
    const nanoseconds begun = world.check.loop.now;
    static const nanoseconds waits[] = {NS_PER_S, 2 * NS_PER_S, 4 * NS_PER_S, 5 * NS_PER_S, 5 * NS_PER_S};
    for (unsigned i = 0; i < 5; i++) {
        answer(&world, (struct otlp_answer){.end = ERROR_CONNECT_REFUSED});
        assert_int_equal(world.tries, i + 1);
        pass(&world, waits[i] / 2 - 5 * NS_PER_MS);
        assert_int_equal(world.tries, i + 1);
        pass(&world, waits[i] / 2 + 10 * NS_PER_MS);
        assert_int_equal(world.tries, i + 2);
    }
    while (world.is_carried) {
        assert_true(world.carried_at - begun + world.timeout <= 30 * NS_PER_S + SOON);
        answer_status(&world, 503);
        pass(&world, 5 * NS_PER_S);
    }
    assert_true(world.check.loop.now - begun < 40 * NS_PER_S);
    assert_int_equal(dropped(&world, EXPORT_DROP_TIMEOUT), BATCH);
    assert_int_equal(exporter_figures(&world.exporter).retries, world.tries - 1);
    assert_int_equal(exporter_figures(&world.exporter).results[EXPORT_RESULT_TIMEOUT], 1);
    assert_counted(&world);
    world_dispose(&world);
}

static void a_try_has_no_more_time_than_the_batch(void **state) {
    (void)state;
    struct world world;
    world_init(&world);
    world.config.batch.export_timeout = 4 * NS_PER_S;
    exporter_apply(&world.exporter, &world.config, &world.origin);
    add(&world, 0, BATCH);
    pass(&world, SOON);
    assert_int_equal(world.timeout, 4 * NS_PER_S);
    answer_status(&world, 503);
    pass(&world, NS_PER_S);
    assert_true(world.timeout > 2 * NS_PER_S && world.timeout < 4 * NS_PER_S);
    answer_status(&world, 200);
    assert_counted(&world);
    world_dispose(&world);
}

static void it_waits_as_long_as_it_is_told_to(void **state) {
    (void)state;
    struct world world;
    world_init(&world);
    add(&world, 0, 2 * BATCH);
    pass(&world, SOON);
    answer(&world, (struct otlp_answer){.status = 429, .retry_after = BYTES("20")});
    pass(&world, 19 * NS_PER_S);
    assert_int_equal(world.tries, 1);
    pass(&world, 2 * NS_PER_S);
    assert_int_equal(world.tries, 2);
    // Longer than it has time for: it is given up at once, and the next batch waits.
    answer(&world, (struct otlp_answer){.status = 503, .retry_after = BYTES("25")});
    assert_int_equal(dropped(&world, EXPORT_DROP_TIMEOUT), BATCH);
    pass(&world, 24 * NS_PER_S);
    assert_int_equal(world.tries, 2);
    pass(&world, 2 * NS_PER_S);
    assert_int_equal(world.tries, 3);
    answer_status(&world, 200);
    assert_counted(&world);
    world_dispose(&world);
}

static void what_is_refused_is_dropped_by_its_reason(void **state) {
    (void)state;
    struct world world;
    world_init(&world);
    static const struct {
        unsigned status;
        enum export_drop reason;
    } cases[] = {{400, EXPORT_DROP_NOT_RETRYABLE}, {500, EXPORT_DROP_NOT_RETRYABLE}};
    for (size_t i = 0; i < 2; i++) {
        const uint64_t before = dropped(&world, cases[i].reason);
        add(&world, 0, BATCH);
        pass(&world, SOON);
        answer_status(&world, cases[i].status);
        assert_int_equal(dropped(&world, cases[i].reason) - before, BATCH);
        assert_counted(&world);
    }
    add(&world, 0, BATCH);
    pass(&world, SOON);
    answer(&world, (struct otlp_answer){.status = 200, .body = BYTES("\x0a\x02\x08\x03")}); // 3 were rejected
    assert_int_equal(dropped(&world, EXPORT_DROP_PARTIAL_SUCCESS), 3);
    assert_int_equal(exporter_figures(&world.exporter).exported, BATCH - 3);
    add(&world, 0, BATCH);
    pass(&world, SOON);
    answer(&world, (struct otlp_answer){.status = 200, .body = BYTES("\x0a\x03\x08\x90\x4e")}); // more than were sent
    assert_int_equal(dropped(&world, EXPORT_DROP_PARTIAL_SUCCESS), 3 + BATCH);
    assert_counted(&world);
    assert_int_equal(world.tries, 4);
    world_dispose(&world);
}

static void switched_off_it_drops_and_counts(void **state) {
    (void)state;
    struct world world;
    world_init(&world);
    add(&world, 0, BATCH + 2);
    pass(&world, SOON);
    exporter_apply(&world.exporter, NULL, NULL);
    pass(&world, SOON);
    assert_int_equal(dropped(&world, EXPORT_DROP_DISABLED), 2);
    answer_status(&world, 503);
    assert_int_equal(dropped(&world, EXPORT_DROP_DISABLED), BATCH + 2);
    add(&world, 1, BATCH);
    assert_int_equal(dropped(&world, EXPORT_DROP_DISABLED), 2 * BATCH + 2);
    assert_int_equal(world.tries, 1);
    exporter_apply(&world.exporter, &world.config, &world.origin);
    add(&world, 1, BATCH);
    pass(&world, SOON);
    answer_status(&world, 200);
    assert_int_equal(exporter_figures(&world.exporter).exported, BATCH);
    assert_counted(&world);
    world_dispose(&world);
}

static void at_the_end_what_there_is_is_sent_in_the_time_that_is_left(void **state) {
    (void)state;
    struct world world;
    world_init(&world);
    add(&world, 0, 3);
    exporter_hurry(&world.exporter, world.check.loop.now + 2 * NS_PER_S);
    pass(&world, SOON);
    assert_int_equal(world.tries, 1);
    assert_true(world.timeout <= 2 * NS_PER_S);
    assert_false(exporter_is_idle(&world.exporter));
    answer_status(&world, 200);
    assert_true(exporter_is_idle(&world.exporter));
    add(&world, 1, 4); // nobody tells
    pass(&world, 30 * NS_PER_MS);
    assert_int_equal(world.tries, 2);
    answer(&world, (struct otlp_answer){.end = ERROR_CONNECT_REFUSED});
    pass(&world, 3 * NS_PER_S);
    while (world.is_carried) {
        answer(&world, (struct otlp_answer){.end = ERROR_CONNECT_REFUSED});
        pass(&world, 3 * NS_PER_S);
    }
    assert_true(exporter_is_idle(&world.exporter));
    assert_int_equal(dropped(&world, EXPORT_DROP_SHUTDOWN), 4);
    assert_counted(&world);
    world_dispose(&world);
}

static void a_wait_is_cut_short_at_the_end(void **state) {
    (void)state;
    struct world world;
    world_init(&world);
    add(&world, 0, BATCH);
    pass(&world, SOON);
    for (unsigned i = 0; i < 4; i++) {
        answer_status(&world, 503);
        pass(&world, i < 3 ? 5 * NS_PER_S + SOON : NS_PER_S);
    }
    assert_false(world.is_carried);
    const unsigned before = world.tries;
    exporter_hurry(&world.exporter, world.check.loop.now + NS_PER_S);
    pass(&world, SOON);
    assert_int_equal(world.tries, before + 1);
    answer_status(&world, 200);
    assert_int_equal(exporter_figures(&world.exporter).exported, BATCH);
    // But not one that the receiver has asked for.
    add(&world, 0, 2);
    pass(&world, 30 * NS_PER_MS);
    answer(&world, (struct otlp_answer){.status = 429, .retry_after = BYTES("20")});
    pass(&world, NS_PER_S);
    assert_int_equal(world.tries, before + 2);
    assert_int_equal(dropped(&world, EXPORT_DROP_SHUTDOWN), 2);
    assert_counted(&world);
    world_dispose(&world);
}

static const struct service_url other = {.text = BYTES_OF("http://other/")};

static void a_long_wait_loses_no_more_than_the_batch_at_hand(void **state) {
    (void)state;
    struct world world;
    world_init(&world);
    add(&world, 0, 3 * BATCH);
    pass(&world, SOON);
    answer(&world, (struct otlp_answer){.status = 429, .retry_after = BYTES("86400")});
    assert_int_equal(dropped(&world, EXPORT_DROP_TIMEOUT), BATCH);
    pass(&world, 290 * NS_PER_S);
    assert_int_equal(world.tries, 1);
    assert_int_equal(dropped(&world, EXPORT_DROP_TIMEOUT), BATCH);
    pass(&world, 11 * NS_PER_S); // the longest that it is left alone
    assert_int_equal(world.tries, 2);
    assert_int_equal(world.timeout, 10 * NS_PER_S); // its time has only begun
    answer_status(&world, 200);
    answer_status(&world, 200);
    assert_int_equal(exporter_figures(&world.exporter).exported, 2 * BATCH);
    assert_counted(&world);
    world_dispose(&world);
}

static void another_receiver_has_asked_for_nothing(void **state) {
    (void)state;
    struct world world;
    world_init(&world);
    add(&world, 0, 2 * BATCH);
    pass(&world, SOON);
    answer(&world, (struct otlp_answer){.status = 503, .retry_after = BYTES("200")});
    exporter_apply(&world.exporter, &world.config, &world.origin); // the same one
    pass(&world, 10 * NS_PER_S);
    assert_int_equal(world.tries, 1);
    world.config.url = &other;
    exporter_apply(&world.exporter, &world.config, &world.origin);
    pass(&world, SOON);
    assert_int_equal(world.tries, 2);
    answer(&world, (struct otlp_answer){.status = 503, .retry_after = BYTES("200")});
    exporter_apply(&world.exporter, NULL, NULL);
    pass(&world, SOON);
    exporter_apply(&world.exporter, &world.config, &world.origin);
    add(&world, 0, BATCH);
    pass(&world, SOON);
    assert_int_equal(world.tries, 3);
    answer_status(&world, 200);
    assert_counted(&world);
    world_dispose(&world);
}

static void a_try_that_hangs_is_cancelled_for_another_receiver(void **state) {
    (void)state;
    static const struct service_url third = {.text = BYTES_OF("http://third/")};
    struct world world;
    world_init(&world);
    add(&world, 0, BATCH);
    pass(&world, SOON);
    exporter_apply(&world.exporter, &world.config, &world.origin); // the same one
    assert_int_equal(world.cancelled, 0);
    world.config.url = &other;
    exporter_apply(&world.exporter, &world.config, &world.origin);
    assert_int_equal(world.cancelled, 1);
    answer(&world, (struct otlp_answer){.end = ERROR_CANCELLED});
    assert_int_equal(world.tries, 2); // at once
    // An answer that was on its way all the same counts; what it asks for does not.
    world.config.url = &third;
    exporter_apply(&world.exporter, &world.config, &world.origin);
    assert_int_equal(world.cancelled, 2);
    answer(&world, (struct otlp_answer){.status = 503, .retry_after = BYTES("200")});
    assert_int_equal(world.tries, 3);
    answer_status(&world, 200);
    assert_int_equal(exporter_figures(&world.exporter).exported, BATCH);
    add(&world, 0, BATCH);
    pass(&world, SOON);
    assert_int_equal(world.tries, 4);
    exporter_apply(&world.exporter, NULL, NULL);
    assert_int_equal(world.cancelled, 3);
    answer(&world, (struct otlp_answer){.end = ERROR_CANCELLED});
    assert_int_equal(dropped(&world, EXPORT_DROP_DISABLED), BATCH);
    assert_counted(&world);
    world_dispose(&world);
}

static unsigned lines;

static void count_line(enum log_level level, const char *line) {
    lines += level == LOG_WARN && strstr(line, "event=export_failed") != NULL;
}

static void a_receiver_that_refuses_all_fills_no_log(void **state) {
    (void)state;
    struct world world;
    world_init(&world);
    lines = 0;
    log_redirect(count_line);
    for (unsigned i = 0; i < 100; i++) { // in ten seconds
        add(&world, 0, BATCH);
        pass(&world, 97 * NS_PER_MS);
        answer_status(&world, i == 50 ? 413 : 400);
    }
    assert_int_equal(lines, 3); // the first, another one, and as the first again
    pass(&world, 10 * NS_PER_S);
    add(&world, 0, BATCH);
    pass(&world, SOON);
    answer_status(&world, 400);
    assert_int_equal(lines, 4);
    be_quiet(NULL);
    world_dispose(&world);
}

// It began with BATCH, of which each worker tells by its half.
static void another_size_of_batches_holds_at_once(void **state) {
    (void)state;
    struct world world;
    world_init(&world);
    world.config.batch.max_batch = 4;
    exporter_apply(&world.exporter, &world.config, &world.origin);
    add(&world, 0, 4);
    pass(&world, SOON);
    assert_int_equal(world.carried, 4);
    answer_status(&world, 200);
    world.config.batch.max_batch = 10 * QUEUE; // for which there is no room: a full queue is a batch
    exporter_apply(&world.exporter, &world.config, &world.origin);
    add(&world, 0, QUEUE - 1);
    pass(&world, SOON);
    assert_int_equal(world.tries, 1);
    add(&world, 1, QUEUE / WORKERS);
    pass(&world, SOON);
    assert_int_equal(world.carried, QUEUE);
    answer_status(&world, 200);
    assert_counted(&world);
    world_dispose(&world);
}

static void a_batch_that_waits_goes_in_the_form_that_is_wanted_then(void **state) {
    (void)state;
    struct world world;
    world_init(&world);
    add(&world, 0, BATCH);
    pass(&world, SOON);
    assert_false(world.is_framed);
    answer_status(&world, 503);
    world.config.protocol = OTLP_GRPC;
    exporter_apply(&world.exporter, &world.config, &world.origin);
    pass(&world, SOON);
    assert_int_equal(world.tries, 2);
    assert_int_equal(world.protocol, OTLP_GRPC);
    assert_true(world.is_framed);
    answer(&world, (struct otlp_answer){.status = 503});
    world.config.compression = OTLP_COMPRESSION_GZIP;
    exporter_apply(&world.exporter, &world.config, &world.origin);
    pass(&world, 3 * NS_PER_S);
    assert_int_equal(world.tries, 3);
    assert_false(world.is_framed); // its frame says that it is packed
    answer(&world, (struct otlp_answer){.status = 200, .grpc_status = BYTES("0")});
    assert_int_equal(exporter_figures(&world.exporter).exported, BATCH);
    assert_counted(&world);
    world_dispose(&world);
}

static void what_is_switched_on_again_is_not_given_up(void **state) {
    (void)state;
    struct world world;
    world_init(&world);
    add(&world, 0, BATCH);
    pass(&world, SOON);
    exporter_apply(&world.exporter, NULL, NULL);
    exporter_apply(&world.exporter, &world.config, &world.origin);
    answer_status(&world, 503);
    pass(&world, 2 * NS_PER_S);
    assert_int_equal(world.tries, 2);
    answer_status(&world, 200);
    assert_int_equal(exporter_figures(&world.exporter).exported, BATCH);
    world_dispose(&world);
}

static void what_comes_after_the_switch_is_dropped_too(void **state) {
    (void)state;
    struct world world;
    world_init(&world);
    exporter_apply(&world.exporter, NULL, NULL);
    pass(&world, SOON);
    add(&world, 0, 3); // of which nobody tells
    pass(&world, 6 * NS_PER_S);
    assert_int_equal(exporter_figures(&world.exporter).waiting, 0);
    assert_int_equal(dropped(&world, EXPORT_DROP_DISABLED), 3);
    assert_counted(&world);
    world_dispose(&world);
}

static void a_request_that_was_too_large_is_followed_by_smaller_ones(void **state) {
    (void)state;
    struct world world;
    world_init(&world);
    add(&world, 0, 3 * BATCH);
    pass(&world, SOON);
    answer_status(&world, 413);
    assert_int_equal(world.carried, BATCH / 2);
    answer_status(&world, 413);
    assert_int_equal(world.carried, BATCH / 4);
    answer_status(&world, 200);
    exporter_apply(&world.exporter, &world.config, &world.origin);
    assert_int_equal(world.carried, BATCH / 4);
    assert_int_equal(dropped(&world, EXPORT_DROP_TOO_LARGE), BATCH + BATCH / 2);
    answer_status(&world, 200);
    assert_int_equal(world.carried, BATCH / 4); // documents that say the same make it no larger again
    assert_counted(&world);
    world.config.batch.max_batch = 1;
    exporter_apply(&world.exporter, &world.config, &world.origin);
    answer_status(&world, 413);
    assert_int_equal(world.carried, 1); // nor does what was under way
    while (world.is_carried)
        answer_status(&world, 200);
    assert_counted(&world);
    world_dispose(&world);
}

static void a_body_that_there_is_no_memory_for_ends_as_one_that_was_refused(void **state) {
    (void)state;
    struct world world;
    world_init(&world);
    add(&world, 0, 2 * BATCH);
    try_alloc_fail_after(1); // its records have their room
    pass(&world, SOON);
    try_alloc_fail_after(0);
    assert_int_equal(dropped(&world, EXPORT_DROP_MEMORY), BATCH);
    assert_int_equal(exporter_figures(&world.exporter).results[EXPORT_RESULT_MEMORY], 1);
    pass(&world, SOON);
    assert_int_equal(world.tries, 1); // the next one
    answer_status(&world, 200);
    assert_counted(&world);
    world_dispose(&world);
}

// Whatever happens in whatever order.
static void each_record_is_counted_once(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct world world;
        struct rng rng;
        world_init(&world);
        rng_init(&rng, seed);
        for (unsigned step = 0; step < 300; step++) {
            static const unsigned statuses[] = {200, 200, 200, 400, 413, 429, 503};
            switch (rng_below(&rng, 6)) {
            case 0:
            case 1:
                add(&world, (int)rng_below(&rng, WORKERS), rng_below(&rng, 40));
                break;
            case 2:
                pass(&world, rng_below(&rng, 3000) * NS_PER_MS);
                break;
            case 3:
                if (world.is_carried)
                    answer_status(&world, statuses[rng_below(&rng, 7)]);
                break;
            case 4:
                if (world.is_carried)
                    answer(&world, (struct otlp_answer){.status = 200, .body = BYTES("\x0a\x02\x08\x05")});
                break;
            default:
                if (rng_below(&rng, 8) == 0)
                    exporter_apply(&world.exporter, rng_below(&rng, 2) == 0 ? NULL : &world.config, &world.origin);
            }
            assert_counted(&world);
        }
        exporter_end(&world.exporter);
        assert_int_equal(exporter_figures(&world.exporter).waiting, 0);
        assert_counted(&world);
        world_dispose(&world);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(few_records_wait_for_their_time),
        cmocka_unit_test(what_is_due_is_sent_in_as_many_batches_as_it_is),
        cmocka_unit_test(long_records_are_sent_before_there_is_no_room),
        cmocka_unit_test(a_full_batch_is_sent_at_once_and_none_beside_it),
        cmocka_unit_test(what_finds_no_room_is_counted),
        cmocka_unit_test(it_is_sent_again_until_its_time_is_over),
        cmocka_unit_test(a_try_has_no_more_time_than_the_batch),
        cmocka_unit_test(it_waits_as_long_as_it_is_told_to),
        cmocka_unit_test(what_is_refused_is_dropped_by_its_reason),
        cmocka_unit_test(switched_off_it_drops_and_counts),
        cmocka_unit_test(at_the_end_what_there_is_is_sent_in_the_time_that_is_left),
        cmocka_unit_test(a_wait_is_cut_short_at_the_end),
        cmocka_unit_test(a_long_wait_loses_no_more_than_the_batch_at_hand),
        cmocka_unit_test(another_receiver_has_asked_for_nothing),
        cmocka_unit_test(a_try_that_hangs_is_cancelled_for_another_receiver),
        cmocka_unit_test(a_receiver_that_refuses_all_fills_no_log),
        cmocka_unit_test(another_size_of_batches_holds_at_once),
        cmocka_unit_test(a_batch_that_waits_goes_in_the_form_that_is_wanted_then),
        cmocka_unit_test(what_is_switched_on_again_is_not_given_up),
        cmocka_unit_test(what_comes_after_the_switch_is_dropped_too),
        cmocka_unit_test(a_request_that_was_too_large_is_followed_by_smaller_ones),
        cmocka_unit_test(a_body_that_there_is_no_memory_for_ends_as_one_that_was_refused),
        cmocka_unit_test(each_record_is_counted_once),
    };
    return cmocka_run_group_tests(tests, be_quiet, NULL);
}
