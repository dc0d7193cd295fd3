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
    nanoseconds begun = 0;
    series_registry_set(registry, 2, false, 1);
    assert_true(series_registry_enter(registry, SERIES_HTTP_SERVER, hash_mix(1), 100, &begun));
    assert_true(series_registry_enter(registry, SERIES_HTTP_SERVER, hash_mix(1), 200, &begun)); // another worker
    assert_int_equal(begun, 100);
    assert_true(series_registry_enter(registry, SERIES_HTTP_SERVER, hash_mix(2), 300, &begun));
    assert_false(series_registry_enter(registry, SERIES_HTTP_SERVER, hash_mix(3), 300, &begun));
    assert_true(series_registry_enter(registry, SERIES_RPC_CLIENT, hash_mix(3), 300, &begun));  // each family has its own
    assert_true(series_registry_enter(registry, SERIES_HTTP_SERVER, hash_mix(2), 300, &begun)); // full, but it is there
    series_registry_leave(registry, SERIES_HTTP_SERVER, hash_mix(1));
    assert_false(series_registry_enter(registry, SERIES_HTTP_SERVER, hash_mix(3), 300, &begun)); // the other worker has it still
    series_registry_leave(registry, SERIES_HTTP_SERVER, hash_mix(1));
    assert_true(series_registry_enter(registry, SERIES_HTTP_SERVER, hash_mix(1), 400, &begun));
    assert_int_equal(begun, 400); // anew
    assert_int_equal(series_registry_count(registry, SERIES_HTTP_SERVER), 2);
    series_registry_leave(registry, SERIES_HTTP_SERVER, hash_mix(1));
    series_registry_leave(registry, SERIES_HTTP_SERVER, hash_mix(2));
    series_registry_leave(registry, SERIES_HTTP_SERVER, hash_mix(2));
    series_registry_leave(registry, SERIES_RPC_CLIENT, hash_mix(3));
    series_registry_destroy(registry);
}

// Places are given back in any order; none is lost, and none is found that has gone.
static void many_come_and_go(void **state) {
    (void)state;
    struct series_registry *registry = series_registry_create();
    nanoseconds begun;
    uint32_t refused = 0;
    for (uint64_t i = 0; i < 5000; i++)
        refused += !series_registry_enter(registry, SERIES_OPAQUE, hash_mix(i), 1, &begun);
    assert_int_equal(refused, 5000 - SERIES_MAX_DEFAULT);
    for (unsigned round = 0; round < 3; round++) {
        for (uint64_t i = round % 2; i < SERIES_MAX_DEFAULT; i += 2)
            series_registry_leave(registry, SERIES_OPAQUE, hash_mix(i));
        assert_int_equal(series_registry_count(registry, SERIES_OPAQUE), SERIES_MAX_DEFAULT / 2);
        for (uint64_t i = round % 2; i < SERIES_MAX_DEFAULT; i += 2)
            assert_true(series_registry_enter(registry, SERIES_OPAQUE, hash_mix(i), 2, &begun));
        assert_false(series_registry_enter(registry, SERIES_OPAQUE, hash_mix(9999), 2, &begun));
    }
    for (uint64_t i = 0; i < SERIES_MAX_DEFAULT; i++)
        series_registry_leave(registry, SERIES_OPAQUE, hash_mix(i));
    series_registry_destroy(registry);
}

static void *come_and_go(void *registry) {
    for (unsigned round = 0; round < 200; round++) {
        bool entered[64];
        nanoseconds begun;
        for (uint64_t i = 0; i < 64; i++)
            entered[i] = series_registry_enter(registry, SERIES_HTTP_CLIENT, hash_mix(i), 1, &begun);
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
        cmocka_unit_test(many_come_and_go),
        cmocka_unit_test(workers_come_and_go_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
