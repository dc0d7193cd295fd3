// The timer wheel: never early, at most one tick late, whatever the distance; callbacks that start and stop; and against a plain list
// of deadlines under random operations.
#include "base/timer_wheel.h"

#include "base/rng.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define MS NS_PER_MS
#define HOUR (3600 * NS_PER_S)

// Somewhere inside a tick and inside a turn of every level.
#define BEGIN (UINT64_C(123456789) * MS + 250000)

struct probe {
    struct timer timer;
    unsigned fired;
    unsigned order; // of firing, over all probes
};

static unsigned fired_total;

static void on_fire(struct timer *timer) {
    struct probe *probe = CONTAINER_OF(timer, struct probe, timer);
    assert_false(timer_is_running(timer));
    probe->fired++;
    probe->order = ++fired_total;
}

static void probe_init(struct probe *probe) {
    memset(probe, 0, sizeof(*probe));
    timer_init(&probe->timer, on_fire);
}

static void fires_at_the_first_tick_at_or_after_its_deadline(void **state) {
    (void)state;
    struct timer_wheel wheel;
    timer_wheel_init(&wheel, 0);
    struct probe probe;
    probe_init(&probe);
    assert_false(timer_is_running(&probe.timer));
    timer_start(&wheel, &probe.timer, 5 * MS + 1);
    assert_true(timer_is_running(&probe.timer));
    assert_true(timer_wheel_next(&wheel) == 6 * MS);
    timer_wheel_advance(&wheel, 6 * MS - 1);
    assert_int_equal(probe.fired, 0);
    timer_wheel_advance(&wheel, 6 * MS);
    assert_int_equal(probe.fired, 1);
    timer_start(&wheel, &probe.timer, 9 * MS); // exactly on a tick
    assert_true(timer_wheel_next(&wheel) == 9 * MS);
    timer_wheel_advance(&wheel, 9 * MS - 1);
    assert_int_equal(probe.fired, 1);
    timer_wheel_advance(&wheel, 9 * MS);
    assert_int_equal(probe.fired, 2);
    timer_wheel_advance(&wheel, HOUR);
    assert_int_equal(probe.fired, 2);
}

static void a_deadline_that_has_passed_fires_at_the_next_advance(void **state) {
    (void)state;
    struct timer_wheel wheel;
    timer_wheel_init(&wheel, BEGIN);
    struct probe probes[3];
    for (int i = 0; i < 3; i++)
        probe_init(&probes[i]);
    timer_start(&wheel, &probes[0].timer, 0);
    timer_start(&wheel, &probes[1].timer, BEGIN - HOUR);
    timer_start(&wheel, &probes[2].timer, BEGIN - 250000);
    assert_true(timer_wheel_next(&wheel) <= BEGIN);
    timer_wheel_advance(&wheel, BEGIN); // the same tick
    for (int i = 0; i < 3; i++)
        assert_int_equal(probes[i].fired, 1);
    assert_true(timer_wheel_next(&wheel) == UINT64_MAX);
}

static void a_stopped_timer_does_not_fire(void **state) {
    (void)state;
    struct timer_wheel wheel;
    timer_wheel_init(&wheel, BEGIN);
    struct probe probe;
    probe_init(&probe);
    timer_stop(&wheel, &probe.timer);
    static const nanoseconds distances[] = {0, MS, 100 * MS, 5 * NS_PER_S, HOUR, 24 * HOUR};
    for (size_t i = 0; i < sizeof(distances) / sizeof(distances[0]); i++) {
        timer_start(&wheel, &probe.timer, BEGIN + distances[i]);
        assert_int_equal(wheel.count, 1);
        timer_stop(&wheel, &probe.timer);
        timer_stop(&wheel, &probe.timer);
        assert_int_equal(wheel.count, 0);
        assert_false(timer_is_running(&probe.timer));
        assert_true(timer_wheel_next(&wheel) == UINT64_MAX); // no needless wake-up is left behind
    }
    timer_wheel_advance(&wheel, BEGIN + 100 * HOUR);
    assert_int_equal(probe.fired, 0);
}

