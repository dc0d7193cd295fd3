// The hash is SipHash-1-3 as others compute it, and the same for ever: balancers of all versions must agree.
#include "base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

// Key 00 01 ... 0f and messages 00 01 02 ..., as the reference implementation has them.
static void the_hash_is_siphash_1_3(void **state) {
    (void)state;
    const uint64_t key[] = {UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908)};
    assert_true(hash_with_key(key[0], key[1], BYTES_NONE) == UINT64_C(0xabac0158050fc4dc));
    assert_true(hash_with_key(key[0], key[1], bytes_from("\0", 1)) == UINT64_C(0xc9f49bf37d57ca93));
    assert_true(hash_with_key(key[0], key[1], bytes_from("\0\1", 2)) == UINT64_C(0x82cb9b024dc7d44d));
}

static void bytes_and_key_all_count(void **state) {
    (void)state;
    uint64_t hash = hash_with_key(1, 2, BYTES("tenant-17-of-many"));
    assert_true(hash != hash_with_key(2, 2, BYTES("tenant-17-of-many")));
    assert_true(hash != hash_with_key(1, 1, BYTES("tenant-17-of-many")));
    assert_true(hash != hash_with_key(1, 2, BYTES("tenant-18-of-many")));
    assert_true(hash != hash_with_key(1, 2, BYTES("tenant-17-of-man")));
}

static void neighbours_are_mixed_far_apart(void **state) {
    (void)state;
    unsigned in_quarter[4] = {0};
    for (uint64_t i = 0; i < 10000; i++)
        in_quarter[hash_mix(i) >> 62]++;
    for (int i = 0; i < 4; i++)
        assert_in_range(in_quarter[i], 2300, 2700);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_hash_is_siphash_1_3),
        cmocka_unit_test(bytes_and_key_all_count),
        cmocka_unit_test(neighbours_are_mixed_far_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
