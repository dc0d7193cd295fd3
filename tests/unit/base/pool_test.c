// Pools: alignment, chunks reused, large objects, disposers, and the allocations that may fail.
#include "base/pool.h"

#include "base/list.h"
#include "base/poison.h"

#include <stdalign.h>
#include <stdlib.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void objects_are_aligned_and_do_not_overlap(void **state) {
    (void)state;
    struct pool_source source;
    struct pool pool;
    pool_source_init(&source, 8);
    pool_init(&pool, &source);
    unsigned char *objects[400];
    size_t sizes[400];
    for (size_t i = 0; i < 400; i++) {
        sizes[i] = i * 7 % 300;
        objects[i] = pool_alloc(&pool, sizes[i]);
        assert_non_null(objects[i]);
        assert_int_equal((uintptr_t)objects[i] % alignof(max_align_t), 0);
        memset(objects[i], (int)(i & 0xff), sizes[i]);
    }
    for (size_t i = 0; i < 400; i++)
        for (size_t j = 0; j < sizes[i]; j++)
            assert_int_equal(objects[i][j], i & 0xff);
    pool_dispose(&pool);
    pool_source_dispose(&source);
}

static void an_unused_pool_takes_no_memory(void **state) {
    (void)state;
    struct pool_source source;
    struct pool pool;
    pool_source_init(&source, 8);
    pool_init(&pool, &source);
    assert_int_equal(source.used, 0);
    pool_dispose(&pool);
    assert_int_equal(source.free_count, 0);
    pool_source_dispose(&source);
}

static void an_object_of_no_bytes_has_an_address(void **state) {
    (void)state;
    struct pool_source source;
    struct pool pool;
    pool_source_init(&source, 8);
    pool_init(&pool, &source);
    char *first = pool_alloc(&pool, 0);
    assert_non_null(first);
    assert_ptr_not_equal(pool_alloc(&pool, 0), first);
    pool_dispose(&pool);
    pool_source_dispose(&source);
}

static void chunks_come_back_and_are_taken_again(void **state) {
    (void)state;
    struct pool_source source;
    struct pool pool;
    pool_source_init(&source, 8);
    for (int round = 0; round < 100; round++) {
        pool_init(&pool, &source);
        for (int i = 0; i < 30; i++)
            pool_alloc(&pool, 350);
        assert_int_equal(source.used + source.free_count, 3); // nothing new once warm
        assert_int_equal(source.used, 3);
        pool_dispose(&pool);
        assert_int_equal(source.used, 0);
    }
    pool_source_dispose(&source);
}

static void no_more_chunks_are_kept_than_the_bound(void **state) {
    (void)state;
    struct pool_source source;
    struct pool pool;
    pool_source_init(&source, 2);
    pool_init(&pool, &source);
    for (int i = 0; i < 10; i++)
        pool_alloc(&pool, 3000);
    assert_int_equal(source.used, 10);
    pool_dispose(&pool);
    assert_int_equal(source.free_count, 2);
    pool_source_trim(&source, 1);
    assert_int_equal(source.free_count, 1);
    pool_source_dispose(&source);
}

static void a_large_object_leaves_the_current_chunk_in_use(void **state) {
    (void)state;
    struct pool_source source;
    struct pool pool;
    pool_source_init(&source, 8);
    pool_init(&pool, &source);
    char *before = pool_alloc(&pool, 16);
    char *large = pool_alloc_zeroed(&pool, 1000000);
    char *larger = pool_alloc(&pool, POOL_CHUNK_SIZE);
    char *after = pool_alloc(&pool, 16);
    assert_int_equal(large[999999], 0);
    memset(larger, 1, POOL_CHUNK_SIZE);
    assert_int_equal(source.used, 1);
    assert_true(after > before && after - before <= 64);
    pool_dispose(&pool);
    assert_int_equal(source.free_count, 1);
    pool_source_dispose(&source);
}

static void sizes_about_a_chunk_are_usable_to_their_last_byte(void **state) {
    (void)state;
    struct pool_source source;
    pool_source_init(&source, 8);
    for (size_t size = POOL_CHUNK_SIZE - 64; size <= POOL_CHUNK_SIZE + 64; size++) {
        struct pool pool;
        pool_init(&pool, &source);
        pool_alloc(&pool, 1);
        char *object = pool_alloc(&pool, size);
        memset(object, 'x', size);
        char *small = pool_alloc(&pool, 16);
        memset(small, 'y', 16);
        assert_int_equal(object[size - 1], 'x');
        pool_dispose(&pool);
    }
    pool_source_dispose(&source);
}