static void a_restarted_timer_keeps_only_its_last_deadline(void **state) {
    (void)state;
    struct timer_wheel wheel;
    timer_wheel_init(&wheel, 0);
    struct probe probe;
    probe_init(&probe);
    timer_start(&wheel, &probe.timer, 10 * MS);
    timer_start(&wheel, &probe.timer, 70 * MS);
    assert_int_equal(wheel.count, 1);
    timer_wheel_advance(&wheel, 69 * MS);
    assert_int_equal(probe.fired, 0);
    timer_start(&wheel, &probe.timer, 69 * MS); // due now
    timer_start(&wheel, &probe.timer, 200 * MS);
    timer_wheel_advance(&wheel, 199 * MS);
    assert_int_equal(probe.fired, 0);
    timer_start(&wheel, &probe.timer, 199 * MS + 1);
    timer_wheel_advance(&wheel, 200 * MS);
    assert_int_equal(probe.fired, 1);
    assert_int_equal(wheel.count, 0);
}

// Sleeps as the loop does, by timer_wheel_next alone; returns how often it woke before the timer fired.
static unsigned sleep_until_fired(struct timer_wheel *wheel, struct probe *probe, nanoseconds deadline) {
    unsigned wakes = 0;
    nanoseconds now = 0;
    while (probe->fired == 0) {
        now = timer_wheel_next(wheel);
        assert_true(now != UINT64_MAX);
        timer_wheel_advance(wheel, now);
        wakes++;
    }
    assert_true(now >= deadline);
    assert_true(now < deadline + MS);
    return wakes;
}

static void all_distances_are_exact_to_the_tick_with_few_wakes(void **state) {
    (void)state;
    static const nanoseconds distances[] = {
        1,
        MS,
        63 * MS,
        64 * MS,
        65 * MS,
        4095 * MS,
        4096 * MS,
        4097 * MS,
        262143 * MS,
        262144 * MS,
        262145 * MS,
        75 * NS_PER_S,
        3600 * NS_PER_S,
        4 * HOUR,
        5 * HOUR,
        16777215 * MS,
        16777216 * MS,
        16777217 * MS,
        24 * HOUR,
        30 * 24 * HOUR,
        365 * 24 * HOUR,
    };
    static const nanoseconds begins[] = {0, MS, BEGIN, 16777215 * MS, 16777216 * MS, 262143 * MS + 1, 4095 * MS};
    for (size_t i = 0; i < sizeof(begins) / sizeof(begins[0]); i++) {
        for (size_t j = 0; j < sizeof(distances) / sizeof(distances[0]); j++) {
            struct timer_wheel wheel;
            timer_wheel_init(&wheel, begins[i]);
            struct probe probe;
            probe_init(&probe);
            nanoseconds deadline = begins[i] + distances[j];
            timer_start(&wheel, &probe.timer, deadline);
            unsigned wakes = sleep_until_fired(&wheel, &probe, deadline);
            // One for each level, and for each turn of the last one that it waits.
            assert_true(wakes <= TIMER_LEVELS + 1 + distances[j] / (16777216 * MS));
        }
    }
}

static void one_advance_over_hours_fires_all_in_the_order_of_their_ticks(void **state) {
    (void)state;
    struct timer_wheel wheel;
    timer_wheel_init(&wheel, BEGIN);
    struct probe probes[300];
    struct rng rng;
    rng_init(&rng, 5);
    nanoseconds deadlines[300];
    fired_total = 0;
    for (int i = 0; i < 300; i++) {
        probe_init(&probes[i]);
        deadlines[i] = BEGIN + (rng_next(&rng) % (10 * HOUR) >> (rng_next(&rng) % 20));
        timer_start(&wheel, &probes[i].timer, deadlines[i]);
    }
    timer_wheel_advance(&wheel, BEGIN + 11 * HOUR);
    assert_int_equal(fired_total, 300);
    for (int i = 0; i < 300; i++)
        for (int j = 0; j < 300; j++)
            if (deadlines[i] / MS + 1 < deadlines[j] / MS)
                assert_true(probes[i].order < probes[j].order);
}

// Callbacks that change timers.
struct actor {
    struct timer timer;
    struct timer_wheel *wheel;
    struct timer *other;
    nanoseconds again;
    unsigned fired;
    bool stop_other;
};

static void act(struct timer *timer) {
    struct actor *actor = CONTAINER_OF(timer, struct actor, timer);
    actor->fired++;
    if (actor->other != NULL && actor->stop_other)
        timer_stop(actor->wheel, actor->other);
    else if (actor->other != NULL)
        timer_start(actor->wheel, actor->other, actor->again);
}

static void actor_init(struct actor *actor, struct timer_wheel *wheel) {
    memset(actor, 0, sizeof(*actor));
    timer_init(&actor->timer, act);
    actor->wheel = wheel;
}

