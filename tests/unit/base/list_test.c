// The intrusive list: order, removal while iterating, joining two lists.
#include "base/list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

struct item {
    int number;
    struct list link;
};

static void fill(struct list *list, struct item *items, int count) {
    list_init(list);
    for (int i = 0; i < count; i++) {
        items[i].number = i;
        list_init(&items[i].link);
        list_push_back(list, &items[i].link);
    }
}

static void assert_numbers(const struct list *list, const int *numbers, int count) {
    const struct list *node = list;
    for (int i = 0; i < count; i++) {
        assert_ptr_equal(node->next->prev, node);
        node = node->next;
        assert_ptr_not_equal(node, list);
        assert_int_equal(((const struct item *)(const void *)((const char *)node - offsetof(struct item, link)))->number, numbers[i]);
    }
    assert_ptr_equal(node->next, list);
    assert_ptr_equal(list->prev, node);
}

static void elements_keep_their_order(void **state) {
    (void)state;
    struct list list;
    struct item items[3];
    fill(&list, items, 3);
    assert_numbers(&list, (int[]){0, 1, 2}, 3);
    list_remove(&items[1].link);
    assert_false(list_is_linked(&items[1].link));
    assert_numbers(&list, (int[]){0, 2}, 2);
    list_push_front(&list, &items[1].link);
    assert_numbers(&list, (int[]){1, 0, 2}, 3);
}

static void removing_what_is_linked_nowhere_is_harmless(void **state) {
    (void)state;
    struct list node;
    list_init(&node);
    list_remove(&node);
    assert_false(list_is_linked(&node));
    assert_true(list_is_empty(&node));
}

static void popping_empties_from_the_front(void **state) {
    (void)state;
    struct list list;
    struct item items[2];
    fill(&list, items, 2);
    assert_ptr_equal(list_pop_front(&list), &items[0].link);
    assert_false(list_is_linked(&items[0].link));
    assert_ptr_equal(list_first(&list), &items[1].link);
    assert_ptr_equal(list_pop_front(&list), &items[1].link);
    assert_null(list_pop_front(&list));
    assert_null(list_first(&list));
    assert_true(list_is_empty(&list));
}

static void appending_moves_all_and_empties_the_other(void **state) {
    (void)state;
    struct list a;
    struct list b;
    struct item first[2];
    struct item second[2];
    fill(&a, first, 2);
    fill(&b, second, 2);
    second[0].number = 2;
    second[1].number = 3;
    list_append(&a, &b);
    assert_numbers(&a, (int[]){0, 1, 2, 3}, 4);
    assert_true(list_is_empty(&b));
    list_append(&a, &b);
    assert_numbers(&a, (int[]){0, 1, 2, 3}, 4);
    list_append(&b, &a);
    assert_numbers(&b, (int[]){0, 1, 2, 3}, 4);
    assert_true(list_is_empty(&a));
}

static void the_current_node_may_be_removed_while_iterating(void **state) {
    (void)state;
    struct list list;
    struct item items[5];
    fill(&list, items, 5);
    int seen = 0;
    LIST_EACH(&list, node, following) {
        seen++;
        if (LIST_ENTRY(node, struct item, link)->number % 2 == 0)
            list_remove(node);
    }
    assert_int_equal(seen, 5);
    assert_numbers(&list, (int[]){1, 3}, 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elements_keep_their_order),
        cmocka_unit_test(removing_what_is_linked_nowhere_is_harmless),
        cmocka_unit_test(popping_empties_from_the_front),
        cmocka_unit_test(appending_moves_all_and_empties_the_other),
        cmocka_unit_test(the_current_node_may_be_removed_while_iterating),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
