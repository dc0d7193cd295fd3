// A list of letters. See held_mail.h.
#include "app/held_mail.h"

#include "base/check.h"
#include "base/pool.h"

#include <stdlib.h>

struct letter *letter_create(void (*deliver)(void *receiver, void *argument), void *argument) {
    struct letter *letter = alloc_zeroed_or_abort(1, sizeof *letter);
    *letter = (struct letter){.deliver = deliver, .argument = argument};
    list_init(&letter->link);
    return letter;
}

void letter_deliver(struct letter *letter, void *receiver) {
    letter->deliver(receiver, letter->argument);
    free(letter);
}

void held_mail_init(struct held_mail *held) {
    *held = (struct held_mail){0};
    list_init(&held->letters);
}

void held_mail_add(struct held_mail *held, struct letter *letter) {
    list_push_back(&held->letters, &letter->link);
    held->count++;
}

struct letter *held_mail_find(struct held_mail *held, void (*deliver)(void *receiver, void *argument)) {
    LIST_EACH(&held->letters, node, following) {
        struct letter *letter = LIST_ENTRY(node, struct letter, link);
        if (letter->deliver == deliver)
            return letter;
    }
    return NULL;
}

void held_mail_deliver(struct held_mail *held, void *receiver) {
    CHECK(held->count > 0);
    held->count--;
    letter_deliver(LIST_ENTRY(list_pop_front(&held->letters), struct letter, link), receiver);
}
