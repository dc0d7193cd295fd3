// What is taken from the allocator, and only that, is taken from the room of its sources, and comes back with it; never is there more than the last look has said.
#include "base/memory_room.h"

#include "base/block.h"
#include "base/pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define SHARE 1000000

static void what_is_taken_comes_back_up_to_the_share(void **state) {
    (void)state;
    struct memory_room room;
    memory_room_set(&room, SHARE);
    memory_room_take(&room, SHARE + 10);
    assert_int_equal(room.left, -10);
    memory_room_give_back(&room, 15);
    assert_int_equal(room.left, 5);
    memory_room_give_back(&room, SHARE - 5);
    assert_int_equal(room.left, SHARE);
    memory_room_give_back(&room, 1);
    assert_int_equal(room.left, SHARE);
}

static void an_endless_room_stays_one(void **state) {
    (void)state;
    struct memory_room room;
    memory_room_set(&room, MEMORY_ROOM_ENDLESS);
    memory_room_give_back(&room, SIZE_MAX / 2);
    assert_int_equal(room.left, MEMORY_ROOM_ENDLESS);
    memory_room_take(&room, INT64_MAX / 4);
    assert_true(room.left > SHARE);
}

static void only_new_blocks_take_room(void **state) {
    (void)state;
    struct memory_room room;
    struct block_source source;
    memory_room_set(&room, SHARE);
    block_source_init(&source, 1);
    source.room = &room;
    struct block *first = block_get(&source);
    struct block *second = block_get(&source);
    assert_int_equal(room.left, SHARE - 2 * BLOCK_SIZE);
    block_unref(first); // is kept for later
    assert_int_equal(room.left, SHARE - 2 * BLOCK_SIZE);
    first = block_get(&source);
    assert_int_equal(room.left, SHARE - 2 * BLOCK_SIZE);
    block_unref(first);
    block_unref(second); // is not
    assert_int_equal(room.left, SHARE - BLOCK_SIZE);
    block_source_trim(&source, 0);
    assert_int_equal(room.left, SHARE);
    block_source_dispose(&source);
}

static void only_new_chunks_take_room(void **state) {
    (void)state;
    struct memory_room room;
    struct pool_source source;
    struct pool first, second;
    memory_room_set(&room, SHARE);
    pool_source_init(&source, 1);
    source.room = &room;
    pool_init(&first, &source);
    pool_init(&second, &source);
    (void)pool_alloc(&first, 100);
    (void)pool_alloc(&second, 100);
    assert_int_equal(room.left, SHARE - 2 * POOL_CHUNK_SIZE);
    pool_dispose(&first);
    assert_int_equal(room.left, SHARE - 2 * POOL_CHUNK_SIZE);
    pool_dispose(&second);
    assert_int_equal(room.left, SHARE - POOL_CHUNK_SIZE);
    pool_source_dispose(&source);
    assert_int_equal(room.left, SHARE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_taken_comes_back_up_to_the_share),
        cmocka_unit_test(an_endless_room_stays_one),
        cmocka_unit_test(only_new_blocks_take_room),
        cmocka_unit_test(only_new_chunks_take_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
