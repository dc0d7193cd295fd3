// Who looks on: which requests it sees, what it costs nobody, how much it gets at most, how it comes and goes.
#include "unit/stream/one_request.h"
#include "stream/tap_feed.h"

#include <pthread.h>
#include <stdio.h>

static void wake_nobody(void *argument) {
    (void)argument;
}

static struct mailbox home;
static unsigned noted, answered;

static void on_note(struct note *note) {
    (void)note;
    noted++;
}

static struct tap_terms terms_of(struct access_match match) {
    return (struct tap_terms){.match = match, .count = UINT64_MAX, .rate = 1000};
}

static void open_home(void) {
    noted = answered = 0;
    mailbox_init(&home, 16, wake_nobody, NULL);
}

// Takes all whole lines, as text behind what is there. Returns how many.
static unsigned take_lines(struct tap_feed *feed, struct text *to) {
    struct iovec pieces[2];
    unsigned lines = 0;
    int count;
    while ((count = tap_feed_front(feed, ACCESS_LOG_LINE_MAX, pieces)) > 0) {
        size_t length = 0;
        for (int i = 0; i < count; i++) {
            const char *at = pieces[i].iov_base;
            assert_int_equal(at[pieces[i].iov_len - 1] == '\n' || i + 1 < count, true);
            for (size_t k = 0; k < pieces[i].iov_len; k++)
                lines += at[k] == '\n';
            if (to != NULL)
                text_format(to, "%.*s", (int)pieces[i].iov_len, at);
            length += pieces[i].iov_len;
        }
        line_ring_take(&feed->lines, length);
    }
    return lines;
}

// --- real requests ---

#define LOGS_ERRORS                                                                     \
    API "kind: Proxy\nmetadata: {name: p}\nspec:\n"                                     \
        "  listeners: [{name: outbound, role: Outbound, address: '127.0.0.1:15001'}]\n" \
        "  telemetry: {accessLog: {path: /dev/null, filter: Errors}}\n---\n"

// The next on the one connection.
static void answer(struct loopback *world, const char *request, unsigned status) {
    struct client client;
    client_get(&client, world, request);
    loopback_settle(world);
    far_respond(far_conn(&world->far, 0), far_request(far_conn(&world->far, 0), answered++), status, "", NULL, true);
    loopback_settle(world);
    client_dispose(&client);
}

static void a_request_that_is_wanted_is_a_line_whether_it_is_logged_or_not(void **state) {
    (void)state;
    struct loopback world;
    struct tap_feed feed, all;
    struct tap_terms terms = terms_of((struct access_match){.path = BYTES("/a")}), of_all = terms_of((struct access_match){0});
    struct text lines = {0}, rest = {0};
    of_all.is_brief = true;
    open_home();
    loopback_init(&world, LOGS_ERRORS SERVICE("HTTP1", ONE), NULL);
    tap_feed_init(&feed, &terms, &home, on_note, NULL);
    tap_feed_init(&all, &of_all, &home, on_note, NULL);
    answer(&world, "GET a /a/0\n", 200);
    tap_feed_attach(&feed, &world.env);
    tap_feed_attach(&all, &world.env);
    assert_true(atomic_load(&feed.is_attached) && atomic_load(&all.is_attached) && !feed.is_detached);
    answer(&world, "GET a /a/1?token=secret\n", 200);
    answer(&world, "GET a /b/1\n", 200);
    assert_int_equal(world.record.count, 0);
    answer(&world, "GET a /a/2\n", 503);
    assert_int_equal(world.record.count, 1);
    tap_feed_detach(&feed, &world.env);
    answer(&world, "GET a /a/3\n", 200);
    tap_feed_detach(&all, &world.env);
    assert_null(world.env.taps);
    assert_int_equal(take_lines(&feed, &lines), 2);
    assert_int_equal(take_lines(&all, &rest), 4);
    assert_has(lines.at, "\"path\":\"/a/1\"");
    assert_has(lines.at, "\"path\":\"/a/2\"");
    assert_has(lines.at, "\"status\":503");
    assert_has(lines.at, "\"endpoint\":\"127.0.0.1:8001\"");
    assert_has_not(lines.at, "secret");
    assert_has(rest.at, " a/b/1 200 ");
    assert_int_equal(metric_read(&world.far.metrics.tap_lines), 6);
    assert_int_equal(metric_read(&feed.dropped) + metric_read(&all.dropped), 0);
    (void)mailbox_receive(&home, NULL);
    assert_true(feed.is_detached && all.is_detached);
    assert_int_equal(noted, 4); // each: that there is something, and that it is detached
    tap_feed_dispose(&feed);
    tap_feed_dispose(&all);
    text_dispose(&lines);
    text_dispose(&rest);
    loopback_dispose(&world);
    mailbox_dispose(&home);
}

