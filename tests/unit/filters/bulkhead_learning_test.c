// A pool that learns how many may run, in front of a service on a clock of its own: what single answers take must not say it, what they take on average must.
#include "filters/bulkhead_pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define MS NS_PER_MS
#define MOST 200

struct service {
    struct bulkhead_pool *pool;
    nanoseconds now;
    uint32_t capacity; // so many at once take 10 ms each, more take longer in proportion
    bool is_mixed;     // one in ten takes 1 ms, the others 100
};

static void nobody_to_tell(struct bulkhead_ticket *ticket, bool is_here) {
    (void)ticket;
    (void)is_here;
}

static uint32_t limit_of(const struct service *service) {
    struct policy_queue queue;
    bulkhead_read(service->pool, &queue);
    return queue.limit;
}

static void service_init(struct service *service) {
    *service = (struct service){.pool = bulkhead_pool_create(), .now = 1000 * NS_PER_S, .capacity = MOST};
    bulkhead_pool_configure(service->pool, &(struct bulkhead_plan){.adapts = true, .min = 4, .max = MOST});
}

static nanoseconds time_of(const struct service *service, uint32_t number, uint32_t in_flight) {
    if (service->is_mixed)
        return number % 10 == 0 ? MS : 100 * MS;
    return in_flight <= service->capacity ? 10 * MS : 10 * MS * in_flight / service->capacity;
}

// So many seconds, in each of which as many run at once as may, and `rounds` times.
static uint32_t run(struct service *service, unsigned seconds, unsigned rounds) {
    static struct bulkhead_ticket tickets[MOST];
    for (unsigned i = 0; i < seconds * rounds; i++) {
        const struct bulkhead_ask ask = {.now = service->now, .deadline = UINT64_MAX};
        const uint32_t count = limit_of(service);
        for (uint32_t j = 0; j < count; j++) {
            memset(&tickets[j], 0, sizeof tickets[j]);
            tickets[j].tell = nobody_to_tell;
            assert_int_equal(bulkhead_take(service->pool, &tickets[j], &ask), BULKHEAD_RUNS);
        }
        service->now += NS_PER_S / rounds;
        for (uint32_t j = 0; j < count; j++)
            bulkhead_learn(&tickets[j], time_of(service, j, count), service->now);
        for (uint32_t j = 0; j < count; j++)
            bulkhead_leave(&tickets[j], service->now);
    }
    return limit_of(service);
}

static void requests_that_differ_are_no_sign_of_a_queue(void **state) {
    (void)state;
    struct service service;
    service_init(&service);
    service.is_mixed = true;
    assert_int_equal(limit_of(&service), 20);
    assert_true(run(&service, 120, 3) > 80);
    bulkhead_pool_close(service.pool);
}

static void a_service_that_slows_down_gets_less(void **state) {
    (void)state;
    struct service service;
    service_init(&service);
    service.capacity = 40;
    assert_in_range(run(&service, 120, 3), 40, 100);
    service.capacity = 5;
    assert_in_range(run(&service, 20, 3), 4, 25);
    service.capacity = 40;
    assert_true(run(&service, 120, 3) >= 40);
    bulkhead_pool_close(service.pool);
}

// A slow answer in a quiet hour, or a burst of less than a second, moves nothing.
static void few_answers_say_nothing(void **state) {
    (void)state;
    struct service service;
    struct bulkhead_ticket ticket = {.tell = nobody_to_tell};
    service_init(&service);
    const struct bulkhead_ask ask = {.now = service.now, .deadline = UINT64_MAX};
    assert_int_equal(bulkhead_take(service.pool, &ticket, &ask), BULKHEAD_RUNS);
    ticket.in_flight = 20; // as many as it takes
    for (unsigned i = 0; i < 9; i++)
        bulkhead_learn(&ticket, 10 * MS, service.now + i * NS_PER_S);
    assert_int_equal(limit_of(&service), 20);
    for (unsigned i = 0; i < 2; i++)
        bulkhead_learn(&ticket, 10 * MS, service.now + 10 * NS_PER_S);
    for (unsigned i = 0; i < 100; i++)
        bulkhead_learn(&ticket, 10 * MS, service.now + 10 * NS_PER_S + i * MS);
    bulkhead_pool_configure(service.pool, &(struct bulkhead_plan){.adapts = true, .min = 4, .max = MOST});
    assert_int_equal(limit_of(&service), 20); // one average: 20.8
    bulkhead_learn(&ticket, 10 * MS, service.now + 12 * NS_PER_S);
    assert_int_equal(limit_of(&service), 21);
    bulkhead_leave(&ticket, service.now);
    bulkhead_pool_close(service.pool);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_that_differ_are_no_sign_of_a_queue),
        cmocka_unit_test(a_service_that_slows_down_gets_less),
        cmocka_unit_test(few_answers_say_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
