// The circuit breaker by itself: every change of state, its counts at the edges of their buckets, whose outcome counts, and, from thousands of seeds, the same as a model that
// remembers everything and adds it up anew each time.
#include "upstream/circuit_breaker.h"

#include "base/log.h"

#include <stdio.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define START (1000 * NS_PER_S)

static char last_line[512];
static unsigned lines;

static void keep_line(enum log_level level, const char *line) {
    (void)level;
    snprintf(last_line, sizeof last_line, "%s", line);
    lines++;
}

struct bench {
    struct circuit_breaker *breaker;
    struct circuit_breaker_config config;
    struct rng rng;
    nanoseconds now;
};

static struct circuit_breaker_config in_a_row(uint32_t threshold) {
    return (struct circuit_breaker_config){.failure_threshold = threshold,
                                           .window = 10 * NS_PER_S,
                                           .min_requests = 20,
                                           .slow_call = {.percent = 50},
                                           .open_for = 60 * NS_PER_S,
                                           .half_open_requests = 1};
}

static struct circuit_breaker_config by_share(uint32_t percent, uint32_t least) {
    struct circuit_breaker_config config = in_a_row(0);
    config.failure_percent = percent;
    config.min_requests = least;
    return config;
}

static void open_bench(struct bench *bench, struct circuit_breaker_config config) {
    *bench = (struct bench){.config = config, .now = START};
    rng_init(&bench->rng, 1);
    lines = 0;
    bench->breaker = circuit_breaker_create(&bench->config, BYTES("TrafficPolicy/default/a"), BYTES("default/a:80"));
}

static void close_bench(struct bench *bench) {
    circuit_breaker_unref(bench->breaker);
}

static enum circuit_state state_of(const struct bench *bench) {
    return circuit_breaker_look(bench->breaker, bench->now).state;
}

static bool begin(const struct bench *bench, uint64_t *generation) {
    nanoseconds wait;
    return circuit_breaker_begin(bench->breaker, bench->now, generation, &wait);
}

static void settle_slow(struct bench *bench, uint64_t generation, enum circuit_outcome outcome, nanoseconds took) {
    circuit_breaker_settle(bench->breaker, generation, outcome, took, bench->now, &bench->rng);
}

static void settle(struct bench *bench, uint64_t generation, enum circuit_outcome outcome) {
    settle_slow(bench, generation, outcome, NS_PER_MS);
}

// False: it was refused.
static bool one(struct bench *bench, enum circuit_outcome outcome) {
    uint64_t generation;
    if (!begin(bench, &generation))
        return false;
    settle(bench, generation, outcome);
    return true;
}

static void some(struct bench *bench, unsigned count, enum circuit_outcome outcome) {
    for (unsigned i = 0; i < count; i++)
        assert_true(one(bench, outcome));
}

static void failures_in_a_row_open_it_and_a_success_begins_anew(void **state) {
    (void)state;
    struct bench bench;
    open_bench(&bench, in_a_row(5));
    some(&bench, 4, CIRCUIT_FAILED);
    some(&bench, 1, CIRCUIT_SUCCEEDED);
    some(&bench, 4, CIRCUIT_FAILED);
    some(&bench, 1, CIRCUIT_NONE); // says nothing, so it does not begin anew either
    assert_int_equal(state_of(&bench), CIRCUIT_CLOSED);
    some(&bench, 1, CIRCUIT_FAILED);
    assert_int_equal(state_of(&bench), CIRCUIT_OPEN);
    assert_false(one(&bench, CIRCUIT_SUCCEEDED));
    close_bench(&bench);
}

static void it_is_open_for_as_long_as_it_says(void **state) {
    (void)state;
    struct bench bench;
    uint64_t generation;
    nanoseconds wait;
    open_bench(&bench, in_a_row(1));
    some(&bench, 1, CIRCUIT_FAILED);
    bench.now += NS_PER_S;
    assert_false(circuit_breaker_begin(bench.breaker, bench.now, &generation, &wait));
    assert_true(wait == 59 * NS_PER_S);
    bench.now = START + 60 * NS_PER_S - 1;
    assert_true(circuit_breaker_refuses(bench.breaker, bench.now, &wait));
    assert_true(wait == 1);
    bench.now++;
    assert_false(circuit_breaker_refuses(bench.breaker, bench.now, &wait));
    assert_int_equal(state_of(&bench), CIRCUIT_HALF_OPEN);
    assert_int_equal(circuit_breaker_look(bench.breaker, bench.now).changes[CIRCUIT_HALF_OPEN], 0); // to look changes nothing
    assert_true(begin(&bench, &generation));
    assert_int_equal(circuit_breaker_look(bench.breaker, bench.now).changes[CIRCUIT_HALF_OPEN], 1);
    settle(&bench, generation, CIRCUIT_SUCCEEDED);
    assert_int_equal(state_of(&bench), CIRCUIT_CLOSED);
    close_bench(&bench);
}

