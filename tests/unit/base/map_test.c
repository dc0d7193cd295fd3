// The hash map: set, replace, remove, growth, iteration, and against a plain array under random operations.
#include "base/map.h"

#include "base/rng.h"

#include <stdio.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static int a;
static int b;

static void an_empty_map_has_nothing(void **state) {
    (void)state;
    struct map map;
    map_init(&map);
    assert_null(map_get(&map, BYTES("x")));
    assert_null(map_remove(&map, BYTES("x")));
    uint32_t position = 0;
    struct bytes key;
    void *value;
    assert_false(map_next(&map, &position, &key, &value));
    map_dispose(&map);
}

static void a_value_is_found_replaced_and_removed(void **state) {
    (void)state;
    struct map map;
    map_init(&map);
    assert_null(map_put(&map, BYTES("name"), &a));
    assert_ptr_equal(map_get(&map, BYTES("name")), &a);
    assert_null(map_get(&map, BYTES("nam")));
    assert_ptr_equal(map_put(&map, BYTES("name"), &b), &a);
    assert_int_equal(map.count, 1);
    assert_ptr_equal(map_remove(&map, BYTES("name")), &b);
    assert_null(map_remove(&map, BYTES("name")));
    assert_null(map_get(&map, BYTES("name")));
    assert_int_equal(map.count, 0);
    map_dispose(&map);
}

static void keys_are_copied_and_may_hold_any_bytes(void **state) {
    (void)state;
    struct map map;
    map_init(&map);
    char key[] = "abc";
    map_put(&map, bytes_from(key, 3), &a);
    key[0] = 'x';
    assert_ptr_equal(map_get(&map, BYTES("abc")), &a);
    map_put(&map, BYTES("a\0b"), &b);
    assert_ptr_equal(map_get(&map, BYTES("a\0b")), &b);
    assert_null(map_get(&map, BYTES("a\0c")));
    map_put(&map, BYTES_NONE, &b);
    assert_ptr_equal(map_get(&map, BYTES("")), &b);
    map_dispose(&map);
    assert_int_equal(map.capacity, 0);
}

static struct bytes key_of(char *text, uint32_t number) {
    return bytes_from(text, (size_t)sprintf(text, "service-%u.example:80", number));
}

static void it_grows_with_its_keys_and_finds_all(void **state) {
    (void)state;
    struct map map;
    map_init(&map);
    static int values[5000];
    char text[64];
    for (uint32_t i = 0; i < 5000; i++)
        assert_null(map_put(&map, key_of(text, i), &values[i]));
    assert_int_equal(map.count, 5000);
    assert_int_equal(map.capacity, 8192);
    for (uint32_t i = 0; i < 5000; i++)
        assert_ptr_equal(map_get(&map, key_of(text, i)), &values[i]);
    assert_null(map_get(&map, key_of(text, 5000)));
    map_dispose(&map);
}

static void keys_that_come_and_go_leave_nothing_behind(void **state) {
    (void)state;
    struct map map;
    map_init(&map);
    static int value;
    char text[64];
    for (uint32_t i = 0; i < 100000; i++) {
        map_put(&map, key_of(text, i), &value);
        if (i >= 5)
            assert_ptr_equal(map_remove(&map, key_of(text, i - 5)), &value);
    }
    assert_int_equal(map.count, 5);
    assert_int_equal(map.capacity, 8); // graves would have filled it
    map_dispose(&map);
}

static void iteration_gives_each_entry_once(void **state) {
    (void)state;
    struct map map;
    map_init(&map);
    int values[100];
    char text[64];
    for (uint32_t i = 0; i < 100; i++) {
        values[i] = 0;
        map_put(&map, key_of(text, i), &values[i]);
    }
    uint32_t position = 0;
    struct bytes key;
    void *value;
    while (map_next(&map, &position, &key, &value)) {
        int *seen = value;
        assert_true(bytes_equal(key, key_of(text, (uint32_t)(seen - values))));
        (*seen)++;
    }
    for (uint32_t i = 0; i < 100; i++)
        assert_int_equal(values[i], 1);
    map_dispose(&map);
}

#define MODEL_KEYS 200

static void behaves_like_a_plain_array_under_random_operations(void **state) {
    (void)state;
    static int values[64];
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct rng rng;
        rng_init(&rng, seed);
        struct map map;
        map_init(&map);
        int *model[MODEL_KEYS] = {NULL};
        uint32_t count = 0;
        char text[64];
        for (int i = 0; i < 5000; i++) {
            uint32_t number = rng_below(&rng, MODEL_KEYS);
            struct bytes key = key_of(text, number);
            int *before = model[number];
            if (rng_below(&rng, 2) == 0) {
                model[number] = &values[rng_below(&rng, 64)];
                count += before == NULL;
                assert_ptr_equal(map_put(&map, key, model[number]), before);
            } else {
                model[number] = NULL;
                count -= before != NULL;
                assert_ptr_equal(map_remove(&map, key), before);
            }
            assert_int_equal(map.count, count);
            if (i % 50 == 0)
                for (uint32_t j = 0; j < MODEL_KEYS; j++)
                    assert_ptr_equal(map_get(&map, key_of(text, j)), model[j]);
        }
        map_dispose(&map);
    }
}

#define HASHED 39 // whole words and a rest

static void hashes_depend_on_every_byte_and_the_length(void **state) {
    (void)state;
    char text[HASHED] = {0};
    uint64_t seen[HASHED * 2 + 1];
    unsigned count = 0;
    for (size_t length = 0; length <= HASHED; length++) // zeros of every length
        seen[count++] = hash_bytes(bytes_from(text, length));
    for (size_t i = 0; i < HASHED; i++) { // one byte of the longest set
        text[i] = 1;
        seen[count++] = hash_bytes(bytes_from(text, HASHED));
        text[i] = 0;
    }
    for (unsigned i = 0; i < count; i++)
        for (unsigned j = i + 1; j < count; j++)
            assert_true(seen[i] != seen[j]);
    assert_true(hash_bytes(BYTES("same")) == hash_bytes(BYTES("same")));
}

static void hashes_spread_similar_keys(void **state) {
    (void)state;
    uint32_t buckets[64] = {0};
    char text[64];
    for (uint32_t i = 0; i < 6400; i++)
        buckets[hash_bytes(key_of(text, i)) % 64]++;
    // 100 expected; with a random seed 8 standard deviations are never seen.
    for (int i = 0; i < 64; i++)
        assert_in_range(buckets[i], 20, 180);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_map_has_nothing),
        cmocka_unit_test(a_value_is_found_replaced_and_removed),
        cmocka_unit_test(keys_are_copied_and_may_hold_any_bytes),
        cmocka_unit_test(it_grows_with_its_keys_and_finds_all),
        cmocka_unit_test(keys_that_come_and_go_leave_nothing_behind),
        cmocka_unit_test(iteration_gives_each_entry_once),
        cmocka_unit_test(behaves_like_a_plain_array_under_random_operations),
        cmocka_unit_test(hashes_depend_on_every_byte_and_the_length),
        cmocka_unit_test(hashes_spread_similar_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