// --- bounds ---

struct bench {
    struct check_loop check;
    struct worker_metrics metrics;
    struct stream_env env;
    struct tap_terms terms;
    struct tap_feed feed;
};

static void bench_open(struct bench *bench, struct tap_terms terms) {
    memset(bench, 0, sizeof *bench);
    open_home();
    check_loop_init(&bench->check);
    bench->env = (struct stream_env){.loop = &bench->check.loop, .metrics = &bench->metrics};
    bench->terms = terms;
    tap_feed_init(&bench->feed, &bench->terms, &home, on_note, NULL);
    tap_feed_attach(&bench->feed, &bench->env);
}

static void bench_close(struct bench *bench) {
    if (bench->env.taps != NULL)
        tap_feed_detach(&bench->feed, &bench->env);
    tap_feed_dispose(&bench->feed);
    check_loop_dispose(&bench->check);
    mailbox_dispose(&home);
}

static void tell(struct bench *bench, unsigned count, struct bytes path) {
    const struct access_record record = {.path = path, .grpc_status = ACCESS_LOG_NO_GRPC_STATUS};
    for (unsigned i = 0; i < count; i++)
        if (taps_reserve(bench->env.taps, &record, bench->env.metrics))
            taps_tell(bench->env.taps, &record, bench->env.metrics);
}

static void lines_are_seen_and_noted_once_a_turn(void **state) {
    (void)state;
    struct bench bench;
    bench_open(&bench, terms_of((struct access_match){0}));
    (void)mailbox_receive(&home, NULL);
    assert_int_equal(noted, 1);
    tell(&bench, 10, BYTES("/"));
    assert_int_equal(take_lines(&bench.feed, NULL), 0);
    check_loop_turn(&bench.check);
    (void)mailbox_receive(&home, NULL);
    assert_int_equal(noted, 2);
    assert_int_equal(take_lines(&bench.feed, NULL), 10);
    bench_close(&bench);
}

static void a_reader_that_does_not_read_costs_lines_and_no_time_and_memory(void **state) {
    (void)state;
    struct bench bench;
    bench_open(&bench, terms_of((struct access_match){0}));
    static char path[400];
    memset(path, 'p', sizeof path);
    for (unsigned i = 0; i < 1000; i++) {
        tell(&bench, 1, bytes_from(path, sizeof path));
        check_loop_turn(&bench.check);
    }
    const uint64_t dropped = metric_read(&bench.feed.dropped), made = metric_read(&bench.metrics.tap_lines);
    assert_true(dropped > 800);
    assert_int_equal(made + dropped, 1000);
    assert_int_equal(metric_read(&bench.metrics.tap_dropped_full), dropped);
    assert_true(line_ring_waiting(&bench.feed.lines) <= TAP_RING_BYTES);
    assert_int_equal(take_lines(&bench.feed, NULL), made);
    tell(&bench, 3, BYTES("/")); // there is room again
    check_loop_turn(&bench.check);
    assert_int_equal(take_lines(&bench.feed, NULL), 3);
    assert_int_equal(metric_read(&bench.feed.dropped), dropped);
    bench_close(&bench);
}

static void a_rate_is_a_bucket_of_a_second(void **state) {
    (void)state;
    struct bench bench;
    struct tap_terms terms = terms_of((struct access_match){0});
    terms.rate = 10;
    bench_open(&bench, terms);
    tell(&bench, 25, BYTES("/"));
    assert_int_equal(metric_read(&bench.metrics.tap_lines), 10);
    assert_int_equal(metric_read(&bench.metrics.tap_dropped_rate), 15);
    check_loop_pass(&bench.check, 99 * NS_PER_MS);
    tell(&bench, 1, BYTES("/"));
    assert_int_equal(metric_read(&bench.metrics.tap_lines), 10);
    check_loop_pass(&bench.check, NS_PER_MS);
    tell(&bench, 2, BYTES("/"));
    assert_int_equal(metric_read(&bench.metrics.tap_lines), 11);
    check_loop_pass(&bench.check, 3600 * NS_PER_S);
    tell(&bench, 20, BYTES("/"));
    assert_int_equal(metric_read(&bench.metrics.tap_lines), 21);
    assert_int_equal(metric_read(&bench.feed.dropped), 15 + 1 + 1 + 10);
    check_loop_turn(&bench.check);
    assert_int_equal(take_lines(&bench.feed, NULL), 21);
    bench_close(&bench);
}

static void behind_the_last_line_nothing_is_made_or_counted(void **state) {
    (void)state;
    struct bench bench;
    struct tap_terms terms = terms_of((struct access_match){0});
    terms.count = 3;
    bench_open(&bench, terms);
    tell(&bench, 10, BYTES("/"));
    check_loop_turn(&bench.check);
    assert_int_equal(take_lines(&bench.feed, NULL), 3);
    assert_int_equal(metric_read(&bench.metrics.tap_lines), 3);
    assert_int_equal(metric_read(&bench.feed.dropped), 0);
    bench_close(&bench);
}

