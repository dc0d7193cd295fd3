// The connections of a listener over all workers: places are given exactly, and the most that were taken at once is remembered.
#include "upstream/live_shared.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static void an_object_lives_while_somebody_has_it(void **state) {
    (void)state;
    struct live_shared *shared = live_shared_create();
    struct listener_shared *listener = live_shared_listener(shared, BYTES("inbound"));
    assert_ptr_equal(live_shared_listener(shared, BYTES("inbound")), listener);
    assert_ptr_not_equal(live_shared_listener(shared, BYTES("outbound")), listener);
    assert_true(listener_shared_take(listener, 1));
    live_shared_listener_release(shared, BYTES("inbound"));
    assert_int_equal(listener->connections, 1);
    live_shared_listener_release(shared, BYTES("inbound"));
    listener = live_shared_listener(shared, BYTES("inbound"));
    assert_int_equal(listener->connections, 0); // a new one
    live_shared_listener_release(shared, BYTES("inbound"));
    live_shared_listener_release(shared, BYTES("outbound"));
    live_shared_destroy(shared);
}

static void a_place_is_given_while_there_is_one(void **state) {
    (void)state;
    struct listener_shared listener = {0};
    assert_true(listener_shared_take(&listener, 2));
    assert_true(listener_shared_take(&listener, 2));
    assert_false(listener_shared_take(&listener, 2));
    assert_int_equal(listener.connections, 2);
    assert_int_equal(listener.refused, 1);
    listener_shared_give_back(&listener);
    assert_true(listener_shared_take(&listener, 2));
    // A lower bound than what is open lets nobody in and throws nobody out.
    assert_false(listener_shared_take(&listener, 1));
    assert_int_equal(listener.connections, 2);
}

static void the_high_water_mark_stays(void **state) {
    (void)state;
    struct listener_shared listener = {0};
    for (int i = 0; i < 5; i++)
        assert_true(listener_shared_take(&listener, 10));
    for (int i = 0; i < 5; i++)
        listener_shared_give_back(&listener);
    assert_true(listener_shared_take(&listener, 10));
    assert_int_equal(listener.connections_peak, 5);
}

#define ROUNDS 20000
#define PLACES 3

static void *take_and_give(void *argument) {
    struct listener_shared *listener = argument;
    for (int i = 0; i < ROUNDS; i++)
        if (listener_shared_take(listener, PLACES))
            listener_shared_give_back(listener);
    return NULL;
}

static void workers_together_never_get_more_places_than_there_are(void **state) {
    (void)state;
    struct listener_shared listener = {0};
    pthread_t threads[4];
    for (size_t i = 0; i < sizeof threads / sizeof threads[0]; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, take_and_give, &listener), 0);
    for (size_t i = 0; i < sizeof threads / sizeof threads[0]; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(listener.connections, 0);
    assert_true(listener.connections_peak >= 1 && listener.connections_peak <= PLACES);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_object_lives_while_somebody_has_it),
        cmocka_unit_test(a_place_is_given_while_there_is_one),
        cmocka_unit_test(the_high_water_mark_stays),
        cmocka_unit_test(workers_together_never_get_more_places_than_there_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