// Opens it, and waits until it may be tried.
static void open_half(struct bench *bench, struct circuit_breaker_config config) {
    config.failure_threshold = 1;
    open_bench(bench, config);
    some(bench, 1, CIRCUIT_FAILED);
    bench->now += config.open_for;
}

static void one_probe_passes_at_a_time(void **state) {
    (void)state;
    struct bench bench;
    uint64_t probe, other;
    nanoseconds wait;
    open_half(&bench, in_a_row(1));
    assert_true(begin(&bench, &probe));
    assert_false(circuit_breaker_begin(bench.breaker, bench.now, &other, &wait));
    assert_true(wait == 0);
    assert_true(circuit_breaker_refuses(bench.breaker, bench.now, &wait));
    settle(&bench, probe, CIRCUIT_FAILED);
    assert_int_equal(state_of(&bench), CIRCUIT_OPEN);
    bench.now += 60 * NS_PER_S;
    assert_true(one(&bench, CIRCUIT_SUCCEEDED));
    assert_int_equal(state_of(&bench), CIRCUIT_CLOSED);
    const struct circuit_view view = circuit_breaker_look(bench.breaker, bench.now);
    assert_int_equal(view.changes[CIRCUIT_OPEN], 2);
    assert_int_equal(view.changes[CIRCUIT_HALF_OPEN], 2);
    assert_int_equal(view.changes[CIRCUIT_CLOSED], 1);
    close_bench(&bench);
}

static void all_probes_must_succeed_and_one_that_fails_is_enough(void **state) {
    (void)state;
    struct circuit_breaker_config config = in_a_row(1);
    struct bench bench;
    uint64_t probes[3], more;
    config.half_open_requests = 3;
    open_half(&bench, config);
    for (unsigned i = 0; i < 3; i++)
        assert_true(begin(&bench, &probes[i]));
    assert_false(begin(&bench, &more));
    settle(&bench, probes[0], CIRCUIT_SUCCEEDED);
    assert_false(begin(&bench, &more)); // three are let through, not three at a time
    settle(&bench, probes[1], CIRCUIT_SUCCEEDED);
    assert_int_equal(state_of(&bench), CIRCUIT_HALF_OPEN);
    settle(&bench, probes[2], CIRCUIT_SUCCEEDED);
    assert_int_equal(state_of(&bench), CIRCUIT_CLOSED);
    close_bench(&bench);

    open_half(&bench, config);
    for (unsigned i = 0; i < 3; i++)
        assert_true(begin(&bench, &probes[i]));
    settle(&bench, probes[0], CIRCUIT_SUCCEEDED);
    settle(&bench, probes[1], CIRCUIT_FAILED);
    assert_int_equal(state_of(&bench), CIRCUIT_OPEN);
    settle(&bench, probes[2], CIRCUIT_FAILED); // it began before that
    assert_int_equal(circuit_breaker_look(bench.breaker, bench.now).changes[CIRCUIT_OPEN], 2);
    close_bench(&bench);
}

static void a_probe_without_an_outcome_is_given_back(void **state) {
    (void)state;
    struct bench bench;
    uint64_t probe, other;
    open_half(&bench, in_a_row(1));
    for (unsigned i = 0; i < 5; i++) {
        assert_true(begin(&bench, &probe));
        assert_false(begin(&bench, &other));
        settle(&bench, probe, CIRCUIT_NONE);
        assert_int_equal(state_of(&bench), CIRCUIT_HALF_OPEN);
    }
    assert_true(one(&bench, CIRCUIT_SUCCEEDED));
    assert_int_equal(state_of(&bench), CIRCUIT_CLOSED);
    close_bench(&bench);
}

