// The mailbox: order, its bound, when the receiver is woken, and several senders on threads of their own.
#include "base/mailbox.h"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdbool.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

struct receiver {
    struct mailbox mailbox;
    unsigned wakes;
    uintptr_t got[3000];
    unsigned count;
    bool answer; // deliver sends one more, once
};

static void count_wake(void *argument) {
    struct receiver *receiver = argument;
    receiver->wakes++;
}

static void note(void *receiver_given, void *argument) {
    struct receiver *receiver = receiver_given;
    receiver->got[receiver->count++] = (uintptr_t)argument;
    if (receiver->answer) {
        receiver->answer = false;
        assert_int_equal(mailbox_send(&receiver->mailbox, (struct message){note, (void *)(uintptr_t)99}), OK);
    }
}

static void begin(struct receiver *receiver, uint32_t capacity) {
    memset(receiver, 0, sizeof(*receiver));
    mailbox_init(&receiver->mailbox, capacity, count_wake, receiver);
}

static enum error send(struct receiver *receiver, uintptr_t number) {
    return mailbox_send(&receiver->mailbox, (struct message){note, (void *)number});
}

static void messages_arrive_in_order(void **state) {
    (void)state;
    struct receiver receiver;
    begin(&receiver, 128);
    for (uintptr_t i = 0; i < 100; i++)
        assert_int_equal(send(&receiver, i), OK);
    assert_int_equal(mailbox_receive(&receiver.mailbox, &receiver), 100);
    for (uintptr_t i = 0; i < 100; i++)
        assert_int_equal(receiver.got[i], i);
    assert_int_equal(mailbox_receive(&receiver.mailbox, &receiver), 0);
    mailbox_dispose(&receiver.mailbox);
}

static void the_receiver_is_woken_when_empty_becomes_not_empty(void **state) {
    (void)state;
    struct receiver receiver;
    begin(&receiver, 8);
    assert_int_equal(receiver.wakes, 0);
    for (uintptr_t i = 0; i < 5; i++)
        assert_int_equal(send(&receiver, i), OK);
    assert_int_equal(receiver.wakes, 1);
    mailbox_receive(&receiver.mailbox, &receiver);
    assert_int_equal(receiver.wakes, 1);
    assert_int_equal(send(&receiver, 5), OK);
    assert_int_equal(receiver.wakes, 2);
    mailbox_receive(&receiver.mailbox, &receiver);
    mailbox_dispose(&receiver.mailbox);
}

static void a_full_mailbox_refuses_and_keeps_what_it_has(void **state) {
    (void)state;
    struct receiver receiver;
    begin(&receiver, 4);
    // The ring begins somewhere in its middle.
    assert_int_equal(send(&receiver, 0), OK);
    assert_int_equal(send(&receiver, 0), OK);
    mailbox_receive(&receiver.mailbox, &receiver);
    receiver.count = 0;
    for (uintptr_t i = 1; i <= 4; i++)
        assert_int_equal(send(&receiver, i), OK);
    assert_int_equal(send(&receiver, 5), ERROR_FULL);
    assert_int_equal(receiver.mailbox.count_peak, 4);
    assert_int_equal(mailbox_receive(&receiver.mailbox, &receiver), 4);
    for (uintptr_t i = 0; i < 4; i++)
        assert_int_equal(receiver.got[i], i + 1);
    assert_int_equal(send(&receiver, 6), OK);
    assert_int_equal(mailbox_receive(&receiver.mailbox, &receiver), 1);
    mailbox_dispose(&receiver.mailbox);
}

static void what_is_sent_while_receiving_waits_and_wakes_again(void **state) {
    (void)state;
    for (uint32_t before = 1; before <= 100; before += 33) { // one batch and several
        struct receiver receiver;
        begin(&receiver, 128);
        for (uintptr_t i = 0; i < before; i++)
            assert_int_equal(send(&receiver, i), OK);
        receiver.answer = true;
        assert_int_equal(mailbox_receive(&receiver.mailbox, &receiver), before);
        assert_int_equal(receiver.wakes, 2); // nothing is left behind asleep
        assert_int_equal(mailbox_receive(&receiver.mailbox, &receiver), 1);
        assert_int_equal(receiver.got[before], 99);
        mailbox_dispose(&receiver.mailbox);
    }
}

struct counted {
    struct note note;
    unsigned deliveries;
    struct receiver *receiver;
    bool again; // it is left once more when it is delivered
};

static void count_delivery(struct note *left) {
    struct counted *counted = (struct counted *)left;
    counted->deliveries++;
    if (counted->again)
        mailbox_leave_note(&counted->receiver->mailbox, &counted->note);
    counted->again = false;
}