static void the_chunk_with_more_room_stays_current(void **state) {
    (void)state;
    struct pool_source source;
    struct pool pool;
    pool_source_init(&source, 8);
    pool_init(&pool, &source);
    pool_alloc(&pool, 1000);
    pool_alloc(&pool, 3900); // nearly a chunk of its own
    for (int i = 0; i < 20; i++)
        pool_alloc(&pool, 100); // fit behind the first
    assert_int_equal(source.used, 2);
    pool_dispose(&pool);
    pool_source_dispose(&source);
}

static char order[16];

static void digits_are_those_of_the_number(void **state) {
    (void)state;
    struct pool_source source;
    struct pool pool;
    pool_source_init(&source, 1);
    pool_init(&pool, &source);
    assert_string_equal(pool_digits(&pool, 0).at, "0");
    assert_string_equal(pool_digits(&pool, 10).at, "10");
    assert_string_equal(pool_digits(&pool, UINT64_MAX).at, "18446744073709551615");
    assert_int_equal(pool_digits(&pool, 1234567).len, 7);
    pool_dispose(&pool);
    pool_source_dispose(&source);
}

static void note(void *argument) {
    strcat(order, argument);
}

static void disposers_run_last_in_first_out(void **state) {
    (void)state;
    struct pool_source source;
    struct pool pool;
    pool_source_init(&source, 8);
    pool_init(&pool, &source);
    order[0] = '\0';
    char a[] = "a", b[] = "b", c[] = "c";
    pool_on_dispose(&pool, note, a);
    struct pool_disposer *cancelled = pool_on_dispose(&pool, note, b);
    pool_on_dispose(&pool, note, c);
    pool_cancel_dispose(&pool, cancelled);
    assert_string_equal(order, "");
    pool_dispose(&pool);
    assert_string_equal(order, "ca");
    pool_source_dispose(&source);
}

struct canceller {
    struct pool *pool;
    struct pool_disposer *other;
};

static void cancel_other(void *argument) {
    struct canceller *canceller = argument;
    strcat(order, "!");
    pool_cancel_dispose(canceller->pool, canceller->other);
}

static void a_disposer_may_cancel_another_and_use_the_pools_memory(void **state) {
    (void)state;
    struct pool_source source;
    struct pool pool;
    pool_source_init(&source, 8);
    pool_init(&pool, &source);
    order[0] = '\0';
    struct canceller *canceller = pool_alloc(&pool, sizeof(*canceller));
    char a[] = "a";
    *canceller = (struct canceller){&pool, pool_on_dispose(&pool, note, a)};
    pool_on_dispose(&pool, cancel_other, canceller);
    pool_dispose(&pool);
    assert_string_equal(order, "!");
    pool_source_dispose(&source);
}

static void add_one_more(void *argument) {
    struct canceller *owner = argument;
    strcat(order, "1");
    static char last[] = "2";
    pool_on_dispose(owner->pool, note, last);
}

static void a_disposer_added_by_a_disposer_runs_too(void **state) {
    (void)state;
    struct pool_source source;
    struct pool pool;
    pool_source_init(&source, 8);
    pool_init(&pool, &source);
    order[0] = '\0';
    struct canceller owner = {&pool, NULL};
    pool_on_dispose(&pool, add_one_more, &owner);
    pool_dispose(&pool);
    assert_string_equal(order, "12");
    pool_source_dispose(&source);
}

struct stream {
    struct pool pool;
    int *disposed;
    char payload[6000];
};

static void count_stream(void *argument) {
    struct stream *stream = argument;
    (*stream->disposed)++;
}

static void a_pool_may_lie_in_its_own_memory(void **state) {
    (void)state;
    struct pool_source source;
    pool_source_init(&source, 1);
    int disposed = 0;
    for (int round = 0; round < 3; round++) {
        struct pool first;
        pool_init(&first, &source);
        pool_alloc(&first, 100);
        // Once in a chunk, once in memory of its own.
        size_t size = round == 1 ? sizeof(struct stream) : offsetof(struct stream, payload);
        struct stream *stream = pool_alloc(&first, size);
        stream->pool = first;
        stream->disposed = &disposed;
        for (int i = 0; i < 5; i++)
            pool_alloc(&stream->pool, 2000);
        pool_on_dispose(&stream->pool, count_stream, stream);
        pool_dispose(&stream->pool);
        assert_int_equal(source.used, 0);
    }
    assert_int_equal(disposed, 3);
    pool_source_dispose(&source);
}

static void copies_end_in_a_nul(void **state) {
    (void)state;
    struct pool_source source;
    struct pool pool;
    pool_source_init(&source, 8);
    pool_init(&pool, &source);
    struct bytes copy = pool_copy(&pool, BYTES("a\0b"));
    assert_int_equal(copy.len, 3);
    assert_memory_equal(copy.at, "a\0b", 4);
    copy = pool_copy(&pool, BYTES_NONE);
    assert_int_equal(copy.len, 0);
    assert_string_equal(copy.at, "");
    pool_dispose(&pool);
    pool_source_dispose(&source);
}