static void outcomes_of_before_the_last_change_count_for_nothing(void **state) {
    (void)state;
    struct bench bench;
    uint64_t early, probe;
    open_bench(&bench, in_a_row(1));
    assert_true(begin(&bench, &early));
    some(&bench, 1, CIRCUIT_FAILED);
    settle(&bench, early, CIRCUIT_SUCCEEDED); // closes nothing
    assert_int_equal(state_of(&bench), CIRCUIT_OPEN);
    close_bench(&bench);

    open_bench(&bench, in_a_row(1));
    assert_true(begin(&bench, &early));
    some(&bench, 1, CIRCUIT_FAILED);
    bench.now += 60 * NS_PER_S;
    assert_true(begin(&bench, &probe));
    settle(&bench, early, CIRCUIT_FAILED); // is no probe
    assert_int_equal(state_of(&bench), CIRCUIT_HALF_OPEN);
    settle(&bench, probe, CIRCUIT_SUCCEEDED);
    assert_int_equal(state_of(&bench), CIRCUIT_CLOSED);
    close_bench(&bench);

    open_bench(&bench, in_a_row(1));
    assert_true(begin(&bench, &early));
    some(&bench, 1, CIRCUIT_FAILED);
    bench.now += 60 * NS_PER_S;
    assert_true(one(&bench, CIRCUIT_SUCCEEDED));
    settle(&bench, early, CIRCUIT_FAILED); // closed again, but not the same
    assert_int_equal(state_of(&bench), CIRCUIT_CLOSED);
    close_bench(&bench);
}

static void a_share_counts_from_so_many_requests_on(void **state) {
    (void)state;
    struct bench bench;
    open_bench(&bench, by_share(50, 20));
    some(&bench, 15, CIRCUIT_FAILED);
    some(&bench, 4, CIRCUIT_SUCCEEDED);
    assert_int_equal(state_of(&bench), CIRCUIT_CLOSED);
    some(&bench, 1, CIRCUIT_SUCCEEDED); // the twentieth, though it is none
    assert_int_equal(state_of(&bench), CIRCUIT_OPEN);
    close_bench(&bench);

    open_bench(&bench, by_share(50, 20));
    for (unsigned i = 0; i < 10; i++) {
        some(&bench, 1, CIRCUIT_SUCCEEDED);
        some(&bench, i < 9, CIRCUIT_FAILED);
    }
    some(&bench, 1, CIRCUIT_SUCCEEDED);
    assert_int_equal(state_of(&bench), CIRCUIT_CLOSED); // 9 of 20
    some(&bench, 1, CIRCUIT_FAILED);
    assert_int_equal(state_of(&bench), CIRCUIT_CLOSED); // 10 of 21
    some(&bench, 1, CIRCUIT_FAILED);
    assert_int_equal(state_of(&bench), CIRCUIT_OPEN); // 11 of 22
    close_bench(&bench);
}

static void a_bucket_leaves_when_its_time_has_come(void **state) {
    (void)state;
    struct bench bench;
    open_bench(&bench, by_share(50, 2));
    bench.now = START + NS_PER_S - 1; // the last moment of a bucket of a second
    some(&bench, 1, CIRCUIT_FAILED);
    bench.now = START + 10 * NS_PER_S - 1; // of the tenth with it
    assert_int_equal(circuit_breaker_look(bench.breaker, bench.now).failures, 1);
    bench.now++;
    assert_int_equal(circuit_breaker_look(bench.breaker, bench.now).failures, 0);
    some(&bench, 1, CIRCUIT_FAILED);
    assert_int_equal(state_of(&bench), CIRCUIT_CLOSED);
    some(&bench, 1, CIRCUIT_FAILED);
    assert_int_equal(state_of(&bench), CIRCUIT_OPEN);
    close_bench(&bench);
}

static void time_that_goes_back_is_the_time_that_was(void **state) {
    (void)state;
    struct bench bench;
    open_bench(&bench, by_share(100, 3));
    some(&bench, 1, CIRCUIT_FAILED);
    bench.now -= 5 * NS_PER_S;
    some(&bench, 1, CIRCUIT_FAILED);
    bench.now += 14 * NS_PER_S; // both are of the same bucket
    assert_int_equal(circuit_breaker_look(bench.breaker, bench.now).failures, 2);
    close_bench(&bench);
}

