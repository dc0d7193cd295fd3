// Which series a process may have: exact over workers, for ever so many names, and while all of them ask at once.
#include "telemetry/series_registry.h"

#include "base/hash.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void each_series_counts_once_for_all_workers(void **state) {
    (void)state;
    struct series_registry *registry = series_registry_create();
    struct series_life life = {0};
    series_registry_set(registry, 2, false, 1);
    assert_true(series_registry_enter(registry, SERIES_HTTP_SERVER, hash_mix(1), 100, &life));
    assert_true(series_registry_enter(registry, SERIES_HTTP_SERVER, hash_mix(1), 200, &life)); // another worker
    assert_int_equal(life.begun, 100);
    assert_true(series_registry_enter(registry, SERIES_HTTP_SERVER, hash_mix(2), 300, &life));
    assert_false(series_registry_enter(registry, SERIES_HTTP_SERVER, hash_mix(3), 300, &life));
    assert_true(series_registry_enter(registry, SERIES_RPC_CLIENT, hash_mix(3), 300, &life));  // each family has its own
    assert_true(series_registry_enter(registry, SERIES_HTTP_SERVER, hash_mix(2), 300, &life)); // full, but it is there
    series_registry_leave(registry, SERIES_HTTP_SERVER, hash_mix(1));
    assert_false(series_registry_enter(registry, SERIES_HTTP_SERVER, hash_mix(3), 300, &life)); // the other worker has it still
    series_registry_leave(registry, SERIES_HTTP_SERVER, hash_mix(1));
    assert_true(series_registry_enter(registry, SERIES_HTTP_SERVER, hash_mix(1), 400, &life));
    assert_int_equal(life.begun, 400); // anew
    assert_int_equal(series_registry_count(registry, SERIES_HTTP_SERVER), 2);
    series_registry_leave(registry, SERIES_HTTP_SERVER, hash_mix(1));
    series_registry_leave(registry, SERIES_HTTP_SERVER, hash_mix(2));
    series_registry_leave(registry, SERIES_HTTP_SERVER, hash_mix(2));
    series_registry_leave(registry, SERIES_RPC_CLIENT, hash_mix(3));
    series_registry_destroy(registry);
}

// Places are given back in any order; none is lost, and none is found that has gone.
// A number is of one life alone: a worker that comes late can tell whether its own is over.
static void lives_are_told_apart(void **state) {
    (void)state;
    struct series_registry *registry = series_registry_create();
    struct series_life first, second, third;
    const uint64_t changes = series_registry_changes(registry);
    assert_true(series_registry_enter(registry, SERIES_ENDS, hash_mix(1), 100, &first));
    assert_true(series_registry_enter(registry, SERIES_ENDS, hash_mix(1), 200, &second));
    assert_int_equal(first.number, second.number);
    assert_false(series_registry_leave(registry, SERIES_ENDS, hash_mix(1)));
    assert_true(series_registry_lives(registry, SERIES_ENDS, hash_mix(1), first.number));
    assert_int_equal(series_registry_changes(registry), changes);
    assert_true(series_registry_leave(registry, SERIES_ENDS, hash_mix(1)));
    assert_false(series_registry_lives(registry, SERIES_ENDS, hash_mix(1), first.number));
    assert_true(series_registry_changes(registry) != changes);
    assert_true(series_registry_enter(registry, SERIES_ENDS, hash_mix(1), 300, &third));
    assert_true(third.number > first.number);
    assert_int_equal(third.begun, 300);
    assert_false(series_registry_lives(registry, SERIES_ENDS, hash_mix(1), first.number));
    assert_true(series_registry_leave(registry, SERIES_ENDS, hash_mix(1)));
    series_registry_destroy(registry);
}

static void gatherings_are_over_in_their_order(void **state) {
    (void)state;
    struct series_registry *registry = series_registry_create();
    assert_true(series_registry_is_over(registry, series_registry_gatherings(registry))); // none has begun
    const uint64_t first = series_registry_gather(registry), second = series_registry_gather(registry);
    assert_true(second == first + 1 && series_registry_gatherings(registry) == second);
    series_registry_gathered(registry, first);
    assert_true(series_registry_is_over(registry, first));
    assert_false(series_registry_is_over(registry, second));
    series_registry_destroy(registry);
}

// What alarms go by has room for all that documents may name, however little is left to what peers make up.
static void ends_have_room_of_their_own(void **state) {
    (void)state;
    struct series_registry *registry = series_registry_create();
    struct series_life life;
    series_registry_set(registry, 1, false, 1);
    for (uint64_t i = 0; i < SERIES_MAX_MAX; i++)
        assert_true(series_registry_enter(registry, SERIES_ENDS, hash_mix(i), 1, &life));
    assert_false(series_registry_enter(registry, SERIES_ENDS, hash_mix(SERIES_MAX_MAX), 1, &life));
    for (uint64_t i = 0; i < SERIES_MAX_MAX; i++)
        assert_true(series_registry_leave(registry, SERIES_ENDS, hash_mix(i)));
    series_registry_destroy(registry);
}

static void many_come_and_go(void **state) {
    (void)state;
    struct series_registry *registry = series_registry_create();
    struct series_life life;
    uint32_t refused = 0;
    for (uint64_t i = 0; i < 5000; i++)
        refused += !series_registry_enter(registry, SERIES_OPAQUE, hash_mix(i), 1, &life);
    assert_int_equal(refused, 5000 - SERIES_MAX_DEFAULT);
    for (unsigned round = 0; round < 3; round++) {
        for (uint64_t i = round % 2; i < SERIES_MAX_DEFAULT; i += 2)
            series_registry_leave(registry, SERIES_OPAQUE, hash_mix(i));
        assert_int_equal(series_registry_count(registry, SERIES_OPAQUE), SERIES_MAX_DEFAULT / 2);
        for (uint64_t i = round % 2; i < SERIES_MAX_DEFAULT; i += 2)
            assert_true(series_registry_enter(registry, SERIES_OPAQUE, hash_mix(i), 2, &life));
        assert_false(series_registry_enter(registry, SERIES_OPAQUE, hash_mix(9999), 2, &life));
    }
    for (uint64_t i = 0; i < SERIES_MAX_DEFAULT; i++)
        series_registry_leave(registry, SERIES_OPAQUE, hash_mix(i));
    series_registry_destroy(registry);
}

static void *come_and_go(void *registry) {
    for (unsigned round = 0; round < 200; round++) {
        bool entered[64];
        struct series_life life;
        for (uint64_t i = 0; i < 64; i++)
            entered[i] = series_registry_enter(registry, SERIES_HTTP_CLIENT, hash_mix(i), 1, &life);
        for (uint64_t i = 0; i < 64; i++)
            if (entered[i])
                series_registry_leave(registry, SERIES_HTTP_CLIENT, hash_mix(i));
    }
    return NULL;
}

static void workers_come_and_go_at_once(void **state) {
    (void)state;
    struct series_registry *registry = series_registry_create();
    pthread_t workers[3];
    series_registry_set(registry, 40, false, 1);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&workers[i], NULL, come_and_go, registry), 0);
    for (unsigned i = 0; i < 3; i++)
        pthread_join(workers[i], NULL);
    assert_int_equal(series_registry_count(registry, SERIES_HTTP_CLIENT), 0);
    series_registry_destroy(registry);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_series_counts_once_for_all_workers),
        cmocka_unit_test(lives_are_told_apart),
        cmocka_unit_test(gatherings_are_over_in_their_order),
        cmocka_unit_test(ends_have_room_of_their_own),
        cmocka_unit_test(many_come_and_go),
        cmocka_unit_test(workers_come_and_go_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