// A line costs something, and what is not one costs no more than to look.
static void what_is_dropped_is_known_before_anything_is_printed(void **state) {
    (void)state;
    const struct access_record wanted = {.path = BYTES("/a"), .grpc_status = ACCESS_LOG_NO_GRPC_STATUS}, other = {.path = BYTES("/b")};
    struct bench bench;
    struct tap_terms terms = terms_of((struct access_match){.path = BYTES("/a")});
    terms.rate = 2;
    terms.count = 3;
    bench_open(&bench, terms);
    assert_false(taps_reserve(bench.env.taps, &other, bench.env.metrics));
    tell(&bench, 2, wanted.path);
    assert_false(taps_reserve(bench.env.taps, &wanted, bench.env.metrics)); // for the rate
    assert_int_equal(metric_read(&bench.metrics.tap_dropped_rate), 1);
    check_loop_pass(&bench.check, NS_PER_S);
    tell(&bench, 1, wanted.path);
    assert_false(taps_reserve(bench.env.taps, &wanted, bench.env.metrics)); // for the number
    assert_int_equal(metric_read(&bench.feed.dropped), 1);
    bench.terms.count = UINT64_MAX;
    bench.terms.rate = 1000000;
    tell(&bench, 2000, wanted.path);
    assert_true(metric_read(&bench.metrics.tap_dropped_full) > 0);
    assert_false(taps_reserve(bench.env.taps, &wanted, bench.env.metrics)); // for the room
    bench_close(&bench);
}

static void one_that_gets_no_line_does_not_take_that_of_another(void **state) {
    (void)state;
    struct bench bench;
    struct tap_terms none = terms_of((struct access_match){.path = BYTES("/other")});
    struct tap_feed beside;
    bench_open(&bench, terms_of((struct access_match){0}));
    tap_feed_init(&beside, &none, &home, on_note, NULL);
    tap_feed_attach(&beside, &bench.env);
    tell(&bench, 3, BYTES("/"));
    tell(&bench, 2, BYTES("/other"));
    check_loop_turn(&bench.check);
    assert_int_equal(take_lines(&bench.feed, NULL), 5);
    assert_int_equal(take_lines(&beside, NULL), 2);
    tap_feed_detach(&beside, &bench.env);
    tap_feed_dispose(&beside);
    bench_close(&bench);
}

static void a_reader_that_takes_little_hears_of_all_workers(void **state) {
    (void)state;
    static char path[400];
    const struct access_record record = {.path = bytes_from(path, sizeof path), .grpc_status = ACCESS_LOG_NO_GRPC_STATUS};
    struct tap_terms terms = {.count = UINT64_MAX, .rate = 1000000};
    struct tap_feed feeds[3];
    struct bench bench;
    struct stream_env envs[3];
    unsigned taken[3] = {0};
    uint32_t turn = 0;
    memset(path, 'p', sizeof path);
    bench_open(&bench, terms_of((struct access_match){0}));
    for (unsigned i = 0; i < 3; i++) {
        envs[i] = (struct stream_env){.loop = &bench.check.loop, .metrics = &bench.metrics};
        tap_feed_init(&feeds[i], &terms, &home, on_note, NULL);
        tap_feed_attach(&feeds[i], &envs[i]);
    }
    assert_null(tap_feeds_turn(feeds, 3, &turn));
    for (unsigned round = 0; round < 30; round++) {
        for (unsigned i = 0; i < 3; i += 2) // the second has nothing to say; the others more than is taken
            for (unsigned k = 0; k < 50; k++)
                if (taps_reserve(&feeds[i], &record, &bench.metrics))
                    taps_tell(&feeds[i], &record, &bench.metrics);
        check_loop_turn(&bench.check);
        struct iovec pieces[2];
        struct tap_feed *feed = tap_feeds_turn(feeds, 3, &turn);
        assert_int_equal(tap_feed_front(feed, ACCESS_LOG_LINE_MAX, pieces) > 0, true);
        line_ring_take(&feed->lines, pieces[0].iov_len);
        taken[feed - feeds]++;
    }
    assert_int_equal(taken[0], 15);
    assert_int_equal(taken[1], 0);
    assert_int_equal(taken[2], 15);
    for (unsigned i = 0; i < 3; i++) {
        tap_feed_detach(&feeds[i], &envs[i]);
        tap_feed_dispose(&feeds[i]);
    }
    bench_close(&bench);
}