static void slow_answers_open_it_and_are_failed_probes(void **state) {
    (void)state;
    struct circuit_breaker_config config = in_a_row(0);
    struct bench bench;
    uint64_t generation;
    config.slow_call.threshold = 2 * NS_PER_S;
    config.min_requests = 4;
    open_bench(&bench, config);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(state_of(&bench), CIRCUIT_CLOSED);
        assert_true(begin(&bench, &generation));
        settle_slow(&bench, generation, CIRCUIT_SUCCEEDED, i % 2 == 0 ? 2 * NS_PER_S : 2 * NS_PER_S - 1);
    }
    assert_int_equal(state_of(&bench), CIRCUIT_OPEN);
    bench.now += 60 * NS_PER_S;
    assert_true(begin(&bench, &generation));
    settle_slow(&bench, generation, CIRCUIT_SUCCEEDED, 2 * NS_PER_S);
    assert_int_equal(state_of(&bench), CIRCUIT_OPEN);
    bench.now += 60 * NS_PER_S;
    assert_true(one(&bench, CIRCUIT_SUCCEEDED));
    assert_int_equal(state_of(&bench), CIRCUIT_CLOSED);
    close_bench(&bench);
}

static void jitter_makes_it_longer_and_never_shorter(void **state) {
    (void)state;
    struct circuit_breaker_config config = in_a_row(1);
    nanoseconds least = UINT64_MAX, most = 0;
    struct bench bench;
    config.jitter_percent = 50;
    open_bench(&bench, config);
    for (unsigned i = 0; i < 1000; i++) {
        some(&bench, 1, CIRCUIT_FAILED); // a probe, but the first
        const nanoseconds wait = circuit_breaker_look(bench.breaker, bench.now).wait;
        least = wait < least ? wait : least;
        most = wait > most ? wait : most;
        bench.now += wait;
    }
    assert_in_range(least, 60 * NS_PER_S, 61 * NS_PER_S);
    assert_in_range(most, 89 * NS_PER_S, 90 * NS_PER_S);
    close_bench(&bench);
}

static void other_numbers_keep_what_was_counted(void **state) {
    (void)state;
    struct bench bench;
    uint64_t generation;
    open_bench(&bench, in_a_row(5));
    some(&bench, 3, CIRCUIT_FAILED);
    bench.config.failure_threshold = 4;
    circuit_breaker_set(bench.breaker, &bench.config);
    some(&bench, 1, CIRCUIT_FAILED);
    assert_int_equal(state_of(&bench), CIRCUIT_OPEN);
    bench.config.half_open_requests = 3;
    bench.config.open_for = 90 * NS_PER_S; // holds for the one that is open, too
    circuit_breaker_set(bench.breaker, &bench.config);
    bench.now += 90 * NS_PER_S - 1;
    assert_int_equal(state_of(&bench), CIRCUIT_OPEN);
    bench.now++;
    some(&bench, 2, CIRCUIT_SUCCEEDED);
    assert_int_equal(state_of(&bench), CIRCUIT_HALF_OPEN);
    bench.config.half_open_requests = 2; // and two there were
    circuit_breaker_set(bench.breaker, &bench.config);
    assert_int_equal(state_of(&bench), CIRCUIT_CLOSED);
    assert_true(begin(&bench, &generation));
    settle(&bench, generation, CIRCUIT_SUCCEEDED);
    assert_int_equal(circuit_breaker_look(bench.breaker, bench.now).requests, 1);
    close_bench(&bench);
}

static void an_attempt_keeps_it_until_it_is_settled(void **state) {
    (void)state;
    struct bench bench;
    uint64_t generation;
    open_bench(&bench, in_a_row(1));
    assert_true(begin(&bench, &generation));
    close_bench(&bench);
    settle(&bench, generation, CIRCUIT_FAILED); // AddressSanitizer looks on
    assert_int_equal(lines, 1);
}

