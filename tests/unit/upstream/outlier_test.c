// An endpoint is ejected after so many failures in a row, for longer each time and never longer than the ceiling; clean intervals shorten it again; no more of a service's endpoints are than
// its share, whoever counts, however many count at once. Thousands of random histories agree with a model that keeps all of it in plain numbers.
#include "upstream/outlier.h"

#include "base/rng.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define START (UINT64_C(1000) * NS_PER_S)
#define SEEDS 3000
#define ENDPOINTS_MAX 8

static const struct outlier_config usual = {
    .failure_threshold = 5, .interval = 10 * NS_PER_S, .eject_for = 30 * NS_PER_S, .max_eject_for = 300 * NS_PER_S, .max_ejected_percent = 50};

// Fails until it is ejected, and returns for how long.
static nanoseconds eject(struct outlier *outlier, struct outlier_counts *counts, const struct outlier_config *config, nanoseconds now) {
    for (uint32_t i = 1; i < config->failure_threshold; i++)
        assert_int_equal(outlier_note_failure(outlier, counts, config, 2, now), OUTLIER_NONE);
    assert_int_equal(outlier_note_failure(outlier, counts, config, 2, now), OUTLIER_EJECTED);
    const struct outlier_view view = outlier_look(outlier);
    assert_true(view.is_ejected && !view.is_shadow);
    return view.until - now;
}

static void a_success_ends_the_row(void **state) {
    (void)state;
    struct outlier outlier = {0};
    struct outlier_counts counts = {0};
    for (int i = 0; i < 4; i++)
        outlier_note_failure(&outlier, &counts, &usual, 10, START);
    outlier_note_success(&outlier);
    for (int i = 0; i < 4; i++)
        assert_int_equal(outlier_note_failure(&outlier, &counts, &usual, 10, START), OUTLIER_NONE);
    assert_false(outlier_look(&outlier).is_ejected);
    assert_int_equal(outlier_note_failure(&outlier, &counts, &usual, 10, START), OUTLIER_EJECTED);
    assert_int_equal(counts.ejected, 1);
    assert_int_equal(counts.ejections, 1);
}

