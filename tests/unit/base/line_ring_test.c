// Lines between two threads: whole, in order, never more than there is room for.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/line_ring.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define SIZE 256
#define LINE_MAX_BYTES 64

static struct line_ring ring;

static int set_up(void **state) {
    (void)state;
    line_ring_init(&ring, SIZE, LINE_MAX_BYTES);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    line_ring_dispose(&ring);
    return 0;
}

static bool add(const char *text) {
    char *room = line_ring_room(&ring);
    if (room == NULL)
        return false;
    memcpy(room, text, strlen(text));
    line_ring_add(&ring, strlen(text));
    return true;
}

// Takes `length` bytes of what waits.
static const char *take(size_t length) {
    static char text[SIZE + 1];
    struct iovec pieces[2];
    size_t used = 0;
    int count = line_ring_front(&ring, length, pieces);
    for (int i = 0; i < count; i++) {
        memcpy(text + used, pieces[i].iov_base, pieces[i].iov_len);
        used += pieces[i].iov_len;
    }
    text[used] = '\0';
    line_ring_take(&ring, used);
    return text;
}

static void nothing_is_seen_before_it_is_published(void **state) {
    (void)state;
    assert_true(add("one\n") && add("two\n"));
    assert_int_equal(line_ring_waiting(&ring), 0);
    assert_int_equal(line_ring_publish(&ring), 8);
    assert_int_equal(line_ring_waiting(&ring), 8);
    assert_string_equal(take(6), "one\ntw");
    assert_string_equal(take(SIZE), "o\n");
    assert_string_equal(take(SIZE), "");
}

static void a_full_ring_takes_no_more_until_something_was_taken(void **state) {
    (void)state;
    unsigned added = 0;
    while (add("0123456789abcde\n"))
        added++;
    assert_int_equal(added, (SIZE - LINE_MAX_BYTES) / 16 + 1);
    assert_false(add("x\n"));
    line_ring_publish(&ring);
    assert_false(add("x\n"));
    take(16);
    assert_true(add("x\n"));
}

static void lines_that_go_round_the_end_stay_whole(void **state) {
    (void)state;
    char line[LINE_MAX_BYTES + 1];
    for (int round = 0; round < 500; round++) {
        int length = snprintf(line, sizeof line, "%03d:%.*s\n", round, round % (LINE_MAX_BYTES - 5),
                              "the quick brown fox jumps over the lazy dog and on and on and on");
        assert_true(add(line));
        assert_int_equal(line_ring_publish(&ring), length);
        assert_string_equal(take(SIZE), line);
    }
}

#define LINES 20000

static void *write_lines(void *argument) {
    (void)argument;
    char line[LINE_MAX_BYTES];
    for (unsigned number = 0; number < LINES;) {
        snprintf(line, sizeof line, "%0*u\n", 1 + (int)(number % 40), number);
        if (add(line))
            number++;
        if (number % 3 == 0 || line_ring_room(&ring) == NULL)
            line_ring_publish(&ring);
    }
    line_ring_publish(&ring);
    return NULL;
}

static void two_threads_lose_and_mix_nothing(void **state) {
    (void)state;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, write_lines, NULL), 0);
    unsigned expected = 0;
    char line[LINE_MAX_BYTES];
    size_t used = 0;
    while (expected < LINES) {
        for (const char *at = take(100); *at != '\0'; at++) {
            assert_true(used < sizeof line);
            line[used++] = *at;
            if (*at != '\n')
                continue;
            assert_int_equal(strtoul(line, NULL, 10), expected);
            assert_true(used >= 2 + expected % 40);
            expected++;
            used = 0;
        }
    }
    pthread_join(thread, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_is_seen_before_it_is_published, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_full_ring_takes_no_more_until_something_was_taken, set_up, tear_down),
        cmocka_unit_test_setup_teardown(lines_that_go_round_the_end_stay_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(two_threads_lose_and_mix_nothing, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