static void each_change_is_told(void **state) {
    (void)state;
    struct bench bench;
    uint64_t probe;
    open_bench(&bench, in_a_row(1));
    some(&bench, 1, CIRCUIT_FAILED);
    assert_non_null(strstr(last_line, "event=circuit_breaker state=open policy=TrafficPolicy/default/a target=\"default/a:80\" mode=enforce "
                                      "reason=failures_in_a_row open_for_ms=60000"));
    bench.now += 60 * NS_PER_S;
    assert_true(begin(&bench, &probe));
    assert_non_null(strstr(last_line, "state=half_open"));
    settle(&bench, probe, CIRCUIT_FAILED);
    assert_non_null(strstr(last_line, "reason=probe_failed"));
    bench.now += 60 * NS_PER_S;
    some(&bench, 1, CIRCUIT_SUCCEEDED);
    assert_non_null(strstr(last_line, "state=closed"));
    assert_int_equal(lines, 5);
    some(&bench, 1, CIRCUIT_SUCCEEDED);
    assert_int_equal(lines, 5);
    close_bench(&bench);
}

// ---- the model: a list of all that was counted, added up anew for each question

#define EVENTS_MAX 4000
#define RUNNING_MAX 8
#define SEEDS 3000
#define STEPS 200

struct model {
    const struct circuit_breaker_config *config;
    enum circuit_state state;
    unsigned generation;
    nanoseconds opened_at;
    unsigned probes, good;
    struct {
        nanoseconds at;
        bool failed, slow;
    } events[EVENTS_MAX]; // since the last change
    unsigned count;
};

static void model_to(struct model *model, enum circuit_state state, nanoseconds now) {
    model->state = state;
    model->generation++;
    model->opened_at = now;
    model->probes = model->good = model->count = 0;
}

static bool model_begin(struct model *model, nanoseconds now) {
    if (model->state == CIRCUIT_OPEN && now >= model->opened_at + model->config->open_for)
        model_to(model, CIRCUIT_HALF_OPEN, now);
    if (model->state == CIRCUIT_OPEN || (model->state == CIRCUIT_HALF_OPEN && model->probes + model->good >= model->config->half_open_requests))
        return false;
    model->probes += model->state == CIRCUIT_HALF_OPEN;
    return true;
}

static bool model_must_open(const struct model *model, nanoseconds now) {
    const struct circuit_breaker_config *config = model->config;
    const nanoseconds part = config->window / 10;
    unsigned row = 0, all = 0, failed = 0, slow = 0;
    while (row < model->count && model->events[model->count - 1 - row].failed)
        row++;
    for (unsigned i = 0; i < model->count; i++) {
        if (now / part - model->events[i].at / part >= 10)
            continue;
        all++;
        failed += model->events[i].failed;
        slow += model->events[i].slow;
    }
    const bool is_enough = all >= config->min_requests;
    return (config->failure_threshold > 0 && row >= config->failure_threshold) ||
           (is_enough && config->failure_percent > 0 && failed * 100 >= all * config->failure_percent) ||
           (is_enough && config->slow_call.threshold > 0 && slow * 100 >= all * config->slow_call.percent);
}

static void model_settle(struct model *model, unsigned generation, enum circuit_outcome outcome, nanoseconds took, nanoseconds now) {
    if (generation != model->generation)
        return;
    const bool slow = model->config->slow_call.threshold > 0 && took >= model->config->slow_call.threshold;
    if (model->state == CIRCUIT_HALF_OPEN) {
        model->probes--;
        if (outcome == CIRCUIT_FAILED || (outcome == CIRCUIT_SUCCEEDED && slow))
            model_to(model, CIRCUIT_OPEN, now);
        else if (outcome == CIRCUIT_SUCCEEDED && ++model->good == model->config->half_open_requests)
            model_to(model, CIRCUIT_CLOSED, now);
        return;
    }
    if (outcome == CIRCUIT_NONE)
        return;
    assert_true(model->count < EVENTS_MAX);
    model->events[model->count].at = now;
    model->events[model->count].failed = outcome == CIRCUIT_FAILED;
    model->events[model->count++].slow = slow;
    if (model_must_open(model, now))
        model_to(model, CIRCUIT_OPEN, now);
}