static void what_was_told_in_the_turn_of_its_end_is_not_lost(void **state) {
    (void)state;
    struct bench bench;
    bench_open(&bench, terms_of((struct access_match){0}));
    tell(&bench, 5, BYTES("/"));
    tap_feed_detach(&bench.feed, &bench.env);
    assert_int_equal(take_lines(&bench.feed, NULL), 5);
    bench_close(&bench);
}

static void whole_lines_are_taken_however_little_fits(void **state) {
    (void)state;
    struct bench bench;
    static char path[440];
    struct iovec pieces[2];
    memset(path, 'p', sizeof path);
    bench_open(&bench, terms_of((struct access_match){0}));
    unsigned told = 0, taken = 0;
    for (unsigned round = 0; round < 60; round++) { // several times around the ring
        tell(&bench, 15, bytes_from(path, sizeof path - round));
        told += 15;
        check_loop_turn(&bench.check);
        int count = tap_feed_front(&bench.feed, ACCESS_LOG_LINE_MAX + round, pieces);
        assert_true(count > 0);
        assert_int_equal(((const char *)pieces[count - 1].iov_base)[pieces[count - 1].iov_len - 1], '\n');
        taken += take_lines(&bench.feed, NULL);
    }
    assert_int_equal(taken, told);
    bench_close(&bench);
}

// --- several workers ---

#define THREADS 4
#define EACH 5000

struct worker_thread {
    pthread_t thread;
    struct loop loop; // only its clock and its list of what is to be flushed are used
    struct worker_metrics metrics;
    struct stream_env env;
    struct tap_feed feed;
};

static void *work(void *argument) {
    struct worker_thread *worker = argument;
    const struct access_record record = {.path = BYTES("/"), .grpc_status = ACCESS_LOG_NO_GRPC_STATUS};
    tap_feed_attach(&worker->feed, &worker->env);
    for (unsigned i = 0; i < EACH; i++) {
        if (taps_reserve(worker->env.taps, &record, &worker->metrics))
            taps_tell(worker->env.taps, &record, &worker->metrics);
        if (list_is_linked(&worker->feed.publish.link)) {
            list_remove(&worker->feed.publish.link);
            worker->feed.publish.run(&worker->feed.publish);
        }
    }
    tap_feed_detach(&worker->feed, &worker->env);
    return NULL;
}

static void workers_make_no_line_too_many_and_lose_none(void **state) {
    (void)state;
    static struct worker_thread workers[THREADS];
    for (unsigned most = 1000; most <= THREADS * EACH * 10; most *= 100) {
        struct tap_terms terms = {.count = most, .rate = 1000000000};
        unsigned taken = 0, detached = 0;
        uint64_t made = 0, dropped = 0;
        memset(workers, 0, sizeof workers);
        open_home();
        for (unsigned i = 0; i < THREADS; i++) {
            list_init(&workers[i].loop.flush);
            workers[i].loop.now = NS_PER_S;
            workers[i].env = (struct stream_env){.loop = &workers[i].loop, .metrics = &workers[i].metrics};
            tap_feed_init(&workers[i].feed, &terms, &home, on_note, NULL);
            assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
        }
        while (detached < THREADS) {
            (void)mailbox_receive(&home, NULL);
            detached = 0;
            for (unsigned i = 0; i < THREADS; i++) {
                detached += workers[i].feed.is_detached;
                taken += take_lines(&workers[i].feed, NULL);
            }
            sched_yield();
        }
        for (unsigned i = 0; i < THREADS; i++) {
            pthread_join(workers[i].thread, NULL);
            made += metric_read(&workers[i].metrics.tap_lines);
            dropped += metric_read(&workers[i].feed.dropped);
            tap_feed_dispose(&workers[i].feed);
        }
        assert_int_equal(taken, made);
        assert_true(made <= most);
        assert_true(made == most || made + dropped == THREADS * EACH);
        mailbox_dispose(&home);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_that_is_wanted_is_a_line_whether_it_is_logged_or_not),
        cmocka_unit_test(lines_are_seen_and_noted_once_a_turn),
        cmocka_unit_test(a_reader_that_does_not_read_costs_lines_and_no_time_and_memory),
        cmocka_unit_test(a_rate_is_a_bucket_of_a_second),
        cmocka_unit_test(behind_the_last_line_nothing_is_made_or_counted),
        cmocka_unit_test(what_is_dropped_is_known_before_anything_is_printed),
        cmocka_unit_test(one_that_gets_no_line_does_not_take_that_of_another),
        cmocka_unit_test(a_reader_that_takes_little_hears_of_all_workers),
        cmocka_unit_test(what_was_told_in_the_turn_of_its_end_is_not_lost),
        cmocka_unit_test(whole_lines_are_taken_however_little_fits),
        cmocka_unit_test(workers_make_no_line_too_many_and_lose_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
