// A bounded queue of messages between threads: many senders, one receiver. Senders never block: a full mailbox says so.
//
// Beside messages it takes notes: memory of whoever waits for something, so that there is always room for one and none can get lost.
//
// The receiver is woken by a callback that must be safe on the sender's thread (net/loop passes uv_async_send); it is called when the
// mailbox goes from empty to not empty. Messages arrive in the order of each sender.
#ifndef BASE_MAILBOX_H
#define BASE_MAILBOX_H

#include "base/error.h"
#include "base/list.h"

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

struct message {
    // Runs on the receiver's thread; owns `argument` from then on.
    void (*deliver)(void *receiver, void *argument);
    void *argument;
};

// That what somebody of the receiver's thread waits for has come.
struct note {
    struct list link; // under the mailbox's lock
    void (*deliver)(struct note *note);
};

struct mailbox {
    pthread_mutex_t lock;
    struct list notes; // that were left and not delivered
    struct message *ring;
    uint32_t capacity; // a power of two
    uint32_t head;
    uint32_t count;
    uint32_t count_peak;
    void (*wake)(void *wake_argument);
    void *wake_argument;
};

void mailbox_init(struct mailbox *mailbox, uint32_t capacity, void (*wake)(void *wake_argument), void *wake_argument);

// Messages left inside are dropped: the owner makes sure that none is, or that nothing is lost with it.
void mailbox_dispose(struct mailbox *mailbox);

// Any thread. ERROR_FULL when there is no room; the message then still belongs to the caller.
MUST_CHECK enum error mailbox_send(struct mailbox *mailbox, struct message message);

static inline void note_init(struct note *note, void (*deliver)(struct note *note)) {
    list_init(&note->link);
    note->deliver = deliver;
}

// Any thread: note->deliver(note) on the receiver's, once. Harmless when the note is there already. Whoever owns it withdraws it before its memory goes.
void mailbox_leave_note(struct mailbox *mailbox, struct note *note);

// The receiver's thread, when nobody will leave the note any more: it is not delivered after this. Harmless when it was never left, or was delivered.
void mailbox_withdraw_note(struct mailbox *mailbox, struct note *note);

// Any thread: how many messages wait now, and the most that ever did at once.
void mailbox_read_use(struct mailbox *mailbox, uint32_t *use, uint32_t *peak);

// The receiver's thread: delivers what was there at the call, messages in order, with `receiver` passed to each, then notes. Returns how many messages.
uint32_t mailbox_receive(struct mailbox *mailbox, void *receiver);

#endif
