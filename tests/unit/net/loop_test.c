// One turn of the loop: what runs in it, in which order, how much of it; that timers count from now after a long sleep; and messages from other threads.
#include "net/loop.h"

#include "base/limits.h"
#include "support/check_loop.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

// A task that notes its letter, and does what the test wants.
struct noted {
    struct task task;
    struct timer timer;
    struct loop *loop;
    char *notes;
    char letter;
    struct noted *wakes;
    struct noted *flushes;
    struct noted *flushes_soon;
    struct noted *defers;
    struct noted *cancels;
    unsigned runs;
};

static void note(struct noted *noted) {
    size_t length = strlen(noted->notes);
    noted->runs++;
    noted->notes[length] = noted->letter;
    noted->notes[length + 1] = '\0';
    if (noted->wakes != NULL)
        loop_wake(noted->loop, &noted->wakes->task);
    if (noted->flushes != NULL)
        loop_flush(noted->loop, &noted->flushes->task);
    if (noted->flushes_soon != NULL)
        loop_flush_soon(noted->loop, &noted->flushes_soon->task);
    if (noted->defers != NULL)
        loop_defer(noted->loop, &noted->defers->task);
    if (noted->cancels != NULL)
        task_cancel(&noted->cancels->task);
}

static void run_noted(struct task *task) {
    note(CONTAINER_OF(task, struct noted, task));
}

static void fire_noted(struct timer *timer) {
    note(CONTAINER_OF(timer, struct noted, timer));
}

static struct noted noted_of(struct loop *loop, char letter, char *notes) {
    return (struct noted){.loop = loop, .letter = letter, .notes = notes};
}

static void noted_begin(struct noted *noted) {
    task_init(&noted->task, run_noted);
    timer_init(&noted->timer, fire_noted);
}

static void a_turn_runs_timers_then_woken_then_flush_then_closing(void **state) {
    (void)state;
    struct check_loop check;
    char notes[16] = "";
    check_loop_init(&check);
    struct noted closing = noted_of(&check.loop, 'c', notes);
    struct noted flush = noted_of(&check.loop, 'f', notes);
    struct noted woken = noted_of(&check.loop, 'w', notes);
    struct noted timer = noted_of(&check.loop, 't', notes);
    struct noted *all[] = {&closing, &flush, &woken, &timer};
    for (size_t i = 0; i < 4; i++)
        noted_begin(all[i]);
    loop_defer(&check.loop, &closing.task);
    loop_flush(&check.loop, &flush.task);
    loop_wake(&check.loop, &woken.task);
    loop_timer_start(&check.loop, &timer.timer, 0);
    check_loop_turn(&check);
    assert_string_equal(notes, "twfc");
    check_loop_dispose(&check);
}

static void what_a_task_flushes_soon_leaves_before_the_next_task(void **state) {
    (void)state;
    struct check_loop check;
    char notes[16] = "";
    check_loop_init(&check);
    struct noted soon = noted_of(&check.loop, 's', notes);
    struct noted first = noted_of(&check.loop, '1', notes);
    struct noted second = noted_of(&check.loop, '2', notes);
    struct noted flush = noted_of(&check.loop, 'f', notes);
    struct noted *all[] = {&soon, &first, &second, &flush};
    for (size_t i = 0; i < 4; i++)
        noted_begin(all[i]);
    first.flushes_soon = &soon;
    loop_flush(&check.loop, &flush.task);
    loop_wake(&check.loop, &first.task);
    loop_wake(&check.loop, &second.task);
    check_loop_turn(&check);
    assert_string_equal(notes, "1s2f");
    // Also where no task runs.
    loop_flush_soon(&check.loop, &soon.task);
    check_loop_turn(&check);
    assert_string_equal(notes, "1s2fs");
    check_loop_dispose(&check);
}

static void what_a_timer_wakes_runs_in_the_same_turn(void **state) {
    (void)state;
    struct check_loop check;
    char notes[16] = "";
    check_loop_init(&check);
    struct noted closing = noted_of(&check.loop, 'c', notes);
    struct noted flush = noted_of(&check.loop, 'f', notes);
    struct noted woken = noted_of(&check.loop, 'w', notes);
    struct noted timer = noted_of(&check.loop, 't', notes);
    struct noted *all[] = {&closing, &flush, &woken, &timer};
    for (size_t i = 0; i < 4; i++)
        noted_begin(all[i]);
    timer.wakes = &woken;
    woken.flushes = &flush;
    flush.defers = &closing;
    loop_timer_start(&check.loop, &timer.timer, 0);
    check_loop_turn(&check);
    assert_string_equal(notes, "twfc");
    check_loop_dispose(&check);
}

