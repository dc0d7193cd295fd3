// What the workers of a process share is one object per key while anybody holds it, whichever worker asks; and a way to tell the others that one starves.
#include "upstream/live_shared.h"

#include "base/limits.h"
#include "support/check_loop.h"
#include "upstream/upstream.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void one_object_per_key_while_it_is_held(void **state) {
    (void)state;
    struct live_shared *shared = live_shared_create();
    struct service_shared *service = live_shared_service(shared, BYTES("a"));
    assert_ptr_equal(live_shared_service(shared, BYTES("a")), service);
    assert_ptr_not_equal(live_shared_service(shared, BYTES("b")), service);
    struct retry_budget_rule rule = {.percent = 100, .interval = NS_PER_S};
    retry_budget_deposit(&service->budget, &rule, NS_PER_S);
    live_shared_service_release(shared, BYTES("a"));
    assert_true(retry_budget_withdraw(&service->budget, &rule, NS_PER_S));
    live_shared_service_release(shared, BYTES("a"));
    live_shared_service_release(shared, BYTES("b"));
    // Services and listeners of one name are different things.
    struct listener_shared *listener = live_shared_listener(shared, BYTES("a"));
    assert_int_equal(atomic_load(&listener->connections), 0);
    live_shared_listener_release(shared, BYTES("a"));
    live_shared_destroy(shared);
}

#define ROUNDS 20000

static void *come_and_go(void *argument) {
    struct live_shared *shared = argument;
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct bytes key = i % 2 == 0 ? BYTES("even") : BYTES("odd");
        struct service_shared *service = live_shared_service(shared, key);
        atomic_fetch_add_explicit(&service->connections, 1, memory_order_relaxed);
        (void)live_shared_listener(shared, key);
        atomic_fetch_sub_explicit(&service->connections, 1, memory_order_relaxed);
        live_shared_listener_release(shared, key);
        live_shared_service_release(shared, key);
    }
    return NULL;
}

static void workers_may_come_and_go_at_once(void **state) {
    (void)state;
    struct live_shared *shared = live_shared_create();
    struct service_shared *kept = live_shared_service(shared, BYTES("even"));
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, shared), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&kept->connections), 0);
    assert_int_equal(kept->life.references, 1);
    live_shared_service_release(shared, BYTES("even"));
    live_shared_destroy(shared); // aborts when anything is left
}

static void ignore(void *receiver, void *argument) {
    (void)receiver, (void)argument;
}

static void one_that_cannot_be_told_of_starving_is_counted(void **state) {
    (void)state;
    struct live_shared *shared = live_shared_create();
    struct check_loop loops[2];
    struct worker_metrics metrics[2] = {0};
    struct upstream workers[2];
    for (int i = 0; i < 2; i++) {
        check_loop_init(&loops[i]);
        upstream_init(&workers[i], &loops[i].loop, &metrics[i], shared, NULL);
    }
    live_shared_tell_starved(shared, &workers[0]);
    assert_int_equal(loops[0].loop.mailbox.count, 0); // itself it need not tell
    assert_int_equal(loops[1].loop.mailbox.count, 1);
    assert_int_equal(metric_read(&metrics[0].starvation_untold), 0);
    for (int i = 1; i < LIMIT_MAILBOX; i++)
        assert_int_equal(loop_send(&loops[1].loop, ignore, NULL), OK);
    live_shared_tell_starved(shared, &workers[0]);
    assert_int_equal(loops[1].loop.mailbox.count, LIMIT_MAILBOX);
    assert_int_equal(metric_read(&metrics[0].starvation_untold), 1); // its own cells: those of the other have another writer
    assert_int_equal(metric_read(&metrics[1].starvation_untold), 0);
    for (int i = 0; i < 2; i++) {
        upstream_close_all(&workers[i]);
        upstream_dispose(&workers[i]);
        check_loop_dispose(&loops[i]);
    }
    live_shared_destroy(shared);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_object_per_key_while_it_is_held),
        cmocka_unit_test(workers_may_come_and_go_at_once),
        cmocka_unit_test(one_that_cannot_be_told_of_starving_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
