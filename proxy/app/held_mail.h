// Messages of the main thread that a worker does not take before it has reached the snapshot that they follow: sockets of new listeners, endpoints of new services, questions.
// They keep their order. Of snapshots themselves only the newest waits: it takes the place of one that has not begun.
#ifndef APP_HELD_MAIL_H
#define APP_HELD_MAIL_H

#include "base/list.h"

#include <stdbool.h>
#include <stdint.h>

// As many as a mailbox has room for. Where more come the snapshot is reached at once.
#define HELD_MAIL_MAX 1024

// Made by whoever sends it, ended by its delivery.
struct letter {
    struct list link;
    void (*deliver)(void *receiver, void *argument);
    void *argument;
};

struct held_mail {
    struct list letters;
    uint32_t count;
};

struct letter *letter_create(void (*deliver)(void *receiver, void *argument), void *argument);

// Delivers and frees it.
void letter_deliver(struct letter *letter, void *receiver);

void held_mail_init(struct held_mail *held);

void held_mail_add(struct held_mail *held, struct letter *letter);

// The one that is delivered by `deliver`; NULL: there is none.
struct letter *held_mail_find(struct held_mail *held, void (*deliver)(void *receiver, void *argument));

// Delivers the oldest. There is one.
void held_mail_deliver(struct held_mail *held, void *receiver);

#endif
