// The loop's turn on libuv: see loop.h for the order. A check handle runs the turn after each poll; a prepare handle runs another one before the next poll
// where timers or pending callbacks left something to do, so that it does not matter at which end of libuv's iteration they stand.
#include "net/loop.h"

#include "base/limits.h"

// Of loop_settle: more turns at one time than any work takes.
#define SETTLING_TURNS_MAX 100000

static bool has_work(const struct loop *loop) {
    return loop->alarm_due || !list_is_empty(&loop->wake) || !list_is_empty(&loop->flush_soon) || !list_is_empty(&loop->flush) ||
           !list_is_empty(&loop->closing);
}

static void run_first(struct list *list) {
    struct task *task = LIST_ENTRY(list_pop_front(list), struct task, link);
    task->run(task);
}

// Runs at most `bound` tasks of those that wait now, and behind each what it put on the list `after` (NULL: none); what they wake, behind the mark, is left for
// the next round of the caller. False when the bound has left some.
static bool run_tasks(struct list *list, uint32_t bound, struct list *after) {
    if (list_is_empty(list))
        return true;
    struct list mark;
    list_init(&mark);
    list_push_back(list, &mark);
    for (uint32_t run = 0; run < bound && list->next != &mark; run++) {
        run_first(list);
        while (after != NULL && !list_is_empty(after))
            run_first(after);
    }
    bool all = list->next == &mark;
    list_remove(&mark);
    return all;
}

void loop_turn(struct loop *loop, nanoseconds now) {
    loop->now = now;
    loop->turns++;
    loop->alarm_due = false;
    timer_wheel_advance(&loop->timers, now);
    if (!run_tasks(&loop->wake, LIMIT_STREAMS_PER_TURN, &loop->flush_soon))
        loop->turns_cut++;
    (void)run_tasks(&loop->flush_soon, UINT32_MAX, NULL);
    (void)run_tasks(&loop->flush, UINT32_MAX, NULL);
    (void)run_tasks(&loop->closing, UINT32_MAX, NULL);
}

static bool has_tasks(const struct loop *loop) {
    return !list_is_empty(&loop->wake) || !list_is_empty(&loop->flush_soon) || !list_is_empty(&loop->flush) || !list_is_empty(&loop->closing);
}

bool loop_settle(struct loop *loop) {
    unsigned left = SETTLING_TURNS_MAX;
    for (; has_tasks(loop) && left > 0; left--)
        loop_turn(loop, loop->now);
    return left > 0;
}

bool loop_pass(struct loop *loop, nanoseconds until) {
    if (!loop_settle(loop))
        return false;
    for (nanoseconds next = timer_wheel_next(&loop->timers); next <= until; next = timer_wheel_next(&loop->timers)) {
        loop_turn(loop, next > loop->now ? next : loop->now);
        if (!loop_settle(loop))
            return false;
    }
    loop_turn(loop, until);
    return loop_settle(loop);
}

static void turn_now(struct loop *loop) {
    loop_enter(loop);
    nanoseconds begun = loop->now;
    loop_turn(loop, begun);
    turn_times_add(&loop->turn_times, clock_monotonic_ns() - begun, begun);
}

static void on_check(uv_check_t *check) {
    turn_now(check->data);
}

static void on_alarm(uv_timer_t *alarm) {
    struct loop *loop = alarm->data;
    loop->alarm_at = UINT64_MAX;
    loop->alarm_due = true;
}

// The alarm is only ever moved forward in time when it fires: one that comes too early costs a turn, moving it costs a heap operation per request.
static void arm_alarm(struct loop *loop) {
    nanoseconds next = timer_wheel_next(&loop->timers);
    if (next >= loop->alarm_at)
        return;
    nanoseconds now = clock_monotonic_ns();
    uint64_t wait_ms = next > now ? (next - now + NS_PER_MS - 1) / NS_PER_MS : 0;
    loop->alarm_at = next;
    uv_update_time(&loop->uv);
    int failed = uv_timer_start(&loop->alarm, on_alarm, wait_ms, 0);
    CHECK(failed == 0);
}

static void on_again(uv_idle_t *again) {
    (void)again; // its being active is what keeps poll from blocking
}

static void on_prepare(uv_prepare_t *prepare) {
    struct loop *loop = prepare->data;
    loop->now_is_fresh = false;
    if (has_work(loop))
        turn_now(loop);
    bool busy = has_work(loop);
    if (busy != (uv_is_active((uv_handle_t *)&loop->again) != 0)) {
        if (busy)
            uv_idle_start(&loop->again, on_again);
        else
            uv_idle_stop(&loop->again);
    }
    arm_alarm(loop);
    loop->now_is_fresh = false;
}

