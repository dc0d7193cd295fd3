// A breaker as live state: whom documents find again, and that threads see one: however many come at once, one probe passes.
#include "upstream/breaker_state.h"

#include "support/quiet_log.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static const struct circuit_breaker_config usual = {.failure_threshold = 1,
                                                    .window = 10 * NS_PER_S,
                                                    .min_requests = 20,
                                                    .slow_call = {.percent = 50},
                                                    .open_for = NS_PER_MS,
                                                    .half_open_requests = 1};

static struct breaker_state *get(struct policy_state_set *set, const struct circuit_breaker_config *config) {
    return breaker_state_get(set, config, BYTES("TrafficPolicy/default/a"), BYTES("default/a:80"));
}

static void a_number_changes_and_the_state_stays(void **state) {
    (void)state;
    struct policy_state_set *set = policy_state_set_create();
    struct circuit_breaker_config changed = usual;
    struct breaker_state *first = get(set, &usual);
    changed.failure_threshold = 7;
    changed.open_for = NS_PER_S;
    changed.half_open_requests = 2;
    changed.min_requests = 1;
    struct breaker_state *same = get(set, &changed);
    assert_ptr_equal(first, same);
    policy_state_release(&first->state);
    policy_state_release(&same->state);
    policy_state_set_destroy(set);
}

static void another_way_to_count_is_another_state(void **state) {
    (void)state;
    struct policy_state_set *set = policy_state_set_create();
    struct circuit_breaker_config others[4] = {usual, usual, usual, usual};
    others[0].window = 20 * NS_PER_S;
    others[1].failure_percent = 50;
    others[2].slow_call.threshold = NS_PER_S;
    others[3].failure_threshold = 0;
    others[3].failure_percent = 50;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        struct breaker_state *first = get(set, &usual);
        struct breaker_state *other = get(set, &others[i]);
        assert_ptr_not_equal(first, other);
        policy_state_release(&first->state);
        policy_state_release(&other->state);
    }
    policy_state_set_destroy(set);
}

// ---- threads

#define THREADS 2
#define ROUNDS 20000

struct crowd {
    struct circuit_breaker *breaker;
    _Atomic unsigned under_way; // probes
    _Atomic unsigned most;
    _Atomic uint64_t clock;
};

static void *knock(void *argument) {
    struct crowd *crowd = argument;
    struct rng rng;
    rng_init(&rng, (uint64_t)(uintptr_t)&rng);
    for (unsigned i = 0; i < ROUNDS; i++) {
        const nanoseconds now = atomic_fetch_add(&crowd->clock, 100 * NS_PER_US);
        uint64_t generation;
        nanoseconds wait;
        if (!circuit_breaker_begin(crowd->breaker, now, &generation, &wait))
            continue;
        // It never closes: all that pass are probes but the very first.
        const unsigned together = generation == 1 ? 0 : atomic_fetch_add(&crowd->under_way, 1) + 1;
        if (together > atomic_load(&crowd->most))
            atomic_store(&crowd->most, together);
        sched_yield(); // the other may come in between
        if (generation != 1)
            atomic_fetch_sub(&crowd->under_way, 1);
        circuit_breaker_settle(crowd->breaker, generation, i % 3 == 0 ? CIRCUIT_NONE : CIRCUIT_FAILED, 0, now, &rng);
    }
    return NULL;
}

static void of_all_that_come_at_once_one_is_the_probe(void **state) {
    (void)state;
    struct policy_state_set *set = policy_state_set_create();
    struct breaker_state *shared = get(set, &usual);
    struct crowd crowd = {.breaker = shared->breaker, .clock = NS_PER_S};
    pthread_t threads[THREADS];
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, knock, &crowd), 0);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&crowd.most), 1);
    const struct circuit_view view = circuit_breaker_look(shared->breaker, atomic_load(&crowd.clock) + NS_PER_S);
    assert_false(view.refuses); // no probe was lost
    assert_int_equal(view.changes[CIRCUIT_CLOSED], 0);
    assert_true(view.changes[CIRCUIT_OPEN] > 100);
    policy_state_release(&shared->state);
    policy_state_set_destroy(set);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_number_changes_and_the_state_stays),
        cmocka_unit_test(another_way_to_count_is_another_state),
        cmocka_unit_test(of_all_that_come_at_once_one_is_the_probe),
    };
    return cmocka_run_group_tests(tests, be_quiet, NULL);
}