static void what_a_later_phase_wakes_runs_in_the_next_turn(void **state) {
    (void)state;
    struct check_loop check;
    char notes[16] = "";
    check_loop_init(&check);
    struct noted woken = noted_of(&check.loop, 'w', notes);
    struct noted flush = noted_of(&check.loop, 'f', notes);
    noted_begin(&woken);
    noted_begin(&flush);
    flush.wakes = &woken;
    loop_flush(&check.loop, &flush.task);
    check_loop_turn(&check);
    assert_string_equal(notes, "f");
    check_loop_turn(&check);
    assert_string_equal(notes, "fw");
    check_loop_dispose(&check);
}

static void a_task_that_wakes_itself_waits_for_the_next_turn(void **state) {
    (void)state;
    struct check_loop check;
    char notes[16] = "";
    check_loop_init(&check);
    struct noted woken = noted_of(&check.loop, 'w', notes);
    noted_begin(&woken);
    woken.wakes = &woken;
    loop_wake(&check.loop, &woken.task);
    check_loop_turn(&check);
    assert_string_equal(notes, "w");
    check_loop_turn(&check);
    assert_string_equal(notes, "ww");
    task_cancel(&woken.task);
    check_loop_dispose(&check);
}

static void a_task_woken_twice_runs_once(void **state) {
    (void)state;
    struct check_loop check;
    char notes[16] = "";
    check_loop_init(&check);
    struct noted woken = noted_of(&check.loop, 'w', notes);
    noted_begin(&woken);
    loop_wake(&check.loop, &woken.task);
    loop_wake(&check.loop, &woken.task);
    check_loop_settle(&check);
    assert_string_equal(notes, "w");
    check_loop_dispose(&check);
}

static void a_task_cancelled_by_one_before_it_does_not_run(void **state) {
    (void)state;
    struct check_loop check;
    char notes[16] = "";
    check_loop_init(&check);
    struct noted first = noted_of(&check.loop, '1', notes);
    struct noted second = noted_of(&check.loop, '2', notes);
    noted_begin(&first);
    noted_begin(&second);
    first.cancels = &second;
    loop_wake(&check.loop, &first.task);
    loop_wake(&check.loop, &second.task);
    check_loop_settle(&check);
    assert_string_equal(notes, "1");
    check_loop_dispose(&check);
}

static void at_most_64_tasks_run_in_a_turn_and_the_rest_in_order_after(void **state) {
    (void)state;
    enum { COUNT = LIMIT_STREAMS_PER_TURN + 10 };
    struct check_loop check;
    struct noted tasks[COUNT];
    char notes[COUNT + 1] = "";
    check_loop_init(&check);
    for (unsigned i = 0; i < COUNT; i++) {
        tasks[i] = noted_of(&check.loop, (char)('0' + i), notes);
        noted_begin(&tasks[i]);
        loop_wake(&check.loop, &tasks[i].task);
    }
    check_loop_turn(&check);
    assert_int_equal(strlen(notes), LIMIT_STREAMS_PER_TURN);
    assert_int_equal(check.loop.turns_cut, 1);
    check_loop_turn(&check);
    assert_int_equal(check.loop.turns_cut, 1);
    assert_int_equal(strlen(notes), COUNT);
    for (unsigned i = 0; i < COUNT; i++)
        assert_int_equal(notes[i], '0' + (int)i);
    check_loop_dispose(&check);
}

// --- on the real clock ---

struct measured {
    struct loop loop;
    struct timer timer;
    nanoseconds asked_at;
    nanoseconds started_at;
    nanoseconds fired_at;
};

static void on_fire(struct timer *timer) {
    struct measured *measured = CONTAINER_OF(timer, struct measured, timer);
    measured->fired_at = clock_monotonic_ns();
    uv_stop(&measured->loop.uv);
}

static void start_timer(void *receiver, void *argument) {
    struct measured *measured = receiver;
    (void)argument;
    measured->started_at = measured->loop.now;
    loop_timer_start(&measured->loop, &measured->timer, 2 * NS_PER_MS);
}

static void stop_run(void *receiver, void *argument) {
    (void)argument;
    struct measured *measured = receiver;
    uv_stop(&measured->loop.uv);
}

static void a_timer_started_after_a_long_sleep_counts_from_now(void **state) {
    (void)state;
    struct measured measured = {0};
    loop_init(&measured.loop, &measured);
    timer_init(&measured.timer, on_fire);
    assert_int_equal(loop_send(&measured.loop, stop_run, NULL), OK);
    loop_run(&measured.loop);
    // As long as a loop may be away: its clock is from before.
    nanoseconds begun = clock_monotonic_ns();
    while (clock_monotonic_ns() < begun + 20 * NS_PER_MS)
        sched_yield();
    measured.asked_at = clock_monotonic_ns();
    assert_int_equal(loop_send(&measured.loop, start_timer, NULL), OK);
    loop_run(&measured.loop);
    assert_true(measured.started_at >= measured.asked_at);
    assert_true(measured.fired_at >= measured.started_at + 2 * NS_PER_MS);
    loop_dispose(&measured.loop);
}