static void on_mail(uv_async_t *mail) {
    struct loop *loop = mail->data;
    loop_enter(loop);
    mailbox_receive(&loop->mailbox, loop->receiver);
}

static void wake_by_mail(void *argument) {
    struct loop *loop = argument;
    uv_async_send(&loop->mail);
}

void loop_init(struct loop *loop, void *receiver) {
    memset(loop, 0, sizeof *loop);
    int failed = uv_loop_init(&loop->uv);
    CHECK(failed == 0);
    loop->receiver = receiver;
    loop->now = clock_monotonic_ns();
    loop->alarm_at = UINT64_MAX;
    timer_wheel_init(&loop->timers, loop->now);
    block_source_init(&loop->blocks, LIMIT_FREE_BLOCKS);
    pool_source_init(&loop->pools, LIMIT_FREE_CHUNKS);
    rng_init_random(&loop->rng);
    memory_room_set(&loop->room, MEMORY_ROOM_ENDLESS);
    loop->blocks.room = loop->pools.room = &loop->room;
    list_init(&loop->thirsty);
    list_init(&loop->wake);
    list_init(&loop->flush);
    list_init(&loop->flush_soon);
    list_init(&loop->closing);
    mailbox_init(&loop->mailbox, LIMIT_MAILBOX, wake_by_mail, loop);

    uv_async_init(&loop->uv, &loop->mail, on_mail);
    uv_check_init(&loop->uv, &loop->check);
    uv_prepare_init(&loop->uv, &loop->prepare);
    uv_idle_init(&loop->uv, &loop->again);
    uv_timer_init(&loop->uv, &loop->alarm);
    loop->mail.data = loop->check.data = loop->prepare.data = loop->again.data = loop->alarm.data = loop;
    uv_check_start(&loop->check, on_check);
    uv_prepare_start(&loop->prepare, on_prepare);
}

void loop_run(struct loop *loop) {
    uv_run(&loop->uv, UV_RUN_DEFAULT);
}

static void stop_now(void *receiver, void *argument) {
    (void)receiver;
    struct loop *loop = argument;
    uv_stop(&loop->uv);
}

void loop_stop(struct loop *loop) {
    // A full mailbox is being emptied by a running loop: the message gets in after it.
    while (loop_send(loop, stop_now, loop) != OK)
        uv_async_send(&loop->mail);
}

void loop_dispose(struct loop *loop) {
    while (loop->handles > 0 || has_work(loop))
        uv_run(&loop->uv, loop->handles > 0 && !has_work(loop) ? UV_RUN_ONCE : UV_RUN_NOWAIT);
    uv_close((uv_handle_t *)&loop->mail, NULL);
    uv_close((uv_handle_t *)&loop->check, NULL);
    uv_close((uv_handle_t *)&loop->prepare, NULL);
    uv_close((uv_handle_t *)&loop->again, NULL);
    uv_close((uv_handle_t *)&loop->alarm, NULL);
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    int failed = uv_loop_close(&loop->uv);
    CHECK(failed == 0);
    mailbox_dispose(&loop->mailbox);
    block_source_dispose(&loop->blocks);
    pool_source_dispose(&loop->pools);
}

void loop_wake(struct loop *loop, struct task *task) {
    if (!list_is_linked(&task->link))
        list_push_back(&loop->wake, &task->link);
}

void loop_flush(struct loop *loop, struct task *task) {
    if (!list_is_linked(&task->link))
        list_push_back(&loop->flush, &task->link);
}

void loop_flush_soon(struct loop *loop, struct task *task) {
    if (!list_is_linked(&task->link))
        list_push_back(&loop->flush_soon, &task->link);
}

void loop_defer(struct loop *loop, struct task *task) {
    CHECK(!list_is_linked(&task->link));
    list_push_back(&loop->closing, &task->link);
}

bool loop_look_for_room(struct loop *loop, size_t size) {
    if (loop->look == NULL)
        return true;
    loop->look(loop);
    return loop->room.left >= (int64_t)size;
}

void loop_await_room(struct loop *loop, struct task *task) {
    CHECK(!list_is_linked(&task->link));
    list_push_back(&loop->thirsty, &task->link);
}

void loop_give_room(struct loop *loop) {
    for (int64_t left = loop->room.left; left >= BLOCK_SIZE && !list_is_empty(&loop->thirsty); left -= BLOCK_SIZE)
        run_first(&loop->thirsty);
}

enum error loop_send(struct loop *loop, void (*deliver)(void *receiver, void *argument), void *argument) {
    return mailbox_send(&loop->mailbox, (struct message){.deliver = deliver, .argument = argument});
}
