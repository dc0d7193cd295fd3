// Records between a worker and the exporter: whole, in order, bounded in number and bytes, each either taken or counted as dropped.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "telemetry/export_queue.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define RECORDS_MAX 64
#define BATCH 8
#define TAG 0x12

static struct mailbox home;
static struct export_queue queue;
static unsigned notes;
static char out[EXPORT_RECORD_MAX * 8];

static void on_wake(void *argument) {
    (void)argument;
}

static void on_note(struct note *note) {
    (void)note;
    notes++;
}

static int set_up(void **state) {
    (void)state;
    notes = 0;
    mailbox_init(&home, 4, on_wake, NULL);
    export_queue_init(&queue, RECORDS_MAX, BATCH, &home, on_note, NULL);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    export_queue_dispose(&queue);
    mailbox_dispose(&home);
    return 0;
}

// With a length of two bytes, padded where it is short, as encoders that write in one pass have it. Returns the length of all; 0: it was dropped.
static size_t add(size_t content, char filling) {
    char *room = export_queue_room(&queue);
    if (room == NULL)
        return 0;
    room[0] = TAG;
    room[1] = (char)((content & 0x7F) | 0x80);
    room[2] = (char)(content >> 7);
    memset(room + 3, filling, content);
    export_queue_add(&queue, content + 3);
    return content + 3;
}

static void records_are_taken_whole_and_in_order(void **state) {
    (void)state;
    uint32_t records;
    assert_true(add(10, 'a') && add(300, 'b') && add(1, 'c'));
    assert_int_equal(export_queue_waiting(&queue), 0);
    export_queue_publish(&queue);
    assert_int_equal(export_queue_waiting(&queue), 3);
    assert_int_equal(export_queue_take(&queue, 2, out, sizeof out, &records), 13 + 303);
    assert_int_equal(records, 2);
    assert_int_equal(out[3], 'a');
    assert_int_equal(out[13 + 3], 'b');
    assert_int_equal(export_queue_take(&queue, 9, out, sizeof out, &records), 4);
    assert_int_equal(records, 1);
    assert_int_equal(out[3], 'c');
    assert_int_equal(export_queue_take(&queue, 9, out, sizeof out, &records), 0);
    assert_int_equal(records, 0);
}

static void records_that_give_way_leave_the_last_part_to_others(void **state) {
    (void)state;
    uint32_t records;
    while (export_queue_spare_room(&queue) != NULL)
        assert_true(add(1, 's'));
    assert_int_equal(metric_read(&queue.queued), RECORDS_MAX - RECORDS_MAX / EXPORT_RESERVE_SHARE);
    assert_int_equal(metric_read(&queue.dropped), 1);
    for (uint32_t i = 0; i < RECORDS_MAX / EXPORT_RESERVE_SHARE; i++)
        assert_true(add(1, 'k'));
    assert_int_equal(add(1, 'k'), 0);
    export_queue_publish(&queue);
    (void)export_queue_take(&queue, RECORDS_MAX, out, sizeof out, &records);
    assert_int_equal(records, RECORDS_MAX);
    // By bytes alike.
    uint32_t long_ones = 0;
    for (; export_queue_spare_room(&queue) != NULL; long_ones++)
        assert_true(add(1000, 's'));
    assert_int_equal(long_ones, 21);
    while (add(1000, 'k') > 0)
        long_ones++;
    assert_int_equal(long_ones, 25);
}

// Not nothing, where there are few.
static void of_few_records_the_last_is_kept_unless_it_is_the_only_one(void **state) {
    (void)state;
    static const struct { uint32_t max, spare; } cases[] = {{1, 1}, {2, 1}, {7, 6}, {8, 7}, {9, 7}};
    uint32_t records;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint32_t added = 0;
        queue.records_max = cases[i].max;
        for (; export_queue_spare_room(&queue) != NULL; added++)
            assert_true(add(1, 's'));
        assert_int_equal(added, cases[i].spare);
        export_queue_publish(&queue);
        (void)export_queue_take(&queue, RECORDS_MAX, out, sizeof out, &records);
        assert_int_equal(records, added);
    }
}

static void what_does_not_fit_waits_for_the_next(void **state) {
    (void)state;
    uint32_t records;
    const size_t each = add(EXPORT_RECORD_MAX - 3, 'x');
    assert_int_equal(each, EXPORT_RECORD_MAX);
    assert_true(add(100, 'y') > 0);
    export_queue_publish(&queue);
    assert_int_equal(export_queue_take(&queue, 9, out, EXPORT_RECORD_MAX + 50, &records), EXPORT_RECORD_MAX);
    assert_int_equal(records, 1);
    assert_int_equal(export_queue_take(&queue, 9, out, EXPORT_RECORD_MAX + 50, &records), 103);
}

static void more_records_than_may_wait_are_dropped_and_counted(void **state) {
    (void)state;
    uint32_t records;
    for (unsigned i = 0; i < RECORDS_MAX; i++)
        assert_true(add(5, 'a') > 0);
    assert_int_equal(add(5, 'a'), 0);
    assert_int_equal(add(5, 'a'), 0);
    assert_int_equal(metric_read(&queue.dropped), 2);
    assert_int_equal(metric_read(&queue.queued), RECORDS_MAX);
    export_queue_publish(&queue);
    export_queue_take(&queue, 1, out, sizeof out, &records);
    assert_true(add(5, 'a') > 0);
    assert_int_equal(add(5, 'a'), 0);
    assert_int_equal(metric_read(&queue.dropped), 3);
}

