// Exponential histograms: each duration lies in its bucket, never more than 160, and sums are as if all had been recorded in one.
#include "telemetry/exponential_histogram.h"

#include "base/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void one_duration_is_in_the_finest_bucket(void **state) {
    (void)state;
    struct exponential_histogram histogram;
    exponential_init(&histogram);
    exponential_record(&histogram, 300 * NS_PER_MS);
    assert_int_equal(histogram.scale, EXPONENTIAL_SCALE_MAX);
    assert_int_equal(histogram.used, 1);
    const double base = exp2(exp2(-histogram.scale));
    assert_true(pow(base, histogram.offset) < 0.3000001 && pow(base, histogram.offset + 1) > 0.2999999);
    exponential_record(&histogram, 0);
    assert_int_equal(histogram.zeros, 1);
}

// One second is 2^0: the upper bound of the bucket that it is in.
static void upper_bounds_are_inclusive(void **state) {
    (void)state;
    struct exponential_histogram histogram;
    exponential_init(&histogram);
    exponential_record(&histogram, NS_PER_S);
    assert_int_equal(histogram.offset, -1);
    exponential_init(&histogram);
    exponential_record(&histogram, 4 * NS_PER_S);
    assert_int_equal(histogram.offset, (2 << EXPONENTIAL_SCALE_MAX) - 1);
}

static void it_grows_coarser_where_it_must(void **state) {
    (void)state;
    struct exponential_histogram histogram;
    exponential_init(&histogram);
    exponential_record(&histogram, 1); // a nanosecond
    exponential_record(&histogram, 100000 * NS_PER_S);
    assert_true(histogram.used <= EXPONENTIAL_BUCKETS && histogram.used > EXPONENTIAL_BUCKETS / 2);
    assert_int_equal(histogram.scale, 1); // 47 octaves
    assert_int_equal(histogram.buckets[0], 1);
    assert_int_equal(histogram.buckets[histogram.used - 1], 1);
    exponential_record(&histogram, UINT64_MAX);
    assert_int_equal(exponential_count(&histogram), 3);
}

static nanoseconds some_duration(struct rng *rng) {
    return rng_next(rng) >> (rng_next(rng) % 60);
}

static bool is_alike(const struct exponential_histogram *a, const struct exponential_histogram *b) {
    if (a->scale != b->scale || a->offset != b->offset || a->used != b->used || a->zeros != b->zeros)
        return false;
    for (uint32_t i = 0; i < a->used; i++)
        if (a->buckets[i] != b->buckets[i])
            return false;
    return true;
}

static void sums_are_as_if_all_were_recorded_in_one(void **state) {
    (void)state;
    struct rng rng;
    rng_init(&rng, 7);
    for (unsigned round = 0; round < 300; round++) {
        struct exponential_histogram all, one, other, sum;
        const unsigned first = (unsigned)(rng_next(&rng) % 40), second = (unsigned)(rng_next(&rng) % 40);
        exponential_init(&all);
        exponential_init(&one);
        exponential_init(&other);
        for (unsigned i = 0; i < first + second; i++) {
            const nanoseconds duration = some_duration(&rng);
            exponential_record(&all, duration);
            exponential_record(i < first ? &one : &other, duration);
        }
        sum = one;
        exponential_add(&sum, &other);
        assert_int_equal(exponential_count(&sum), first + second);
        if (all.used > 0)
            assert_true(is_alike(&all, &sum));
        // And what was there before taken away again leaves what came since.
        exponential_subtract(&sum, &one);
        assert_int_equal(exponential_count(&sum), second);
    }
}

// What is taken away too much is owed: added again it is as before; clipped it is nothing.
static void more_than_there_was_can_be_taken(void **state) {
    (void)state;
    struct exponential_histogram one, other;
    exponential_init(&one);
    exponential_init(&other);
    exponential_record(&one, NS_PER_S);
    exponential_record(&other, NS_PER_MS);
    exponential_record(&other, 0);
    struct exponential_histogram left = one;
    exponential_subtract(&left, &other);
    struct exponential_histogram clipped = left;
    exponential_clip(&clipped);
    assert_int_equal(exponential_count(&clipped), 1);
    exponential_add(&left, &other);
    exponential_clip(&left);
    assert_int_equal(exponential_count(&left), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_duration_is_in_the_finest_bucket), cmocka_unit_test(upper_bounds_are_inclusive),
        cmocka_unit_test(it_grows_coarser_where_it_must),       cmocka_unit_test(sums_are_as_if_all_were_recorded_in_one),
        cmocka_unit_test(more_than_there_was_can_be_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
