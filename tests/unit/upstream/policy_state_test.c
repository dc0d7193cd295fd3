// Live state of policies: one object for each policy, rule and target, as long as somebody has it, and a new one where what is remembered takes another form.
#include "upstream/policy_state.h"

#include "base/check.h"
#include "base/pool.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static _Atomic unsigned created, destroyed;

static struct policy_state *create(const void *config) {
    (void)config;
    created++;
    return alloc_zeroed_or_abort(1, sizeof(struct policy_state));
}

static void destroy(struct policy_state *state) {
    destroyed++;
    free(state);
}

static const struct policy_state_type type = {.create = create, .destroy = destroy};

static struct policy_state *get(struct policy_state_set *set, const char *rule, const char *target, uint64_t form) {
    return policy_state_get(set, BYTES("RateLimitPolicy/a/b"), bytes_from_text(rule), bytes_from_text(target), form, &type, NULL);
}

static struct policy_state_set *begin(void) {
    created = destroyed = 0;
    return policy_state_set_create();
}

static void what_is_in_use_is_found_again(void **state) {
    (void)state;
    struct policy_state_set *set = begin();
    struct policy_state *first = get(set, "r", "t", 1);
    assert_ptr_equal(get(set, "r", "t", 1), first);
    assert_ptr_not_equal(get(set, "r", "u", 1), first);
    assert_ptr_not_equal(get(set, "q", "t", 1), first);
    assert_int_equal(created, 3);
    assert_true(bytes_equal(first->policy, BYTES("RateLimitPolicy/a/b")) && bytes_equal(first->rule, BYTES("r")) &&
                bytes_equal(first->target, BYTES("t")));
    policy_state_release(get(set, "r", "u", 1));
    policy_state_release(first);
    policy_state_release(first);
    assert_int_equal(destroyed, 1);
    policy_state_release(get(set, "r", "t", 1)); // a new one
    assert_int_equal(created, 4);
    struct policy_state *u = get(set, "r", "u", 1), *q = get(set, "q", "t", 1);
    for (int i = 0; i < 2; i++) {
        policy_state_release(u);
        policy_state_release(q);
    }
    assert_int_equal(destroyed, created);
    policy_state_set_destroy(set);
}

static void count(struct policy_state *state, void *user) {
    unsigned *counted = user;
    assert_int_equal(state->form, 2);
    ++*counted;
}

static void another_form_is_another_state_and_who_has_the_old_one_keeps_it(void **state) {
    (void)state;
    struct policy_state_set *set = begin();
    struct policy_state *old = get(set, "r", "t", 1), *fresh = get(set, "r", "t", 2);
    unsigned counted = 0;
    assert_ptr_not_equal(old, fresh);
    policy_state_figures(set, count, &counted, &(struct policy_totals){0});
    assert_int_equal(counted, 1); // the newest alone
    policy_state_release(old);
    assert_ptr_equal(get(set, "r", "t", 2), fresh);
    policy_state_release(fresh);
    policy_state_release(fresh);
    assert_int_equal(destroyed, 2);
    policy_state_set_destroy(set);
}

struct shown {
    uint64_t refusals;
    uint32_t count;
    const struct policy_state *last;
};

static void show(struct policy_state *state, void *user) {
    struct shown *shown = user;
    shown->refusals += atomic_load(&state->refusals);
    shown->last = state;
    shown->count++;
}

static uint64_t figures(struct policy_state_set *set, struct shown *shown) {
    struct policy_totals rest = {0};
    *shown = (struct shown){0};
    policy_state_figures(set, show, shown, &rest);
    return rest.refusals;
}

// What a rule has counted is in its own figures, or in the rest, whatever becomes of it.
static void what_was_counted_stays(void **state) {
    (void)state;
    struct policy_state_set *set = begin();
    struct policy_state *first = get(set, "r", "t", 1);
    struct shown shown;
    atomic_fetch_add(&first->refusals, 5);
    assert_int_equal(figures(set, &shown), 0);
    assert_int_equal(shown.refusals, 5);
    assert_true(shown.last->begun > 0);
    struct policy_state *second = get(set, "r", "t", 2); // of another form: the series begins anew
    atomic_fetch_add(&first->refusals, 1);               // one that was under way
    atomic_fetch_add(&second->refusals, 2);
    assert_int_equal(figures(set, &shown), 6);
    assert_int_equal(shown.refusals, 2);
    assert_int_equal(shown.count, 1);
    policy_state_release(first);
    policy_state_release(second);
    assert_int_equal(figures(set, &shown), 8);
    assert_int_equal(shown.count, 0);
    policy_state_set_destroy(set);
}

// Those that were there first have figures of their own, and keep them: what comes and goes moves nobody else's.
static void who_has_figures_is_settled_at_the_beginning(void **state) {
    (void)state;
    struct policy_state_set *set = begin();
    struct policy_state *states[POLICY_FIGURES_MAX + 2];
    struct shown shown;
    for (unsigned i = 0; i < POLICY_FIGURES_MAX + 2; i++) {
        char target[16];
        snprintf(target, sizeof target, "%u", i);
        states[i] = get(set, "r", target, 1);
        atomic_fetch_add(&states[i]->refusals, 1);
    }
    assert_int_equal(figures(set, &shown), 2);
    assert_int_equal(shown.count, POLICY_FIGURES_MAX);
    assert_ptr_equal(shown.last, states[POLICY_FIGURES_MAX - 1]);
    policy_state_release(states[3]);
    assert_int_equal(figures(set, &shown), 3);
    assert_int_equal(shown.refusals, POLICY_FIGURES_MAX - 1);
    states[3] = get(set, "r", "3", 1); // has the place of the one that is gone
    assert_int_equal(figures(set, &shown), 3);
    assert_ptr_equal(shown.last, states[3]);
    for (unsigned i = 0; i < POLICY_FIGURES_MAX + 2; i++)
        policy_state_release(states[i]);
    assert_int_equal(figures(set, &shown), POLICY_FIGURES_MAX + 2);
    policy_state_set_destroy(set);
}

static void *come_and_go(void *argument) {
    for (int i = 0; i < 5000; i++)
        policy_state_release(get(argument, i % 2 == 0 ? "r" : "q", "t", (uint64_t)i % 3));
    return NULL;
}

static void threads_may_come_and_go(void **state) {
    (void)state;
    struct policy_state_set *set = begin();
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, set), 0);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(created, destroyed);
    policy_state_set_destroy(set); // aborts when anything is left
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_in_use_is_found_again), cmocka_unit_test(another_form_is_another_state_and_who_has_the_old_one_keeps_it),
        cmocka_unit_test(what_was_counted_stays),        cmocka_unit_test(who_has_figures_is_settled_at_the_beginning),
        cmocka_unit_test(threads_may_come_and_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