static void long_records_are_bounded_by_their_bytes(void **state) {
    (void)state;
    unsigned added = 0;
    for (; add(EXPORT_RECORD_MAX - 3, 'x') > 0; added++) {
        export_queue_publish(&queue);
        mailbox_receive(&home, NULL);
    }
    assert_in_range(added, 3, 4);
    assert_int_equal(metric_read(&queue.dropped), 1);
    assert_int_equal(notes, 1); // that it is short of room, once
    assert_true(export_queue_is_short_of_room(&queue));
}

static void the_reader_is_told_of_each_full_batch_once(void **state) {
    (void)state;
    for (unsigned i = 0; i < BATCH - 1; i++) {
        add(5, 'a');
        export_queue_publish(&queue);
    }
    mailbox_receive(&home, NULL);
    assert_int_equal(notes, 0);
    add(5, 'a');
    export_queue_publish(&queue);
    mailbox_receive(&home, NULL);
    assert_int_equal(notes, 1);
    add(5, 'a');
    export_queue_publish(&queue);
    mailbox_receive(&home, NULL);
    assert_int_equal(notes, 1);
}

#define MANY 200000

static void *write_many(void *argument) {
    uint64_t *dropped = argument;
    for (unsigned i = 0; i < MANY; i++) {
        if (add(1 + i % 700, (char)('a' + i % 26)) == 0)
            ++*dropped;
        if (i % 7 == 0)
            export_queue_publish(&queue);
    }
    export_queue_publish(&queue);
    return NULL;
}

static uint64_t check_whole(const char *bytes, size_t length) {
    uint64_t seen = 0;
    for (size_t at = 0; at < length; seen++) {
        const size_t content = (size_t)(bytes[at + 1] & 0x7F) | (size_t)bytes[at + 2] << 7;
        assert_int_equal(bytes[at], TAG);
        assert_in_range(content, 1, 700);
        assert_int_equal(bytes[at + 3], bytes[at + 2 + content]);
        at += content + 3;
        assert_true(at <= length);
    }
    return seen;
}

static void between_threads_each_is_taken_or_counted(void **state) {
    (void)state;
    pthread_t writer;
    uint64_t dropped = 0;
    uint64_t taken = 0;
    bool is_over = false;
    assert_int_equal(pthread_create(&writer, NULL, write_many, &dropped), 0);
    while (!is_over || export_queue_waiting(&queue) > 0) {
        uint32_t records;
        const size_t length = export_queue_take(&queue, 16, out, sizeof out, &records);
        assert_int_equal(check_whole(out, length), records);
        taken += records;
        if (!is_over && pthread_tryjoin_np(writer, NULL) == 0)
            is_over = true;
    }
    assert_int_equal(taken + dropped, MANY);
    assert_int_equal(metric_read(&queue.dropped), dropped);
    assert_int_equal(metric_read(&queue.queued), taken);
}

// A signal that was switched off holds no memory; one that is switched on again finds its queue as it was.
static void what_was_let_go_gives_its_memory_back(void **state) {
    (void)state;
    uint32_t records;
    export_queue_give(&queue);
    assert_false(export_queue_is_free(&queue));
    for (unsigned i = 0; i < 40; i++)
        add(500, 'x');
    export_queue_let_go(&queue);
    mailbox_receive(&home, NULL);
    assert_int_equal(notes, 1); // what is there can be read
    assert_true(export_queue_is_free(&queue));
    export_queue_give(&queue); // meanwhile it is wanted again
    assert_false(export_queue_is_free(&queue));
    export_queue_let_go(&queue);
    while (export_queue_waiting(&queue) > 0)
        export_queue_take(&queue, 99, out, sizeof out, &records);
    assert_int_equal(queue.ring.bytes[8192], 'x');
    export_queue_release(&queue);
    for (size_t i = 4096; i < 16384; i++) // all that lies in whole pages
        assert_int_equal(queue.ring.bytes[i], 0);
    export_queue_give(&queue);
    add(10, 'y');
    export_queue_publish(&queue);
    assert_int_equal(export_queue_take(&queue, 99, out, sizeof out, &records), 13);
    assert_int_equal(out[3], 'y');
}

static void a_batch_may_get_another_size(void **state) {
    (void)state;
    export_queue_set_batch(&queue, 2);
    add(10, 'a');
    export_queue_publish(&queue);
    mailbox_receive(&home, NULL);
    assert_int_equal(notes, 0);
    add(10, 'b');
    export_queue_publish(&queue);
    mailbox_receive(&home, NULL);
    assert_int_equal(notes, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(records_are_taken_whole_and_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(records_that_give_way_leave_the_last_part_to_others, set_up, tear_down),
        cmocka_unit_test_setup_teardown(of_few_records_the_last_is_kept_unless_it_is_the_only_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_does_not_fit_waits_for_the_next, set_up, tear_down),
        cmocka_unit_test_setup_teardown(more_records_than_may_wait_are_dropped_and_counted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(long_records_are_bounded_by_their_bytes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_reader_is_told_of_each_full_batch_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(between_threads_each_is_taken_or_counted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_was_let_go_gives_its_memory_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_batch_may_get_another_size, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