static void it_returns_when_its_time_is_over(void **state) {
    (void)state;
    struct outlier outlier = {0};
    struct outlier_counts counts = {0};
    assert_true(eject(&outlier, &counts, &usual, START) == 30 * NS_PER_S);
    // What was under way meanwhile neither ejects it again nor counts afterwards.
    for (int i = 0; i < 9; i++)
        assert_int_equal(outlier_note_failure(&outlier, &counts, &usual, 2, START + NS_PER_S), OUTLIER_NONE);
    assert_int_equal(outlier_end(&outlier, &counts, START + 30 * NS_PER_S - 1), OUTLIER_NONE);
    assert_int_equal(outlier_end(&outlier, &counts, START + 30 * NS_PER_S), OUTLIER_RETURNED);
    assert_int_equal(outlier_end(&outlier, &counts, START + 30 * NS_PER_S), OUTLIER_NONE);
    assert_int_equal(counts.ejected, 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(outlier_note_failure(&outlier, &counts, &usual, 2, START + 30 * NS_PER_S), OUTLIER_NONE);
}

// 30 s, 60 s, ... up to five minutes; with a clean interval behind each return it stays as it is, with two it goes down.
static void each_ejection_is_longer_and_clean_time_shortens_the_next(void **state) {
    (void)state;
    struct outlier outlier = {0};
    struct outlier_counts counts = {0};
    nanoseconds now = START;
    for (uint64_t i = 1; i <= 15; i++) {
        const nanoseconds took = eject(&outlier, &counts, &usual, now);
        assert_true(took == (i <= 10 ? i * 30 : 300) * NS_PER_S);
        now += took;
        assert_int_equal(outlier_end(&outlier, &counts, now), OUTLIER_RETURNED);
    }
    now += 12 * 10 * NS_PER_S; // 15 - 12 + 1
    assert_true(eject(&outlier, &counts, &usual, now) == 4 * 30 * NS_PER_S);
    now += 4 * 30 * NS_PER_S;
    outlier_end(&outlier, &counts, now);
    now += 10 * NS_PER_S - 1; // not a whole one
    assert_true(eject(&outlier, &counts, &usual, now) / NS_PER_MS == 5 * 30 * 1000);
    now = outlier_look(&outlier).until;
    outlier_end(&outlier, &counts, now);
    now += 3600 * NS_PER_S;
    assert_true(eject(&outlier, &counts, &usual, now) == 30 * NS_PER_S);
}

static void no_more_than_their_share_are_ejected(void **state) {
    (void)state;
    static const struct {
        uint32_t endpoints, percent, most;
    } cases[] = {{1, 100, 0}, {2, 50, 1}, {2, 1, 1}, {3, 50, 1}, {3, 10, 1}, {4, 50, 2}, {8, 100, 8}, {8, 0, 0}, {0, 50, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct outlier outliers[ENDPOINTS_MAX] = {0};
        struct outlier_counts counts = {0};
        struct outlier_config config = usual;
        config.max_ejected_percent = cases[i].percent;
        config.failure_threshold = 1;
        uint32_t ejected = 0, refused = 0;
        for (uint32_t j = 0; j < cases[i].endpoints; j++) {
            const enum outlier_change change = outlier_note_failure(&outliers[j], &counts, &config, cases[i].endpoints, START);
            ejected += change == OUTLIER_EJECTED;
            refused += change == OUTLIER_REFUSED;
        }
        assert_int_equal(ejected, cases[i].most);
        assert_int_equal(counts.ejected, cases[i].most);
        assert_int_equal(counts.refused, refused);
        // One that goes, or returns, makes room.
        if (cases[i].most == 0 || cases[i].most == cases[i].endpoints)
            continue;
        outlier_dispose(&outliers[0], &counts);
        assert_int_equal(outlier_note_failure(&outliers[cases[i].endpoints - 1], &counts, &config, cases[i].endpoints, START), OUTLIER_EJECTED);
    }
}

static void a_dry_run_has_counts_of_its_own(void **state) {
    (void)state;
    struct outlier outlier = {0};
    struct outlier_counts counts = {0};
    struct outlier_config config = usual;
    config.dry_run = true;
    config.failure_threshold = 1;
    assert_int_equal(outlier_note_failure(&outlier, &counts, &config, 2, START), OUTLIER_EJECTED);
    const struct outlier_view view = outlier_look(&outlier);
    assert_true(view.is_shadow && !view.is_ejected);
    assert_int_equal(counts.ejected, 0);
    assert_int_equal(counts.shadow_ejected, 1);
    assert_int_equal(counts.shadow_ejections, 1);
    assert_int_equal(outlier_end(&outlier, &counts, view.until), OUTLIER_RETURNED);
    assert_int_equal(counts.shadow_ejected, 0);
}

static void switched_off_nobody_is_ejected(void **state) {
    (void)state;
    struct outlier outlier = {0};
    struct outlier_counts counts = {0};
    struct outlier_config config = usual;
    config.failure_threshold = 0;
    for (int i = 0; i < 100; i++)
        assert_int_equal(outlier_note_failure(&outlier, &counts, &config, 10, START), OUTLIER_NONE);
}

// --- against a model ---

struct model {
    uint32_t row, multiplier;
    bool is_ejected;
    uint64_t until_ms, returned_ms;
};

static uint32_t model_ejected(const struct model *models, uint32_t count) {
    uint32_t ejected = 0;
    for (uint32_t i = 0; i < count; i++)
        ejected += models[i].is_ejected;
    return ejected;
}

// One by one, as whoever reads the words of the policy would do it.
static enum outlier_change model_fail(struct model *models, uint32_t index, uint32_t count, const struct outlier_config *config, uint64_t now_ms) {
    struct model *model = &models[index];
    if (++model->row < config->failure_threshold || model->is_ejected)
        return OUTLIER_NONE;
    uint32_t share = count * config->max_ejected_percent / 100;
    share = share == 0 && config->max_ejected_percent > 0 ? 1 : share;
    if (count < 2 || share == 0)
        return OUTLIER_NONE;
    if (model_ejected(models, count) >= share)
        return OUTLIER_REFUSED;
    for (uint64_t clean = model->returned_ms + config->interval / NS_PER_MS; clean <= now_ms && model->multiplier > 0;
         clean += config->interval / NS_PER_MS)
        model->multiplier--;
    model->multiplier++;
    uint64_t took = model->multiplier * (config->eject_for / NS_PER_MS);
    const uint64_t longest = config->max_eject_for / NS_PER_MS;
    const uint64_t base = config->eject_for / NS_PER_MS;
    took = took > longest ? (longest > base ? longest : base) : took;
    model->is_ejected = true;
    model->until_ms = now_ms + took;
    model->row = 0;
    return OUTLIER_EJECTED;
}

static enum outlier_change model_end(struct model *model, uint64_t now_ms) {
    if (!model->is_ejected || now_ms < model->until_ms)
        return OUTLIER_NONE;
    model->is_ejected = false;
    model->returned_ms = model->until_ms;
    model->row = 0;
    return OUTLIER_RETURNED;
}

static void run_history(uint64_t seed) {
    struct rng rng;
    struct outlier outliers[ENDPOINTS_MAX] = {0};
    struct model models[ENDPOINTS_MAX] = {0};
    struct outlier_counts counts = {0};
    rng_init(&rng, seed);
    const uint32_t count = 1 + rng_below(&rng, ENDPOINTS_MAX);
    const struct outlier_config config = {.failure_threshold = 1 + rng_below(&rng, 4),
                                          .interval = (1 + rng_below(&rng, 3000)) * NS_PER_MS,
                                          .eject_for = (1 + rng_below(&rng, 2000)) * NS_PER_MS,
                                          .max_eject_for = (1 + rng_below(&rng, 6000)) * NS_PER_MS,
                                          .max_ejected_percent = rng_below(&rng, 101)};
    uint64_t now_ms = START / NS_PER_MS;
    for (int step = 0; step < 300; step++) {
        const uint32_t index = rng_below(&rng, count);
        now_ms += rng_below(&rng, 4) == 0 ? rng_below(&rng, 1500) : 0;
        for (uint32_t i = 0; i < count; i++)
            assert_int_equal(outlier_end(&outliers[i], &counts, now_ms * NS_PER_MS), model_end(&models[i], now_ms));
        if (rng_below(&rng, 5) == 0) {
            outlier_note_success(&outliers[index]);
            models[index].row = 0;
        } else {
            const enum outlier_change change = outlier_note_failure(&outliers[index], &counts, &config, count, now_ms * NS_PER_MS);
            assert_int_equal(change, model_fail(models, index, count, &config, now_ms));
        }
        assert_int_equal(counts.ejected, model_ejected(models, count));
        assert_true(outlier_look(&outliers[index]).until == models[index].until_ms * NS_PER_MS || !models[index].is_ejected);
    }
}

static void random_histories_agree_with_the_model(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        run_history(seed);
}

// --- two threads ---

#define THREAD_STEPS 200000

struct crowd {
    struct outlier outliers[4];
    struct outlier_counts counts;
    struct outlier_config config;
    _Atomic uint64_t ejected, returned;
    _Atomic uint64_t seed;
};

static void *fail_and_return(void *argument) {
    struct crowd *crowd = argument;
    struct rng rng;
    rng_init(&rng, atomic_fetch_add_explicit(&crowd->seed, 1, memory_order_relaxed));
    for (uint64_t step = 0; step < THREAD_STEPS; step++) {
        struct outlier *outlier = &crowd->outliers[rng_below(&rng, 4)];
        const nanoseconds now = START + step * NS_PER_MS;
        if (outlier_note_failure(outlier, &crowd->counts, &crowd->config, 4, now) == OUTLIER_EJECTED)
            atomic_fetch_add_explicit(&crowd->ejected, 1, memory_order_relaxed);
        assert_true(atomic_load(&crowd->counts.ejected) <= 2);
        if (outlier_end(&crowd->outliers[rng_below(&rng, 4)], &crowd->counts, now) == OUTLIER_RETURNED)
            atomic_fetch_add_explicit(&crowd->returned, 1, memory_order_relaxed);
        outlier_note_success(&crowd->outliers[rng_below(&rng, 4)]);
    }
    return NULL;
}

static void of_two_threads_one_ejects_and_one_returns(void **state) {
    (void)state;
    struct crowd crowd = {.config = usual};
    crowd.config.failure_threshold = 2;
    crowd.config.eject_for = 3 * NS_PER_MS;
    crowd.config.max_eject_for = 9 * NS_PER_MS;
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, fail_and_return, &crowd), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    assert_true(crowd.ejected > 100);
    assert_int_equal(crowd.ejected, crowd.counts.ejections);
    assert_int_equal(crowd.ejected - crowd.returned, crowd.counts.ejected);
    for (int i = 0; i < 4; i++)
        outlier_dispose(&crowd.outliers[i], &crowd.counts);
    assert_int_equal(crowd.counts.ejected, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_success_ends_the_row),
        cmocka_unit_test(it_returns_when_its_time_is_over),
        cmocka_unit_test(each_ejection_is_longer_and_clean_time_shortens_the_next),
        cmocka_unit_test(no_more_than_their_share_are_ejected),
        cmocka_unit_test(a_dry_run_has_counts_of_its_own),
        cmocka_unit_test(switched_off_nobody_is_ejected),
        cmocka_unit_test(random_histories_agree_with_the_model),
        cmocka_unit_test(of_two_threads_one_ejects_and_one_returns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
