// Blocks: counted references, the free list and its bound, poisoning of what is free.
#include "base/block.h"

#include "base/poison.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static bool is_poisoned(const void *at) {
#if POISON_ENABLED
    return __asan_address_is_poisoned(at) != 0;
#else
    (void)at;
    return false;
#endif
}

static void a_new_block_is_empty_and_has_one_reference(void **state) {
    (void)state;
    struct block_source source;
    block_source_init(&source, 4);
    struct block *block = block_get(&source);
    assert_int_equal(block->references, 1);
    assert_int_equal(block->filled, 0);
    assert_int_equal(block_room(block), BLOCK_CAPACITY);
    block->bytes[0] = 'a';
    block->bytes[BLOCK_CAPACITY - 1] = 'z';
    block->filled = BLOCK_CAPACITY;
    assert_int_equal(block_room(block), 0);
    block_unref(block);
    block_source_dispose(&source);
}

static void a_block_returns_with_its_last_reference(void **state) {
    (void)state;
    struct block_source source;
    block_source_init(&source, 4);
    struct block *block = block_get(&source);
    block_ref(block);
    block_unref(block);
    assert_int_equal(source.used, 1);
    assert_int_equal(source.free_count, 0);
    block_unref(block);
    assert_int_equal(source.used, 0);
    assert_int_equal(source.free_count, 1);
    block_source_dispose(&source);
}

static void the_block_freed_last_is_taken_first_and_is_empty_again(void **state) {
    (void)state;
    struct block_source source;
    block_source_init(&source, 4);
    struct block *a = block_get(&source);
    struct block *b = block_get(&source);
    a->filled = 100;
    b->filled = 200;
    block_unref(a);
    block_unref(b);
    assert_ptr_equal(block_get(&source), b);
    assert_int_equal(b->filled, 0);
    assert_int_equal(b->references, 1);
    assert_ptr_equal(block_get(&source), a);
    assert_int_equal(source.used_peak, 2);
    block_unref(a);
    block_unref(b);
    block_source_dispose(&source);
}

static void more_than_the_bound_is_not_kept(void **state) {
    (void)state;
    struct block_source source;
    block_source_init(&source, 2);
    struct block *blocks[5];
    for (int i = 0; i < 5; i++)
        blocks[i] = block_get(&source);
    for (int i = 0; i < 5; i++)
        block_unref(blocks[i]);
    assert_int_equal(source.free_count, 2);
    assert_int_equal(source.used_peak, 5);
    block_source_trim(&source, 1);
    assert_int_equal(source.free_count, 1);
    block_source_trim(&source, 3);
    assert_int_equal(source.free_count, 1);
    block_source_dispose(&source);
    assert_int_equal(source.free_count, 0);
}

static void rings_are_kept_apart_up_to_their_bound(void **state) {
    (void)state;
    struct block_source source;
    block_source_init(&source, 0);
    void *rings[BLOCK_RINGS_KEPT + 2];
    for (int i = 0; i < BLOCK_RINGS_KEPT + 2; i++)
        rings[i] = block_ring_get(&source);
    assert_int_equal(source.rings_used, BLOCK_RINGS_KEPT + 2);
    for (int i = 0; i < BLOCK_RINGS_KEPT + 2; i++)
        block_ring_put(&source, rings[i]);
    assert_int_equal(source.rings_free, BLOCK_RINGS_KEPT);
    assert_ptr_equal(block_ring_get(&source), rings[BLOCK_RINGS_KEPT - 1]);
    block_ring_put(&source, rings[BLOCK_RINGS_KEPT - 1]);
    block_source_dispose(&source);
    assert_int_equal(source.rings_free, 0);
}

static void use_after_release_is_seen_by_the_sanitizer(void **state) {
    (void)state;
    struct block_source source;
    block_source_init(&source, 4);
    struct block *block = block_get(&source);
    void *ring = block_ring_get(&source);
    assert_false(is_poisoned(block->bytes));
    block_unref(block);
    block_ring_put(&source, ring);
    assert_int_equal(is_poisoned(block->bytes), POISON_ENABLED);
    assert_int_equal(is_poisoned(block->bytes + BLOCK_CAPACITY - 1), POISON_ENABLED);
    assert_int_equal(is_poisoned((char *)ring + BLOCK_RING_BYTES - 1), POISON_ENABLED);
    assert_ptr_equal(block_get(&source), block);
    assert_false(is_poisoned(block->bytes + BLOCK_CAPACITY - 1));
    block_unref(block);
    block_source_dispose(&source);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_block_is_empty_and_has_one_reference),
        cmocka_unit_test(a_block_returns_with_its_last_reference),
        cmocka_unit_test(the_block_freed_last_is_taken_first_and_is_empty_again),
        cmocka_unit_test(more_than_the_bound_is_not_kept),
        cmocka_unit_test(rings_are_kept_apart_up_to_their_bound),
        cmocka_unit_test(use_after_release_is_seen_by_the_sanitizer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
