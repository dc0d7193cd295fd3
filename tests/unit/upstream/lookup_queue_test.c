// Places for look-ups between zones: one that answers is asked at full width, one that does not never holds up others.
#include "upstream/lookup_queue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define NAMES_MAX 512

struct name {
    struct lookup_turn turn;
    unsigned number;
};

static struct lookup_queue queue;
static struct name names[NAMES_MAX];
static unsigned count;

static int begin(void **state) {
    (void)state;
    count = 0;
    lookup_queue_init(&queue);
    return 0;
}

static int end(void **state) {
    (void)state;
    for (unsigned i = 0; i < count; i++)
        lookup_turn_dispose(&queue, &names[i].turn);
    lookup_queue_dispose(&queue);
    return 0;
}

static struct name *add(const char *text) {
    struct name *name = &names[count];
    name->number = count++;
    lookup_turn_init(&queue, &name->turn, bytes_from_text(text));
    lookup_queue_add(&queue, &name->turn);
    return name;
}

static void add_many(const char *zone, unsigned many) {
    for (unsigned i = 0; i < many; i++) {
        char text[64];
        snprintf(text, sizeof text, "n%u.%s", i, zone);
        add(text);
    }
}

static struct name *next(void) {
    struct lookup_turn *turn = lookup_queue_next(&queue);
    return turn != NULL ? CONTAINER_OF(turn, struct name, turn) : NULL;
}

static unsigned take_all(void) {
    unsigned taken = 0;
    while (next() != NULL)
        taken++;
    return taken;
}

static unsigned under_way(unsigned first, unsigned many) {
    unsigned found = 0;
    for (unsigned i = first; i < first + many; i++)
        found += names[i].turn.under_way ? 1 : 0;
    return found;
}

static void end_all(unsigned first, unsigned many, enum lookup_end how) {
    for (unsigned i = first; i < first + many; i++)
        if (names[i].turn.under_way)
            lookup_queue_end(&queue, &names[i].turn, how);
}

static void a_zone_that_answers_gets_half_of_the_places_after_a_probe(void **state) {
    (void)state;
    add_many("good.example", 100);
    assert_int_equal(take_all(), 2);
    end_all(0, 1, LOOKUP_ANSWERED);
    assert_int_equal(take_all(), LOOKUPS_MAX / 2 - 1);
}

static void a_dead_zone_holds_nobody_up(void **state) {
    (void)state;
    add_many("dead.example", 200);
    assert_int_equal(take_all(), 2);
    add_many("good.example", 20);
    assert_int_equal(take_all(), 2);
    end_all(200, 20, LOOKUP_ANSWERED);
    assert_int_equal(take_all(), 16);
    end_all(0, 200, LOOKUP_TIMED_OUT);
    end_all(200, 20, LOOKUP_ANSWERED);
    assert_int_equal(take_all(), 2 + 8);
    assert_int_equal(under_way(200, 20), 2); // the last of them
    end_all(0, 200, LOOKUP_ANSWERED);        // and the dead one has come back
    assert_int_equal(take_all(), 16);
}

static void zones_that_are_silent_never_have_more_than_half_together(void **state) {
    (void)state;
    char zone[32];
    for (unsigned i = 0; i < 16; i++) {
        snprintf(zone, sizeof zone, "z%u.example", i);
        add_many(zone, 10);
    }
    assert_int_equal(take_all(), LOOKUPS_MAX); // nothing is known of them
    end_all(0, 160, LOOKUP_TIMED_OUT);
    assert_int_equal(take_all(), LOOKUPS_MAX / 2);
    add_many("good.example", 20);
    assert_int_equal(take_all(), 2);
    end_all(160, 20, LOOKUP_ANSWERED);
    assert_int_equal(take_all(), 16);
    assert_int_equal(under_way(0, 160), 16);
}

static void a_name_that_timed_out_stands_behind_those_that_have_not(void **state) {
    (void)state;
    struct name *first = add("a.z.example");
    assert_ptr_equal(next(), first);
    lookup_queue_end(&queue, &first->turn, LOOKUP_TIMED_OUT);
    lookup_queue_add(&queue, &first->turn);
    struct name *second = add("b.z.example");
    assert_ptr_equal(next(), second);
    assert_ptr_equal(next(), first);
}

static void zones_are_told_apart_by_what_is_behind_the_first_label(void **state) {
    (void)state;
    add("a.one.example");
    add("B.ONE.example.");
    add("_http._tcp.c.one.example");
    assert_int_equal(take_all(), 2);
    add("a.two.example");
    add("short");
    add("other");
    assert_int_equal(take_all(), 3);
}

static void who_goes_gives_its_place_back(void **state) {
    (void)state;
    add_many("z.example", 3);
    assert_int_equal(take_all(), 2);
    lookup_turn_dispose(&queue, &names[0].turn);
    assert_int_equal(take_all(), 1);
    lookup_turn_init(&queue, &names[0].turn, BYTES("n0.z.example"));
    assert_int_equal(queue.under_way, 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_zone_that_answers_gets_half_of_the_places_after_a_probe, begin, end),
        cmocka_unit_test_setup_teardown(a_dead_zone_holds_nobody_up, begin, end),
        cmocka_unit_test_setup_teardown(zones_that_are_silent_never_have_more_than_half_together, begin, end),
        cmocka_unit_test_setup_teardown(a_name_that_timed_out_stands_behind_those_that_have_not, begin, end),
        cmocka_unit_test_setup_teardown(zones_are_told_apart_by_what_is_behind_the_first_label, begin, end),
        cmocka_unit_test_setup_teardown(who_goes_gives_its_place_back, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
