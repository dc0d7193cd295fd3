// The bounded queue between threads: a ring under a mutex that is held for a few instructions only, never while a message is delivered.
#include "base/mailbox.h"

#include "base/check.h"
#include "base/pool.h"

#include <stdbool.h>
#include <stdlib.h>

// Messages taken out under one lock.
#define BATCH 32

// Notes delivered in one call: each only wakes somebody.
#define NOTES_AT_ONCE 256

static void lock(struct mailbox *mailbox) {
    int failed = pthread_mutex_lock(&mailbox->lock);
    CHECK(failed == 0);
}

static void unlock(struct mailbox *mailbox) {
    int failed = pthread_mutex_unlock(&mailbox->lock);
    CHECK(failed == 0);
}

void mailbox_init(struct mailbox *mailbox, uint32_t capacity, void (*wake)(void *wake_argument), void *wake_argument) {
    CHECK(capacity > 0 && (capacity & (capacity - 1)) == 0);
    *mailbox = (struct mailbox){.capacity = capacity, .wake = wake, .wake_argument = wake_argument};
    list_init(&mailbox->notes);
    mailbox->ring = alloc_zeroed_or_abort(capacity, sizeof(*mailbox->ring));
    int failed = pthread_mutex_init(&mailbox->lock, NULL);
    CHECK(failed == 0);
}

void mailbox_dispose(struct mailbox *mailbox) {
    CHECK(list_is_empty(&mailbox->notes));
    int failed = pthread_mutex_destroy(&mailbox->lock);
    CHECK(failed == 0);
    free(mailbox->ring);
    mailbox->ring = NULL;
}

enum error mailbox_send(struct mailbox *mailbox, struct message message) {
    lock(mailbox);
    bool full = mailbox->count == mailbox->capacity;
    if (!full) {
        mailbox->ring[(mailbox->head + mailbox->count) & (mailbox->capacity - 1)] = message;
        mailbox->count++;
        if (mailbox->count > mailbox->count_peak)
            mailbox->count_peak = mailbox->count;
        // Under the lock: once the receiver has the message it may close what `wake` uses.
        if (mailbox->count == 1)
            mailbox->wake(mailbox->wake_argument);
    }
    unlock(mailbox);
    return full ? ERROR_FULL : OK;
}

void mailbox_leave_note(struct mailbox *mailbox, struct note *note) {
    lock(mailbox);
    const bool was_empty = list_is_empty(&mailbox->notes);
    if (!list_is_linked(&note->link))
        list_push_back(&mailbox->notes, &note->link);
    if (was_empty)
        mailbox->wake(mailbox->wake_argument);
    unlock(mailbox);
}

void mailbox_withdraw_note(struct mailbox *mailbox, struct note *note) {
    lock(mailbox);
    list_remove(&note->link);
    unlock(mailbox);
}

void mailbox_read_use(struct mailbox *mailbox, uint32_t *use, uint32_t *peak) {
    lock(mailbox);
    *use = mailbox->count;
    *peak = mailbox->count_peak;
    unlock(mailbox);
}

// Takes at most `max` messages; `*left` tells how many then wait.
static uint32_t take(struct mailbox *mailbox, struct message *batch, uint32_t max, uint32_t *left) {
    uint32_t taken = 0;
    lock(mailbox);
    while (taken < max && mailbox->count > 0) {
        batch[taken++] = mailbox->ring[mailbox->head];
        mailbox->head = (mailbox->head + 1) & (mailbox->capacity - 1);
        mailbox->count--;
    }
    *left = mailbox->count;
    unlock(mailbox);
    return taken;
}

static struct note *take_note(struct mailbox *mailbox) {
    lock(mailbox);
    struct list *node = list_pop_front(&mailbox->notes);
    unlock(mailbox);
    return node == NULL ? NULL : LIST_ENTRY(node, struct note, link);
}

// At most NOTES_AT_ONCE: others are left meanwhile, perhaps for ever.
static void deliver_notes(struct mailbox *mailbox) {
    for (uint32_t i = 0; i < NOTES_AT_ONCE; i++) {
        struct note *note = take_note(mailbox);
        if (note == NULL)
            return;
        note->deliver(note);
    }
    mailbox->wake(mailbox->wake_argument);
}

uint32_t mailbox_receive(struct mailbox *mailbox, void *receiver) {
    struct message batch[BATCH];
    lock(mailbox);
    uint32_t due = mailbox->count;
    unlock(mailbox);
    uint32_t delivered = 0;
    uint32_t left = 0;
    while (delivered < due) {
        uint32_t taken = take(mailbox, batch, due - delivered < BATCH ? due - delivered : BATCH, &left);
        CHECK(taken > 0);
        for (uint32_t i = 0; i < taken; i++)
            batch[i].deliver(receiver, batch[i].argument);
        delivered += taken;
    }
    // What came between two batches found the mailbox not empty and woke nobody.
    if (left > 0)
        mailbox->wake(mailbox->wake_argument);
    deliver_notes(mailbox);
    return delivered;
}