static void a_callback_stops_another_of_the_same_tick(void **state) {
    (void)state;
    struct timer_wheel wheel;
    timer_wheel_init(&wheel, 0);
    struct actor actors[2];
    for (int i = 0; i < 2; i++) {
        actor_init(&actors[i], &wheel);
        actors[i].other = &actors[1 - i].timer;
        actors[i].stop_other = true;
        timer_start(&wheel, &actors[i].timer, 10 * MS);
    }
    timer_wheel_advance(&wheel, 20 * MS);
    assert_int_equal(actors[0].fired + actors[1].fired, 1); // whichever came first
    assert_int_equal(wheel.count, 0);
    assert_true(timer_wheel_next(&wheel) == UINT64_MAX);
}

static void a_callback_moves_another_of_the_same_tick_away(void **state) {
    (void)state;
    struct timer_wheel wheel;
    timer_wheel_init(&wheel, 0);
    struct actor first;
    struct actor second;
    actor_init(&first, &wheel);
    actor_init(&second, &wheel);
    first.other = &second.timer;
    first.again = 50 * MS;
    timer_start(&wheel, &first.timer, 10 * MS);
    timer_start(&wheel, &second.timer, 10 * MS);
    timer_wheel_advance(&wheel, 49 * MS);
    assert_int_equal(first.fired, 1);
    assert_int_equal(second.fired, 0);
    timer_wheel_advance(&wheel, 50 * MS);
    assert_int_equal(second.fired, 1);
}

static void a_callback_restarts_its_own_timer(void **state) {
    (void)state;
    struct timer_wheel wheel;
    timer_wheel_init(&wheel, 0);
    struct actor actor;
    actor_init(&actor, &wheel);
    actor.other = &actor.timer;
    actor.again = 30 * MS;
    timer_start(&wheel, &actor.timer, 10 * MS);
    timer_wheel_advance(&wheel, 10 * MS);
    assert_true(timer_is_running(&actor.timer));
    assert_true(timer_wheel_next(&wheel) == 30 * MS);
    timer_wheel_advance(&wheel, 29 * MS);
    assert_int_equal(actor.fired, 1);
    // Now it is restarted with a deadline that has passed: once for each advance, without end but not in one.
    timer_wheel_advance(&wheel, 1000 * MS);
    assert_int_equal(actor.fired, 2);
    assert_true(timer_wheel_next(&wheel) <= 1000 * MS);
    timer_wheel_advance(&wheel, 1000 * MS);
    assert_int_equal(actor.fired, 3);
    timer_wheel_advance(&wheel, 1000 * MS);
    assert_int_equal(actor.fired, 4);
    timer_stop(&wheel, &actor.timer);
    assert_true(timer_wheel_next(&wheel) == UINT64_MAX);
}

static void a_callback_starts_one_that_is_due_within_the_same_advance(void **state) {
    (void)state;
    struct timer_wheel wheel;
    timer_wheel_init(&wheel, 0);
    struct actor first;
    struct actor second;
    actor_init(&first, &wheel);
    actor_init(&second, &wheel);
    first.other = &second.timer;
    first.again = 500 * MS;
    timer_start(&wheel, &first.timer, 10 * MS);
    timer_wheel_advance(&wheel, 400 * MS);
    assert_int_equal(second.fired, 0);
    timer_start(&wheel, &first.timer, 450 * MS);
    timer_wheel_advance(&wheel, 600 * MS);
    assert_int_equal(first.fired, 2);
    assert_int_equal(second.fired, 1);
}

// Against a plain list of deadlines.
#define MODEL_TIMERS 60

struct model {
    struct timer_wheel wheel;
    struct rng rng;
    nanoseconds now; // the time that is being advanced to
    struct entry {
        struct timer timer;
        struct model *model;
        bool running;
        nanoseconds deadline;
        bool started_in_advance; // then it may wait for the next
    } entries[MODEL_TIMERS];
    bool advancing;
    unsigned fired;
};

static nanoseconds random_distance(struct rng *rng) {
    return rng_next(rng) % (400 * HOUR) >> (rng_next(rng) % 48);
}