// An idle loop sleeps until the timer: it does not turn meanwhile.
static void a_loop_with_one_timer_turns_only_for_it(void **state) {
    (void)state;
    struct measured measured = {0};
    loop_init(&measured.loop, &measured);
    timer_init(&measured.timer, on_fire);
    loop_timer_start(&measured.loop, &measured.timer, 50 * NS_PER_MS);
    nanoseconds deadline = measured.loop.now + 50 * NS_PER_MS;
    loop_run(&measured.loop);
    assert_true(measured.fired_at >= deadline);
    assert_in_range(measured.loop.turns, 1, 8);
    loop_dispose(&measured.loop);
}

// --- messages ---

#define SENDERS 2
#define MESSAGES 20000

struct receiver {
    struct loop loop;
    uint64_t received;
    uint32_t last_of[SENDERS];
    bool out_of_order;
};

struct sender {
    pthread_t thread;
    struct receiver *receiver;
    uint32_t number;
};

struct parcel {
    uint32_t sender;
    uint32_t number;
};

static void receive(void *user, void *argument) {
    struct receiver *receiver = user;
    struct parcel *parcel = argument;
    if (parcel->number != receiver->last_of[parcel->sender] + 1)
        receiver->out_of_order = true;
    receiver->last_of[parcel->sender] = parcel->number;
    if (++receiver->received == SENDERS * MESSAGES)
        loop_stop(&receiver->loop);
}

static void *send_all(void *argument) {
    struct sender *sender = argument;
    struct parcel *parcels = alloc_zeroed_or_abort(MESSAGES, sizeof *parcels);
    for (uint32_t i = 0; i < MESSAGES; i++) {
        parcels[i] = (struct parcel){.sender = sender->number, .number = i + 1};
        while (loop_send(&sender->receiver->loop, receive, &parcels[i]) != OK)
            sched_yield();
    }
    return parcels;
}

static void messages_of_several_threads_all_arrive_in_the_order_of_each(void **state) {
    (void)state;
    struct receiver receiver = {0};
    struct sender senders[SENDERS];
    loop_init(&receiver.loop, &receiver);
    for (uint32_t i = 0; i < SENDERS; i++) {
        senders[i] = (struct sender){.receiver = &receiver, .number = i};
        assert_int_equal(pthread_create(&senders[i].thread, NULL, send_all, &senders[i]), 0);
    }
    loop_run(&receiver.loop);
    assert_int_equal(receiver.received, SENDERS * MESSAGES);
    assert_false(receiver.out_of_order);
    for (uint32_t i = 0; i < SENDERS; i++) {
        void *parcels;
        pthread_join(senders[i].thread, &parcels);
        free(parcels);
    }
    loop_dispose(&receiver.loop);
}

static void ignore(void *receiver, void *argument) {
    (void)receiver;
    (void)argument;
}

static void *run_loop(void *argument) {
    struct receiver *receiver = argument;
    loop_run(&receiver->loop);
    return NULL;
}

static void a_loop_is_stopped_though_its_mailbox_is_full(void **state) {
    (void)state;
    struct receiver receiver = {0};
    pthread_t thread;
    loop_init(&receiver.loop, &receiver);
    while (loop_send(&receiver.loop, ignore, NULL) == OK)
        ;
    assert_int_equal(pthread_create(&thread, NULL, run_loop, &receiver), 0);
    loop_stop(&receiver.loop);
    pthread_join(thread, NULL);
    loop_dispose(&receiver.loop);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_turn_runs_timers_then_woken_then_flush_then_closing),
        cmocka_unit_test(what_a_task_flushes_soon_leaves_before_the_next_task),
        cmocka_unit_test(what_a_timer_wakes_runs_in_the_same_turn),
        cmocka_unit_test(what_a_later_phase_wakes_runs_in_the_next_turn),
        cmocka_unit_test(a_task_that_wakes_itself_waits_for_the_next_turn),
        cmocka_unit_test(a_task_woken_twice_runs_once),
        cmocka_unit_test(a_task_cancelled_by_one_before_it_does_not_run),
        cmocka_unit_test(at_most_64_tasks_run_in_a_turn_and_the_rest_in_order_after),
        cmocka_unit_test(a_timer_started_after_a_long_sleep_counts_from_now),
        cmocka_unit_test(a_loop_with_one_timer_turns_only_for_it),
        cmocka_unit_test(messages_of_several_threads_all_arrive_in_the_order_of_each),
        cmocka_unit_test(a_loop_is_stopped_though_its_mailbox_is_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
