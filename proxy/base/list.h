// An intrusive doubly linked list with a sentinel. The node belongs to the element; a list owns nothing.
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include "base/check.h"

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next;
    struct list *prev;
};

// Both for a head (empty list) and for a node (linked nowhere).
static inline void list_init(struct list *list) {
    list->next = list;
    list->prev = list;
}

static inline bool list_is_empty(const struct list *list) {
    return list->next == list;
}

static inline bool list_is_linked(const struct list *node) {
    return node->next != node;
}

static inline void list_insert_before(struct list *place, struct list *node) {
    CHECK(!list_is_linked(node));
    node->prev = place->prev;
    node->next = place;
    place->prev->next = node;
    place->prev = node;
}

static inline void list_push_back(struct list *list, struct list *node) {
    list_insert_before(list, node);
}

static inline void list_push_front(struct list *list, struct list *node) {
    list_insert_before(list->next, node);
}

// Harmless on a node that is linked nowhere.
static inline void list_remove(struct list *node) {
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

static inline struct list *list_first(const struct list *list) {
    return list_is_empty(list) ? NULL : list->next;
}

static inline struct list *list_pop_front(struct list *list) {
    struct list *first = list_first(list);
    if (first != NULL)
        list_remove(first);
    return first;
}

// Moves all of `from` to the end of `to`.
static inline void list_append(struct list *to, struct list *from) {
    if (list_is_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    list_init(from);
}

#define LIST_ENTRY(node, type, member) CONTAINER_OF(node, type, member)

// Safe against removal of `node` itself inside the loop, of no other.
#define LIST_EACH(head, node, following) \
    for (struct list *node = (head)->next, *following = node->next; node != (head); node = following, following = node->next)

#endif