static void a_note_is_delivered_once_however_often_it_was_left_and_not_when_withdrawn(void **state) {
    (void)state;
    struct receiver receiver;
    struct counted notes[3];
    begin(&receiver, 4);
    for (int i = 0; i < 3; i++) {
        notes[i] = (struct counted){.receiver = &receiver, .again = i == 2};
        note_init(&notes[i].note, count_delivery);
        mailbox_leave_note(&receiver.mailbox, &notes[i].note);
        mailbox_leave_note(&receiver.mailbox, &notes[i].note);
    }
    assert_int_equal(receiver.wakes, 1);
    mailbox_withdraw_note(&receiver.mailbox, &notes[1].note);
    for (uintptr_t i = 0; i < 4; i++)
        assert_int_equal(send(&receiver, i), OK);
    assert_int_equal(send(&receiver, 4), ERROR_FULL); // there is room for notes all the same
    assert_int_equal(mailbox_receive(&receiver.mailbox, &receiver), 4);
    assert_int_equal(mailbox_receive(&receiver.mailbox, &receiver), 0);
    assert_int_equal(notes[0].deliveries, 1);
    assert_int_equal(notes[1].deliveries, 0);
    assert_int_equal(notes[2].deliveries, 2);
    mailbox_withdraw_note(&receiver.mailbox, &notes[0].note);
    mailbox_dispose(&receiver.mailbox);
}

static void many_notes_are_delivered_in_parts_and_wake_again(void **state) {
    (void)state;
    static struct counted notes[1000];
    struct receiver receiver;
    unsigned delivered = 0;
    begin(&receiver, 4);
    for (int i = 0; i < 1000; i++) {
        notes[i] = (struct counted){.receiver = &receiver};
        note_init(&notes[i].note, count_delivery);
        mailbox_leave_note(&receiver.mailbox, &notes[i].note);
    }
    for (unsigned wakes = 0; wakes < receiver.wakes; wakes++)
        mailbox_receive(&receiver.mailbox, &receiver);
    for (int i = 0; i < 1000; i++)
        delivered += notes[i].deliveries;
    assert_int_equal(delivered, 1000);
    mailbox_dispose(&receiver.mailbox);
}

// Two senders, one receiver that sleeps until it is woken.
#define SENT 20000

struct shared {
    struct mailbox mailbox;
    sem_t woken;
    uintptr_t expected[2];
    unsigned received;
};

struct sender {
    struct shared *shared;
    uintptr_t which;
};

static void post(void *argument) {
    struct shared *shared = argument;
    sem_post(&shared->woken);
}

static void check_order(void *receiver, void *argument) {
    struct shared *shared = receiver;
    uintptr_t number = (uintptr_t)argument;
    uintptr_t which = number % 2;
    assert_int_equal(number / 2, shared->expected[which]);
    shared->expected[which]++;
    shared->received++;
}

static void *send_all(void *argument) {
    struct sender *sender = argument;
    for (uintptr_t i = 0; i < SENT; i++)
        while (mailbox_send(&sender->shared->mailbox, (struct message){check_order, (void *)(i * 2 + sender->which)}) != OK)
            sched_yield();
    return NULL;
}

static void senders_on_two_threads_lose_nothing_and_keep_their_order(void **state) {
    (void)state;
    struct shared shared = {.received = 0};
    assert_int_equal(sem_init(&shared.woken, 0, 0), 0);
    mailbox_init(&shared.mailbox, 64, post, &shared);
    struct sender senders[2] = {{&shared, 0}, {&shared, 1}};
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, send_all, &senders[i]), 0);
    while (shared.received < 2 * SENT) {
        assert_int_equal(sem_wait(&shared.woken), 0);
        mailbox_receive(&shared.mailbox, &shared);
    }
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(mailbox_receive(&shared.mailbox, &shared), 0);
    assert_true(shared.mailbox.count_peak <= 64);
    mailbox_dispose(&shared.mailbox);
    sem_destroy(&shared.woken);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_arrive_in_order),
        cmocka_unit_test(the_receiver_is_woken_when_empty_becomes_not_empty),
        cmocka_unit_test(a_full_mailbox_refuses_and_keeps_what_it_has),
        cmocka_unit_test(what_is_sent_while_receiving_waits_and_wakes_again),
        cmocka_unit_test(a_note_is_delivered_once_however_often_it_was_left_and_not_when_withdrawn),
        cmocka_unit_test(many_notes_are_delivered_in_parts_and_wake_again),
        cmocka_unit_test(senders_on_two_threads_lose_nothing_and_keep_their_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
