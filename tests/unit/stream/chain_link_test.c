// What the walks over a chain pass over, and which filter may leave a look to its charge, by chains written as a letter for each filter.
#include "stream/filter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define FILTERS_MAX 8

static enum filter_result ask(struct stream *stream, const void *config, void *state) {
    (void)stream, (void)config, (void)state;
    return FILTER_CONTINUE;
}

static enum filter_result pass_head(struct stream *stream, const void *config, void *state, struct head *head) {
    (void)stream, (void)config, (void)state, (void)head;
    return FILTER_CONTINUE;
}

static void change_attempt(struct stream *stream, const void *config, void *state, struct head *head, struct pool *pool) {
    (void)stream, (void)config, (void)state, (void)head, (void)pool;
}

static void end(struct stream *stream, const void *config, void *state) {
    (void)stream, (void)config, (void)state;
}

static const struct filter_type asks = {.name = "asks", .ops = {.decide = ask}}, limits = {.name = "limits", .ops = {.decide = ask, .charge = ask}},
                                queues = {.name = "queues", .queues = true, .ops = {.decide = ask, .end = end}},
                                heads = {.name = "heads", .ops = {.response_head = pass_head}},
                                carries = {.name = "carries", .ops = {.attempt_head = change_attempt}};

static const struct filter_type *type_of(char letter) {
    switch (letter) {
    case 'a':
        return &asks;
    case 'l':
        return &limits;
    case 'q':
        return &queues;
    case 'h':
        return &heads;
    default:
        assert_int_equal(letter, 'c');
        return &carries;
    }
}

// A capital: in a dry run.
static struct chain *chain_of(const char *letters) {
    struct chain *chain = calloc(1, sizeof *chain + FILTERS_MAX * sizeof chain->filters[0]);
    assert_non_null(chain);
    chain->count = (uint32_t)strlen(letters);
    for (uint32_t i = 0; i < chain->count; i++)
        chain->filters[i] = (struct filter){.type = type_of((char)(letters[i] | 0x20)), .is_dry_run = (letters[i] & 0x20) == 0};
    chain_link(chain);
    return chain;
}

static void a_look_is_left_to_a_charge_that_comes_at_once_and_alone(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"l", "1"},     {"hl", "01"},   {"lh", "10"},   {"la", "00"}, {"al", "01"},         {"ll", "00"},     {"lq", "10"},
        {"laq", "000"}, {"lql", "101"}, {"lLq", "000"}, {"L", "1"},   {"llqlql", "000101"}, {"lhql", "1001"}, {"", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct chain *chain = chain_of(cases[i][0]);
        char found[FILTERS_MAX + 1] = "";
        for (uint32_t k = 0; k < chain->count; k++)
            found[k] = chain->filters[k].is_charged_alone ? '1' : '0';
        assert_string_equal(found, cases[i][1]);
        free(chain);
    }
}

static void walks_go_from_one_that_has_the_slot_to_the_next(void **state) {
    (void)state;
    static const uint32_t charge[] = {1, 1, 5, 5, 5, 5, 7}, attempt_head[] = {3, 3, 3, 3, 7, 7, 7}, head[] = {1, 1, 1, 1, 1, 1, 7},
                          ends[] = {0, 0, 3, 3, 3, 3, 3};
    struct chain *chain = chain_of("hlqcClH");
    for (uint32_t i = 0; i < chain->count; i++) {
        assert_int_equal(chain->filters[i].charge_from, charge[i]);
        assert_int_equal(chain->filters[i].attempt_head_from, attempt_head[i]);
        assert_int_equal(chain->filters[i].response_head_before, head[i]);
        assert_int_equal(chain->filters[i].ends_before, ends[i]);
    }
    free(chain);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_look_is_left_to_a_charge_that_comes_at_once_and_alone),
        cmocka_unit_test(walks_go_from_one_that_has_the_slot_to_the_next),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