static struct circuit_breaker_config random_config(struct rng *rng) {
    struct circuit_breaker_config config = {
        .failure_threshold = rng_below(rng, 6),
        .failure_percent = rng_below(rng, 2) * (1 + rng_below(rng, 100)),
        .window = (100 + rng_below(rng, 900)) * NS_PER_MS,
        .min_requests = 1 + rng_below(rng, 20),
        .slow_call = {.threshold = rng_below(rng, 2) * 50 * NS_PER_MS, .percent = 1 + rng_below(rng, 100)},
        .open_for = (1 + rng_below(rng, 500)) * NS_PER_MS,
        .half_open_requests = 1 + rng_below(rng, 4),
    };
    if (!circuit_breaker_is_set(&config))
        config.failure_threshold = 1;
    return config;
}

static void run_seed(uint64_t seed) {
    static struct model model;
    struct bench bench;
    struct {
        uint64_t generation;
        unsigned model_generation;
    } running[RUNNING_MAX];
    unsigned running_count = 0;
    struct rng rng;
    rng_init(&rng, seed);
    open_bench(&bench, random_config(&rng));
    model = (struct model){.config = &bench.config};
    for (unsigned step = 0; step < STEPS; step++) {
        bench.now += rng_below(&rng, 4) == 0 ? rng_below(&rng, 200) * NS_PER_MS : rng_below(&rng, 3);
        if (running_count < RUNNING_MAX && rng_below(&rng, 2) == 0) {
            const bool passes = begin(&bench, &running[running_count].generation);
            if (passes != model_begin(&model, bench.now))
                fail_msg("seed %llu, step %u: the model does not agree on whether it passes", (unsigned long long)seed, step);
            running[running_count].model_generation = model.generation;
            running_count += passes;
        } else if (running_count > 0) {
            const unsigned which = rng_below(&rng, running_count);
            const enum circuit_outcome outcome = rng_below(&rng, 8) == 0   ? CIRCUIT_NONE
                                                 : rng_below(&rng, 2) == 0 ? CIRCUIT_FAILED
                                                                           : CIRCUIT_SUCCEEDED;
            const nanoseconds took = rng_below(&rng, 100) * NS_PER_MS;
            settle_slow(&bench, running[which].generation, outcome, took);
            model_settle(&model, running[which].model_generation, outcome, took, bench.now);
            running[which] = running[--running_count];
        }
        const struct circuit_view view = circuit_breaker_look(bench.breaker, bench.now);
        const bool is_due = model.state == CIRCUIT_OPEN && bench.now >= model.opened_at + bench.config.open_for;
        if (view.state != (is_due ? CIRCUIT_HALF_OPEN : model.state))
            fail_msg("seed %llu, step %u: %s", (unsigned long long)seed, step, circuit_state_name(view.state));
    }
    while (running_count > 0)
        settle(&bench, running[--running_count].generation, CIRCUIT_NONE);
    close_bench(&bench);
}

static void it_does_what_a_model_without_buckets_does(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        run_seed(seed);
}

// Each line comes in a second of its own: none is left out.
static nanoseconds next_second(void) {
    static nanoseconds now = START;
    return now += 2 * NS_PER_S;
}

static int be_quiet(void **state) {
    (void)state;
    log_redirect(keep_line);
    log_set_clock(next_second);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failures_in_a_row_open_it_and_a_success_begins_anew),
        cmocka_unit_test(it_is_open_for_as_long_as_it_says),
        cmocka_unit_test(one_probe_passes_at_a_time),
        cmocka_unit_test(all_probes_must_succeed_and_one_that_fails_is_enough),
        cmocka_unit_test(a_probe_without_an_outcome_is_given_back),
        cmocka_unit_test(outcomes_of_before_the_last_change_count_for_nothing),
        cmocka_unit_test(a_share_counts_from_so_many_requests_on),
        cmocka_unit_test(a_bucket_leaves_when_its_time_has_come),
        cmocka_unit_test(time_that_goes_back_is_the_time_that_was),
        cmocka_unit_test(slow_answers_open_it_and_are_failed_probes),
        cmocka_unit_test(jitter_makes_it_longer_and_never_shorter),
        cmocka_unit_test(other_numbers_keep_what_was_counted),
        cmocka_unit_test(an_attempt_keeps_it_until_it_is_settled),
        cmocka_unit_test(each_change_is_told),
        cmocka_unit_test(it_does_what_a_model_without_buckets_does),
    };
    return cmocka_run_group_tests(tests, be_quiet, NULL);
}