static void formatted_text_may_be_of_any_length(void **state) {
    (void)state;
    struct pool_source source;
    struct pool pool;
    pool_source_init(&source, 8);
    pool_init(&pool, &source);
    struct bytes text = pool_format(&pool, "%s-%d", "x", 5);
    assert_true(bytes_equal(text, BYTES("x-5")));
    for (int length = 505; length < 520; length++) {
        text = pool_format(&pool, "%0*d", length, 7);
        assert_int_equal(text.len, length);
        assert_int_equal(text.at[length - 1], '7');
        assert_int_equal(text.at[length], '\0');
    }
    text = pool_format(&pool, "%09000d", 7);
    assert_int_equal(text.len, 9000);
    pool_dispose(&pool);
    pool_source_dispose(&source);
}

static void overflow_and_use_after_dispose_are_seen_by_the_sanitizer(void **state) {
    (void)state;
#if POISON_ENABLED
    struct pool_source source;
    struct pool pool;
    pool_source_init(&source, 8);
    pool_init(&pool, &source);
    char *a = pool_alloc(&pool, 16);
    char *b = pool_alloc(&pool, 5);
    pool_alloc(&pool, 16);
    assert_false(__asan_address_is_poisoned(a + 15));
    assert_true(__asan_address_is_poisoned(a + 16));
    assert_false(__asan_address_is_poisoned(b + 4));
    assert_true(__asan_address_is_poisoned(b + 5));
    pool_dispose(&pool);
    assert_true(__asan_address_is_poisoned(a));
    pool_init(&pool, &source);
    assert_ptr_equal(pool_alloc(&pool, 8), a);
    assert_false(__asan_address_is_poisoned(a));
    assert_true(__asan_address_is_poisoned(a + 8));
    pool_dispose(&pool);
    pool_source_dispose(&source);
#else
    skip();
#endif
}

static void allocations_that_abort_give_memory_of_any_size(void **state) {
    (void)state;
    char *memory = alloc_or_abort(0);
    assert_non_null(memory);
    free(memory);
    int *numbers = alloc_zeroed_or_abort(100, sizeof(int));
    for (int i = 0; i < 100; i++)
        assert_int_equal(numbers[i], 0);
    free(numbers);
    memory = alloc_zeroed_or_abort(0, 8);
    assert_non_null(memory);
    free(memory);
    memory = copy_text_or_abort(BYTES("name"));
    assert_string_equal(memory, "name");
    free(memory);
    memory = copy_text_or_abort(BYTES_NONE);
    assert_string_equal(memory, "");
    free(memory);
}

static void exactly_the_chosen_try_fails(void **state) {
    (void)state;
    for (unsigned n = 1; n <= 4; n++) {
        try_alloc_fail_after(n);
        for (unsigned i = 1; i <= 6; i++) {
            void *memory = try_alloc(10);
            if (i == n)
                assert_null(memory);
            else
                assert_non_null(memory);
            free(memory);
        }
    }
    try_alloc_fail_after(1);
    try_alloc_fail_after(0);
    void *memory = try_alloc(0);
    assert_non_null(memory);
    free(memory);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_are_aligned_and_do_not_overlap),
        cmocka_unit_test(an_unused_pool_takes_no_memory),
        cmocka_unit_test(an_object_of_no_bytes_has_an_address),
        cmocka_unit_test(chunks_come_back_and_are_taken_again),
        cmocka_unit_test(no_more_chunks_are_kept_than_the_bound),
        cmocka_unit_test(a_large_object_leaves_the_current_chunk_in_use),
        cmocka_unit_test(sizes_about_a_chunk_are_usable_to_their_last_byte),
        cmocka_unit_test(the_chunk_with_more_room_stays_current),
        cmocka_unit_test(digits_are_those_of_the_number),
        cmocka_unit_test(disposers_run_last_in_first_out),
        cmocka_unit_test(a_disposer_may_cancel_another_and_use_the_pools_memory),
        cmocka_unit_test(a_disposer_added_by_a_disposer_runs_too),
        cmocka_unit_test(a_pool_may_lie_in_its_own_memory),
        cmocka_unit_test(copies_end_in_a_nul),
        cmocka_unit_test(formatted_text_may_be_of_any_length),
        cmocka_unit_test(overflow_and_use_after_dispose_are_seen_by_the_sanitizer),
        cmocka_unit_test(allocations_that_abort_give_memory_of_any_size),
        cmocka_unit_test(exactly_the_chosen_try_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