static void model_change(struct model *model) {
    struct entry *entry = &model->entries[rng_below(&model->rng, MODEL_TIMERS)];
    if (rng_below(&model->rng, 3) == 0) {
        timer_stop(&model->wheel, &entry->timer);
        entry->running = false;
        return;
    }
    nanoseconds distance = random_distance(&model->rng);
    bool past = rng_below(&model->rng, 8) == 0;
    entry->deadline = past ? model->now - (distance < model->now ? distance : model->now) : model->now + distance;
    entry->running = true;
    entry->started_in_advance = model->advancing;
    timer_start(&model->wheel, &entry->timer, entry->deadline);
}

static void model_fire(struct timer *timer) {
    struct entry *entry = CONTAINER_OF(timer, struct entry, timer);
    struct model *model = entry->model;
    assert_true(model->advancing);
    assert_true(entry->running);
    assert_true(entry->deadline <= model->now); // never early
    assert_false(timer_is_running(timer));
    entry->running = false;
    model->fired++;
    for (unsigned changes = rng_below(&model->rng, 3); changes > 0; changes--)
        model_change(model);
}

static nanoseconds model_earliest(const struct model *model) {
    nanoseconds earliest = UINT64_MAX;
    for (int i = 0; i < MODEL_TIMERS; i++)
        if (model->entries[i].running && model->entries[i].deadline < earliest)
            earliest = model->entries[i].deadline;
    return earliest;
}

static void model_check(struct model *model) {
    uint32_t running = 0;
    for (int i = 0; i < MODEL_TIMERS; i++) {
        const struct entry *entry = &model->entries[i];
        assert_int_equal(timer_is_running(&entry->timer), entry->running);
        running += entry->running;
        // Not late: what is left is ahead, or was started by a callback with a deadline that had passed.
        if (entry->running && !entry->started_in_advance)
            assert_true((entry->deadline + MS - 1) / MS > model->now / MS);
    }
    assert_int_equal(model->wheel.count, running);
    nanoseconds next = timer_wheel_next(&model->wheel);
    if (running == 0) {
        assert_true(next == UINT64_MAX);
        return;
    }
    nanoseconds earliest = model_earliest(model);
    nanoseconds tick = (earliest + MS - 1) / MS * MS;
    assert_true(next <= (tick > model->now ? tick : model->now));
}

static void model_advance(struct model *model, nanoseconds now) {
    model->now = now;
    for (int i = 0; i < MODEL_TIMERS; i++)
        model->entries[i].started_in_advance = false;
    model->advancing = true;
    timer_wheel_advance(&model->wheel, now);
    model->advancing = false;
    model_check(model);
}

static void behaves_like_a_plain_list_under_random_operations(void **state) {
    (void)state;
    unsigned fired = 0;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        static struct model model;
        memset(&model, 0, sizeof(model));
        rng_init(&model.rng, seed);
        model.now = rng_next(&model.rng) >> (1 + rng_next(&model.rng) % 60);
        timer_wheel_init(&model.wheel, model.now);
        for (int i = 0; i < MODEL_TIMERS; i++) {
            timer_init(&model.entries[i].timer, model_fire);
            model.entries[i].model = &model;
        }
        for (int i = 0; i < 200; i++) {
            for (unsigned changes = rng_below(&model.rng, 4); changes > 0; changes--)
                model_change(&model);
            nanoseconds next = timer_wheel_next(&model.wheel);
            nanoseconds now = model.now + (random_distance(&model.rng) >> (rng_next(&model.rng) % 16));
            if (rng_below(&model.rng, 2) == 0 && next != UINT64_MAX)
                now = next > model.now ? next : model.now;
            model_advance(&model, now);
        }
        fired += model.fired;
    }
    assert_true(fired > 10000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fires_at_the_first_tick_at_or_after_its_deadline),
        cmocka_unit_test(a_deadline_that_has_passed_fires_at_the_next_advance),
        cmocka_unit_test(a_stopped_timer_does_not_fire),
        cmocka_unit_test(a_restarted_timer_keeps_only_its_last_deadline),
        cmocka_unit_test(all_distances_are_exact_to_the_tick_with_few_wakes),
        cmocka_unit_test(one_advance_over_hours_fires_all_in_the_order_of_their_ticks),
        cmocka_unit_test(a_callback_stops_another_of_the_same_tick),
        cmocka_unit_test(a_callback_moves_another_of_the_same_tick_away),
        cmocka_unit_test(a_callback_restarts_its_own_timer),
        cmocka_unit_test(a_callback_starts_one_that_is_due_within_the_same_advance),
        cmocka_unit_test(behaves_like_a_plain_list_under_random_operations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
