// A pool of a bulkhead: never more than there may be, nobody forgotten, and in which order; with thousands of random histories, and on two threads at once.
#include "filters/bulkhead_pool.h"

#include "base/check.h"
#include "base/mailbox.h"
#include "base/rng.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define BEGIN (1000 * NS_PER_S)
#define NEVER UINT64_MAX

static const int worker; // whose tickets they are, where there is one

static void nobody_to_tell(struct bulkhead_ticket *ticket, bool is_here) {
    (void)ticket;
    (void)is_here;
}

// `share`: of each key; 0: keys have none.
static struct bulkhead_pool *pool_with_shares(uint32_t max, uint32_t share) {
    struct bulkhead_pool *pool = bulkhead_pool_create();
    bulkhead_pool_configure(pool, &(struct bulkhead_plan){.max = max, .shares = {.share = share}});
    return pool;
}

static struct bulkhead_pool *pool_of(uint32_t max) {
    return pool_with_shares(max, 0);
}

static void ticket_init(struct bulkhead_ticket *ticket) {
    memset(ticket, 0, sizeof *ticket);
    ticket->worker = &worker;
    ticket->tell = nobody_to_tell;
}

static struct bulkhead_ask ask_with(uint32_t max_queue) {
    return (struct bulkhead_ask){.now = BEGIN, .deadline = NEVER, .max_queue = max_queue};
}

static enum bulkhead_outcome take(struct bulkhead_pool *pool, struct bulkhead_ticket *ticket, struct bulkhead_ask ask) {
    ticket_init(ticket);
    return bulkhead_take(pool, ticket, &ask);
}

static enum bulkhead_outcome outcome_of(struct bulkhead_ticket *ticket) {
    return bulkhead_outcome_of(ticket, BEGIN + NS_PER_S);
}

static void finish(struct bulkhead_ticket *ticket) {
    bulkhead_leave(ticket, BEGIN + NS_PER_S);
}

static void expect_use(struct bulkhead_pool *pool, uint32_t running, uint32_t limit, uint32_t queued) {
    struct policy_queue queue;
    bulkhead_read(pool, &queue);
    assert_int_equal(queue.running, running);
    assert_int_equal(queue.limit, limit);
    assert_int_equal(queue.queued, queued);
}

// ---- slots and order

static void who_finds_no_slot_waits_and_who_finds_no_place_is_refused(void **state) {
    (void)state;
    struct bulkhead_ticket tickets[5];
    struct bulkhead_pool *pool = pool_of(2);
    for (int i = 0; i < 2; i++)
        assert_int_equal(take(pool, &tickets[i], ask_with(2)), BULKHEAD_RUNS);
    for (int i = 2; i < 4; i++)
        assert_int_equal(take(pool, &tickets[i], ask_with(2)), BULKHEAD_WAITS);
    assert_int_equal(take(pool, &tickets[4], ask_with(2)), BULKHEAD_REFUSED);
    expect_use(pool, 2, 2, 2);
    finish(&tickets[0]);
    assert_int_equal(outcome_of(&tickets[2]), BULKHEAD_RUNS); // who came first
    assert_int_equal(outcome_of(&tickets[3]), BULKHEAD_WAITS);
    expect_use(pool, 2, 2, 1);
    for (int i = 0; i < 5; i++)
        finish(&tickets[i]);
    expect_use(pool, 0, 2, 0);
    bulkhead_pool_close(pool);
}

static void without_a_queue_nobody_waits(void **state) {
    (void)state;
    struct bulkhead_ticket first, second;
    struct bulkhead_pool *pool = pool_of(1);
    assert_int_equal(take(pool, &first, ask_with(0)), BULKHEAD_RUNS);
    assert_int_equal(take(pool, &second, ask_with(0)), BULKHEAD_REFUSED);
    finish(&first);
    assert_int_equal(take(pool, &first, ask_with(0)), BULKHEAD_RUNS);
    finish(&first);
    finish(&second);
    bulkhead_pool_close(pool);
}

static void the_highest_class_is_first_then_the_earliest_deadline_then_arrival(void **state) {
    (void)state;
    static const struct {
        uint32_t class_index;
        nanoseconds deadline;
    } asks[] = {{1, NEVER}, {1, BEGIN + 9}, {0, NEVER}, {1, BEGIN + 5}, {1, BEGIN + 5}, {0, BEGIN + 1}, {2, BEGIN}};
    static const int order[] = {5, 2, 3, 4, 1, 0, 6};
    struct bulkhead_ticket running, tickets[7];
    struct bulkhead_pool *pool = pool_of(1);
    assert_int_equal(take(pool, &running, ask_with(10)), BULKHEAD_RUNS);
    for (int i = 0; i < 7; i++) {
        struct bulkhead_ask ask = ask_with(10);
        ask.class_index = asks[i].class_index;
        ask.deadline = asks[i].deadline;
        assert_int_equal(take(pool, &tickets[i], ask), BULKHEAD_WAITS);
    }
    finish(&running);
    for (int i = 0; i < 7; i++) {
        assert_int_equal(outcome_of(&tickets[order[i]]), BULKHEAD_RUNS);
        finish(&tickets[order[i]]);
    }
    bulkhead_pool_close(pool);
}

static void in_a_full_queue_the_last_is_refused_whoever_came_when(void **state) {
    (void)state;
    struct bulkhead_ticket running, batch, standard, critical, late;
    struct bulkhead_pool *pool = pool_of(1);
    struct bulkhead_ask ask = ask_with(2);
    assert_int_equal(take(pool, &running, ask), BULKHEAD_RUNS);
    ask.class_index = 2;
    assert_int_equal(take(pool, &batch, ask), BULKHEAD_WAITS);
    ask.class_index = 1;
    assert_int_equal(take(pool, &standard, ask), BULKHEAD_WAITS);
    ask.class_index = 0;
    assert_int_equal(take(pool, &critical, ask), BULKHEAD_WAITS);
    assert_int_equal(outcome_of(&batch), BULKHEAD_REFUSED); // it made room
    ask.class_index = 1;
    assert_int_equal(take(pool, &late, ask), BULKHEAD_REFUSED); // behind one of its class
    finish(&running);
    assert_int_equal(outcome_of(&critical), BULKHEAD_RUNS);
    struct bulkhead_ticket *all[] = {&running, &batch, &standard, &critical, &late};
    for (int i = 0; i < 5; i++)
        finish(all[i]);
    expect_use(pool, 0, 1, 0);
    bulkhead_pool_close(pool);
}

static struct bulkhead_pool *pool_where_two_wait(struct bulkhead_ticket *running, struct bulkhead_ticket *first, struct bulkhead_ticket *second) {
    struct bulkhead_pool *pool = pool_of(1);
    assert_int_equal(take(pool, running, ask_with(5)), BULKHEAD_RUNS);
    assert_int_equal(take(pool, first, ask_with(5)), BULKHEAD_WAITS);
    assert_int_equal(take(pool, second, ask_with(5)), BULKHEAD_WAITS);
    return pool;
}

static void who_gives_up_leaves_its_place_and_one_that_was_handed_a_slot_keeps_it(void **state) {
    (void)state;
    struct bulkhead_ticket running, first, second;
    struct bulkhead_pool *pool = pool_where_two_wait(&running, &first, &second);
    assert_true(bulkhead_give_up(&first, BEGIN));
    finish(&running);
    assert_false(bulkhead_give_up(&second, BEGIN)); // not any more
    assert_int_equal(outcome_of(&second), BULKHEAD_RUNS);
    finish(&first);
    finish(&second);
    expect_use(pool, 0, 1, 0);
    bulkhead_pool_close(pool);
}

static void a_slot_that_nobody_came_for_goes_to_the_next(void **state) {
    (void)state;
    struct bulkhead_ticket running, first, second;
    struct bulkhead_pool *pool = pool_where_two_wait(&running, &first, &second);
    finish(&running);
    finish(&first); // it went before it was told
    assert_int_equal(outcome_of(&second), BULKHEAD_RUNS);
    finish(&second);
    bulkhead_pool_close(pool);
}

// ---- other numbers

static void another_number_holds_at_once_and_takes_nothing_away(void **state) {
    (void)state;
    struct bulkhead_ticket tickets[6];
    struct bulkhead_pool *pool = pool_of(4);
    for (int i = 0; i < 4; i++)
        assert_int_equal(take(pool, &tickets[i], ask_with(5)), BULKHEAD_RUNS);
    bulkhead_pool_configure(pool, &(struct bulkhead_plan){.max = 2});
    expect_use(pool, 4, 2, 0);
    assert_int_equal(take(pool, &tickets[4], ask_with(5)), BULKHEAD_WAITS);
    assert_int_equal(take(pool, &tickets[5], ask_with(5)), BULKHEAD_WAITS);
    for (int i = 0; i < 2; i++)
        finish(&tickets[i]);
    expect_use(pool, 2, 2, 2); // those that were too many
    finish(&tickets[2]);
    expect_use(pool, 2, 2, 1);
    bulkhead_pool_configure(pool, &(struct bulkhead_plan){.max = 9});
    assert_int_equal(outcome_of(&tickets[5]), BULKHEAD_RUNS); // it had only waited for a slot
    for (int i = 3; i < 6; i++)
        finish(&tickets[i]);
    expect_use(pool, 0, 9, 0);
    bulkhead_pool_close(pool);
}

static void a_pool_that_no_document_has_any_more_goes_with_its_last_ticket(void **state) {
    (void)state;
    struct bulkhead_ticket running, waiting, critical;
    struct bulkhead_pool *pool = pool_of(1);
    struct bulkhead_ask ask = ask_with(1);
    assert_int_equal(take(pool, &running, ask), BULKHEAD_RUNS);
    ask.class_index = 1;
    assert_int_equal(take(pool, &waiting, ask), BULKHEAD_WAITS);
    ask.class_index = 0;
    assert_int_equal(take(pool, &critical, ask), BULKHEAD_WAITS); // in the place of the other
    bulkhead_pool_close(pool);
    finish(&running);
    assert_int_equal(outcome_of(&critical), BULKHEAD_RUNS);
    finish(&critical);
    finish(&waiting); // AddressSanitizer sees whether it went too early, or not at all
}

// ---- shares of keys

static struct bulkhead_ask ask_of_key(uint64_t key) {
    struct bulkhead_ask ask = ask_with(10);
    ask.has_key = true;
    ask.key = key;
    return ask;
}

static void a_key_beyond_its_share_waits_and_holds_up_nobody(void **state) {
    (void)state;
    struct bulkhead_ticket acme[3], other[3];
    struct bulkhead_pool *pool = pool_with_shares(4, 2);
    assert_int_equal(take(pool, &acme[0], ask_of_key(1)), BULKHEAD_RUNS);
    assert_int_equal(take(pool, &acme[1], ask_of_key(1)), BULKHEAD_RUNS);
    assert_int_equal(take(pool, &acme[2], ask_of_key(1)), BULKHEAD_WAITS); // though two slots are free
    assert_int_equal(take(pool, &other[0], ask_of_key(2)), BULKHEAD_RUNS);
    assert_int_equal(take(pool, &other[1], ask_of_key(3)), BULKHEAD_RUNS);
    assert_int_equal(take(pool, &other[2], ask_of_key(3)), BULKHEAD_WAITS); // the pool is full
    finish(&other[0]);
    assert_int_equal(outcome_of(&acme[2]), BULKHEAD_WAITS); // it came first, and has its share
    assert_int_equal(outcome_of(&other[2]), BULKHEAD_RUNS);
    finish(&acme[0]);
    assert_int_equal(outcome_of(&acme[2]), BULKHEAD_RUNS);
    for (int i = 0; i < 3; i++) {
        finish(&acme[i]);
        finish(&other[i]);
    }
    expect_use(pool, 0, 4, 0);
    bulkhead_pool_close(pool);
}

// A key that waits for itself alone would else take every place of the queue, and all others would be refused.
static void who_is_beyond_the_share_of_its_key_gives_its_place_to_others(void **state) {
    (void)state;
    struct bulkhead_key_share less = {.key = 1, .share = 1};
    struct bulkhead_ticket acme[6], other[4], late;
    struct bulkhead_pool *pool = pool_of(3);
    bulkhead_pool_configure(pool, &(struct bulkhead_plan){.max = 3, .shares = {.share = 2, .overrides = &less, .override_count = 1}});
    struct bulkhead_ask ask = ask_of_key(1);
    ask.max_queue = 3;
    assert_int_equal(take(pool, &acme[0], ask), BULKHEAD_RUNS);
    for (int i = 1; i < 4; i++)
        assert_int_equal(take(pool, &acme[i], ask), BULKHEAD_WAITS);
    assert_int_equal(take(pool, &acme[4], ask), BULKHEAD_REFUSED);
    ask.class_index = 9; // whatever its rank
    ask.key = 2;
    assert_int_equal(take(pool, &other[0], ask), BULKHEAD_RUNS);
    ask.key = 3;
    assert_int_equal(take(pool, &other[1], ask), BULKHEAD_RUNS);
    assert_int_equal(take(pool, &other[2], ask), BULKHEAD_WAITS); // the pool is full, and it is inside its share
    assert_int_equal(outcome_of(&acme[3]), BULKHEAD_REFUSED);
    assert_int_equal(take(pool, &other[3], ask), BULKHEAD_REFUSED); // that would be the third of its key
    ask = ask_of_key(1);
    ask.max_queue = 3;
    ask.deadline = BEGIN; // before its like; never in the place of one that is inside its share
    assert_int_equal(take(pool, &acme[5], ask), BULKHEAD_WAITS);
    assert_int_equal(outcome_of(&acme[2]), BULKHEAD_REFUSED);
    assert_int_equal(outcome_of(&other[2]), BULKHEAD_WAITS);
    for (uint64_t key = 4; key < 6; key++) {
        ask = ask_of_key(key);
        ask.max_queue = 3;
        struct bulkhead_ticket *ticket = key == 4 ? &acme[2] : &acme[3];
        finish(ticket);
        assert_int_equal(take(pool, ticket, ask), BULKHEAD_WAITS);
    }
    ask = ask_of_key(1);
    ask.max_queue = 3;
    ask.deadline = BEGIN;
    assert_int_equal(take(pool, &late, ask), BULKHEAD_REFUSED); // all that wait are inside their shares
    for (int i = 0; i < 6; i++)
        finish(&acme[i]);
    for (int i = 0; i < 4; i++)
        finish(&other[i]);
    finish(&late);
    expect_use(pool, 0, 3, 0);
    bulkhead_pool_close(pool);
}

static void new_shares_hold_at_once(void **state) {
    (void)state;
    struct bulkhead_key_share more[] = {{.key = 7, .share = 4}, {.key = 2, .share = 2}};
    struct bulkhead_ticket tickets[5];
    struct bulkhead_pool *pool = pool_with_shares(9, 1);
    for (uint64_t key = 1; key <= 2; key++) {
        assert_int_equal(take(pool, &tickets[2 * key - 2], ask_of_key(key)), BULKHEAD_RUNS);
        assert_int_equal(take(pool, &tickets[2 * key - 1], ask_of_key(key)), BULKHEAD_WAITS);
    }
    bulkhead_pool_configure(pool, &(struct bulkhead_plan){.max = 9, .shares = {.share = 1, .overrides = more, .override_count = 2}});
    memset(more, 0xee, sizeof more); // they are copied
    assert_int_equal(outcome_of(&tickets[1]), BULKHEAD_WAITS);
    assert_int_equal(outcome_of(&tickets[3]), BULKHEAD_RUNS);
    assert_int_equal(take(pool, &tickets[4], ask_of_key(2)), BULKHEAD_WAITS);
    finish(&tickets[3]);
    assert_int_equal(outcome_of(&tickets[4]), BULKHEAD_RUNS);
    bulkhead_pool_configure(pool, &(struct bulkhead_plan){.max = 9}); // keys have no shares any more
    assert_int_equal(outcome_of(&tickets[1]), BULKHEAD_RUNS);
    for (int i = 0; i < 5; i++)
        finish(&tickets[i]);
    expect_use(pool, 0, 9, 0);
    bulkhead_pool_close(pool);
}

// Several destinations tell one pool its numbers, and requests with older documents come still: what share a key has does not hang on who asks first.
static void a_key_that_comes_later_has_the_newest_share(void **state) {
    (void)state;
    struct bulkhead_key_share first[] = {{.key = 5, .share = 3}, {.key = 4, .share = 2}};
    struct bulkhead_key_share newest[] = {{.key = 5, .share = 1}, {.key = 4, .share = 2}};
    struct bulkhead_ticket tickets[4];
    struct bulkhead_pool *pool = pool_of(9);
    bulkhead_pool_configure(pool, &(struct bulkhead_plan){.max = 9, .shares = {.share = 4, .overrides = first, .override_count = 2}});
    for (int destination = 0; destination < 2; destination++)
        bulkhead_pool_configure(pool, &(struct bulkhead_plan){.max = 9, .shares = {.share = 2, .overrides = newest, .override_count = 2}});
    static const uint32_t shares[] = {2, 1};
    for (uint64_t key = 4; key < 6; key++) {
        const struct bulkhead_ask ask = ask_of_key(key);
        assert_int_equal(bulkhead_look(pool, &ask).share, shares[key - 4]);
        for (uint32_t i = 0; i < 4; i++)
            assert_int_equal(take(pool, &tickets[i], ask), i < shares[key - 4] ? BULKHEAD_RUNS : BULKHEAD_WAITS);
        for (int i = 0; i < 4; i++)
            finish(&tickets[i]);
    }
    expect_use(pool, 0, 9, 0);
    bulkhead_pool_close(pool);
}

static void keys_are_forgotten_with_their_last_request(void **state) {
    (void)state;
    struct bulkhead_ticket ticket;
    struct bulkhead_pool *pool = pool_with_shares(4, 1);
    for (uint64_t key = 1; key <= 5000; key++) {
        assert_int_equal(take(pool, &ticket, ask_of_key(key)), BULKHEAD_RUNS);
        finish(&ticket);
    }
    const struct bulkhead_ask ask = ask_of_key(1);
    assert_int_equal(bulkhead_look(pool, &ask).of_key, 0);
    bulkhead_pool_close(pool);
}

// ---- looking, dry runs, learning

static void looking_takes_nothing_and_says_what_would_be(void **state) {
    (void)state;
    struct bulkhead_ticket tickets[3];
    struct bulkhead_pool *pool = pool_with_shares(1, 1);
    struct bulkhead_ask ask = ask_of_key(7);
    ask.max_queue = 1;
    assert_int_equal(bulkhead_look(pool, &ask).would, BULKHEAD_RUNS);
    assert_int_equal(take(pool, &tickets[0], ask), BULKHEAD_RUNS);
    struct bulkhead_figures figures = bulkhead_look(pool, &ask);
    assert_int_equal(figures.would, BULKHEAD_WAITS);
    assert_int_equal(figures.running, 1);
    assert_int_equal(figures.of_key, 1);
    assert_int_equal(take(pool, &tickets[1], ask), BULKHEAD_WAITS);
    figures = bulkhead_look(pool, &ask);
    assert_int_equal(figures.would, BULKHEAD_REFUSED);
    assert_int_equal(figures.queued, 1);
    ask.deadline = BEGIN;
    assert_int_equal(bulkhead_look(pool, &ask).would, BULKHEAD_WAITS); // it would go before the one that waits
    expect_use(pool, 1, 1, 1);
    finish(&tickets[0]);
    finish(&tickets[1]);
    bulkhead_pool_close(pool);
}

static void in_a_dry_run_all_run_and_are_counted(void **state) {
    (void)state;
    static const enum bulkhead_outcome expected[] = {BULKHEAD_RUNS, BULKHEAD_RUNS, BULKHEAD_WAITS, BULKHEAD_REFUSED, BULKHEAD_REFUSED};
    struct bulkhead_ticket tickets[5];
    struct bulkhead_pool *pool = pool_of(2);
    struct bulkhead_ask ask = ask_with(1);
    ask.is_dry_run = true;
    for (int i = 0; i < 5; i++) {
        assert_int_equal(bulkhead_look(pool, &ask).would, expected[i]);
        assert_int_equal(take(pool, &tickets[i], ask), expected[i]);
    }
    expect_use(pool, 3, 2, 0);
    for (int i = 0; i < 5; i++)
        finish(&tickets[i]);
    expect_use(pool, 0, 2, 0);
    bulkhead_pool_close(pool);
}

// It would wait though slots are free: it takes none from those of other keys.
static void in_a_dry_run_what_is_beyond_its_share_takes_no_slot(void **state) {
    (void)state;
    static const enum bulkhead_outcome expected[] = {BULKHEAD_RUNS, BULKHEAD_WAITS, BULKHEAD_WAITS, BULKHEAD_REFUSED};
    struct bulkhead_ticket acme[4], other;
    struct bulkhead_pool *pool = pool_with_shares(2, 1);
    struct bulkhead_ask ask = ask_of_key(1);
    ask.is_dry_run = true;
    ask.max_queue = 2;
    for (int i = 0; i < 4; i++)
        assert_int_equal(take(pool, &acme[i], ask), expected[i]);
    expect_use(pool, 1, 2, 0);
    ask.key = 2;
    assert_int_equal(take(pool, &other, ask), BULKHEAD_RUNS);
    finish(&acme[0]); // the next of its key would have that slot
    expect_use(pool, 2, 2, 0);
    finish(&other);
    ask.key = 1;
    bulkhead_pool_configure(pool, &(struct bulkhead_plan){.max = 2, .shares = {.share = 2}}); // the two that are left run
    assert_int_equal(take(pool, &other, ask), BULKHEAD_WAITS);
    expect_use(pool, 2, 2, 0);
    for (int i = 1; i < 4; i++)
        finish(&acme[i]);
    finish(&other);
    expect_use(pool, 0, 2, 0);
    bulkhead_pool_close(pool);
}

static void when_to_come_again_is_told_by_how_long_slots_are_held(void **state) {
    (void)state;
    struct bulkhead_ticket tickets[4];
    struct bulkhead_pool *pool = pool_of(1);
    assert_true(bulkhead_estimate(pool) > 0);
    assert_int_equal(take(pool, &tickets[0], ask_with(5)), BULKHEAD_RUNS);
    bulkhead_leave(&tickets[0], BEGIN + 2 * NS_PER_S);
    assert_int_equal(bulkhead_estimate(pool), 2 * NS_PER_S);
    for (int i = 0; i < 4; i++)
        (void)take(pool, &tickets[i], ask_with(5));
    assert_int_equal(bulkhead_estimate(pool), 8 * NS_PER_S); // three wait before
    for (int i = 0; i < 4; i++)
        bulkhead_leave(&tickets[i], BEGIN + 900 * NS_PER_S);
    assert_true(bulkhead_estimate(pool) <= 60 * NS_PER_S);
    bulkhead_pool_close(pool);
}

static void each_wait_is_counted_once(void **state) {
    (void)state;
    struct bulkhead_ticket tickets[4];
    struct policy_queue queue;
    struct bulkhead_pool *pool = pool_of(1);
    for (int i = 0; i < 4; i++)
        (void)take(pool, &tickets[i], ask_with(2)); // runs, waits, waits, is refused
    assert_true(bulkhead_give_up(&tickets[1], BEGIN + 70 * NS_PER_MS));
    finish(&tickets[0]);
    assert_int_equal(bulkhead_outcome_of(&tickets[2], BEGIN + 3 * NS_PER_S), BULKHEAD_RUNS);
    for (int i = 1; i < 4; i++)
        finish(&tickets[i]);
    bulkhead_read(pool, &queue);
    uint64_t sum = 0;
    for (unsigned i = 0; i < DURATION_BUCKETS; i++)
        sum += queue.waits[i];
    assert_int_equal(sum, 3);
    assert_int_equal(queue.waits[0], 1);
    assert_int_equal(queue.waits[duration_bucket(70 * NS_PER_MS)], 1);
    assert_int_equal(queue.waits[duration_bucket(3 * NS_PER_S)], 1);
    assert_int_equal(queue.waited, 3 * NS_PER_S + 70 * NS_PER_MS);
    bulkhead_pool_close(pool);
}

// ---- histories

#define TICKETS 40
#define KEYS 5

struct history {
    struct rng rng;
    struct bulkhead_pool *pool;
    struct bulkhead_ticket tickets[TICKETS];
    uint64_t keys[TICKETS]; // UINT64_MAX: none
    uint32_t limit, share, max_queue;
    uint32_t allowed; // more than the limit run only since it was lowered: it does not become more
    bool with_keys;
};

static uint32_t count_of(const struct history *history, enum bulkhead_outcome outcome, uint64_t key) {
    uint32_t count = 0;
    for (int i = 0; i < TICKETS; i++)
        count += history->tickets[i].outcome == outcome && (key == UINT64_MAX || history->keys[i] == key);
    return count;
}

// What must hold between any two steps.
static void judge(struct history *history) {
    const uint32_t running = count_of(history, BULKHEAD_RUNS, UINT64_MAX), waiting = count_of(history, BULKHEAD_WAITS, UINT64_MAX);
    expect_use(history->pool, running, history->limit, waiting);
    history->allowed = running > history->limit ? (running < history->allowed ? running : history->allowed) : history->limit;
    assert_true(running <= history->allowed);
    assert_true(waiting <= history->max_queue);
    for (uint64_t key = 0; history->with_keys && key < KEYS; key++) {
        assert_true(count_of(history, BULKHEAD_RUNS, key) <= history->share);
        if (running < history->limit && count_of(history, BULKHEAD_RUNS, key) < history->share)
            assert_int_equal(count_of(history, BULKHEAD_WAITS, key), 0); // nobody waits for nothing
    }
    if (!history->with_keys && running < history->limit)
        assert_int_equal(waiting, 0);
}

static void step(struct history *history, uint64_t number) {
    const uint32_t which = (uint32_t)rng_below(&history->rng, TICKETS);
    struct bulkhead_ticket *ticket = &history->tickets[which];
    const nanoseconds now = BEGIN + number * NS_PER_MS;
    if (rng_below(&history->rng, 40) == 0) {
        history->limit = 1 + (uint32_t)rng_below(&history->rng, 8);
        bulkhead_pool_configure(history->pool, &(struct bulkhead_plan){.max = history->limit, .shares = {.share = history->share}});
        history->allowed = TICKETS;
    } else if (ticket->outcome == BULKHEAD_NONE) {
        const uint64_t key = rng_below(&history->rng, KEYS);
        struct bulkhead_ask ask = {.now = now,
                                   .deadline = now + rng_below(&history->rng, 5),
                                   .class_index = (uint32_t)rng_below(&history->rng, 3),
                                   .max_queue = history->max_queue,
                                   .has_key = history->with_keys,
                                   .key = key};
        history->keys[which] = key;
        (void)bulkhead_take(history->pool, ticket, &ask);
    } else if (ticket->outcome == BULKHEAD_WAITS && rng_below(&history->rng, 2) == 0) {
        assert_true(bulkhead_give_up(ticket, now));
    } else {
        bulkhead_leave(ticket, now);
    }
}

static void slots_are_conserved_in_any_history(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 3000; seed++) {
        struct history history = {.limit = 3, .with_keys = seed % 2 == 0};
        rng_init(&history.rng, seed);
        history.share = 1 + (uint32_t)rng_below(&history.rng, 4);
        history.max_queue = (uint32_t)rng_below(&history.rng, 12);
        history.allowed = history.limit;
        history.pool = pool_with_shares(history.limit, history.share);
        for (int i = 0; i < TICKETS; i++)
            ticket_init(&history.tickets[i]);
        for (uint64_t i = 0; i < 150; i++) {
            step(&history, i);
            judge(&history);
        }
        if (seed % 3 == 0)
            bulkhead_pool_close(history.pool); // documents go before their requests do
        for (int i = 0; i < TICKETS; i++)
            bulkhead_leave(&history.tickets[i], BEGIN + NS_PER_S);
        if (seed % 3 == 0)
            continue;
        expect_use(history.pool, 0, history.limit, 0);
        bulkhead_pool_close(history.pool);
    }
}

// ---- threads

#define THREADS 2
#define ROUNDS 20000
#define OWN 8

struct shared_pool {
    struct bulkhead_pool *pool;
    _Atomic uint32_t running;
    _Atomic uint32_t most;
    pthread_barrier_t start; // so that threads run at the same time
};

// A worker: its tickets, and a mailbox for what other threads decide.
struct loop_of_thread {
    struct shared_pool *shared;
    struct mailbox mailbox;
    struct rng rng;
    struct slot {
        struct bulkhead_ticket ticket;
        struct note note;
        struct loop_of_thread *loop;
        bool is_told, holds;
    } slots[OWN];
    uint64_t granted, cancelled;
};

static void no_wake(void *argument) {
    (void)argument;
}

static void on_note(struct note *note) {
    CONTAINER_OF(note, struct slot, note)->is_told = true;
}

static void tell(struct bulkhead_ticket *ticket, bool is_here) {
    struct slot *slot = CONTAINER_OF(ticket, struct slot, ticket);
    if (is_here)
        slot->is_told = true;
    else
        mailbox_leave_note(&slot->loop->mailbox, &slot->note);
}

static void hold(struct slot *slot) {
    struct shared_pool *shared = slot->loop->shared;
    const uint32_t running = atomic_fetch_add(&shared->running, 1) + 1;
    uint32_t most = atomic_load(&shared->most);
    while (running > most && !atomic_compare_exchange_weak(&shared->most, &most, running))
        continue;
    slot->holds = true;
    slot->loop->granted++;
}

static void let_go(struct slot *slot, nanoseconds now) {
    if (slot->holds)
        atomic_fetch_sub(&slot->loop->shared->running, 1);
    slot->loop->cancelled += !slot->holds;
    slot->holds = slot->is_told = false;
    bulkhead_leave(&slot->ticket, now);
    mailbox_withdraw_note(&slot->loop->mailbox, &slot->note);
    memset(&slot->ticket, 0xee, sizeof slot->ticket); // its memory goes
    ticket_init(&slot->ticket);
    slot->ticket.worker = slot->loop;
    slot->ticket.tell = tell;
}

static void act(struct loop_of_thread *loop, uint64_t round) {
    struct slot *slot = &loop->slots[rng_below(&loop->rng, OWN)];
    const nanoseconds now = BEGIN + round;
    const enum bulkhead_outcome outcome = bulkhead_outcome_of(&slot->ticket, now);
    if (outcome == BULKHEAD_NONE) {
        struct bulkhead_ask ask = {.now = now, .deadline = NEVER, .class_index = (uint32_t)rng_below(&loop->rng, 3), .max_queue = 5};
        ask.has_key = rng_below(&loop->rng, 2) == 0;
        ask.key = rng_below(&loop->rng, 3);
        if (bulkhead_take(loop->shared->pool, &slot->ticket, &ask) == BULKHEAD_RUNS)
            hold(slot);
    } else if (outcome == BULKHEAD_RUNS && !slot->holds && rng_below(&loop->rng, 2) == 0) {
        hold(slot);
    } else if (outcome == BULKHEAD_WAITS && rng_below(&loop->rng, 4) != 0) {
        mailbox_receive(&loop->mailbox, NULL); // patient
    } else {
        let_go(slot, now); // with what it had, or cancelled, as the other thread may just be about to hand it a slot
    }
}

static void *work(void *argument) {
    struct loop_of_thread *loop = argument;
    pthread_barrier_wait(&loop->shared->start);
    for (uint64_t round = 0; round < ROUNDS; round++) {
        act(loop, round);
        if (round % 64 == 0)
            sched_yield();
    }
    for (int i = 0; i < OWN; i++)
        let_go(&loop->slots[i], BEGIN + ROUNDS);
    return NULL;
}

static void cancel_against_grant_on_two_threads_conserves_slots(void **state) {
    (void)state;
    struct shared_pool shared = {.pool = pool_with_shares(3, 2)};
    static struct loop_of_thread loops[THREADS];
    pthread_t threads[THREADS];
    pthread_barrier_init(&shared.start, NULL, THREADS);
    for (int i = 0; i < THREADS; i++) {
        loops[i].shared = &shared;
        mailbox_init(&loops[i].mailbox, 8, no_wake, NULL);
        rng_init(&loops[i].rng, (uint64_t)i + 1);
        for (int j = 0; j < OWN; j++) {
            struct slot *slot = &loops[i].slots[j];
            ticket_init(&slot->ticket);
            slot->loop = &loops[i];
            slot->ticket.worker = &loops[i];
            slot->ticket.tell = tell;
            note_init(&slot->note, on_note);
        }
    }
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work, &loops[i]), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&shared.start);
    expect_use(shared.pool, 0, 3, 0);
    assert_in_range(atomic_load(&shared.most), 1, 3);
    // How the threads come to run is not the pool's doing: all together they did both often.
    unsigned long long granted = 0, cancelled = 0;
    for (int i = 0; i < THREADS; i++) {
        granted += loops[i].granted;
        cancelled += loops[i].cancelled;
        mailbox_dispose(&loops[i].mailbox);
    }
    assert_true(granted > 100 && cancelled > 100);
    bulkhead_pool_close(shared.pool);
}

// Without keys and a queue nobody needs the mutex.
static void *take_and_leave(void *argument) {
    struct shared_pool *shared = argument;
    struct bulkhead_ticket ticket;
    pthread_barrier_wait(&shared->start);
    for (uint64_t round = 0; round < 25 * ROUNDS; round++) {
        if (take(shared->pool, &ticket, ask_with(0)) != BULKHEAD_RUNS)
            continue;
        const uint32_t running = atomic_fetch_add(&shared->running, 1) + 1;
        uint32_t most = atomic_load(&shared->most);
        while (running > most && !atomic_compare_exchange_weak(&shared->most, &most, running))
            continue;
        if (round % 512 == 0)
            sched_yield(); // with a slot in its hand
        atomic_fetch_sub(&shared->running, 1);
        bulkhead_leave(&ticket, BEGIN);
    }
    return NULL;
}

static void threads_that_take_freely_take_no_more_than_there_is(void **state) {
    (void)state;
    struct shared_pool shared = {.pool = pool_of(2)};
    pthread_t threads[4];
    pthread_barrier_init(&shared.start, NULL, 4);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, take_and_leave, &shared), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&shared.start);
    assert_in_range(atomic_load(&shared.most), 1, 2);
    expect_use(shared.pool, 0, 2, 0);
    bulkhead_pool_close(shared.pool);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_finds_no_slot_waits_and_who_finds_no_place_is_refused),
        cmocka_unit_test(without_a_queue_nobody_waits),
        cmocka_unit_test(the_highest_class_is_first_then_the_earliest_deadline_then_arrival),
        cmocka_unit_test(in_a_full_queue_the_last_is_refused_whoever_came_when),
        cmocka_unit_test(who_gives_up_leaves_its_place_and_one_that_was_handed_a_slot_keeps_it),
        cmocka_unit_test(a_slot_that_nobody_came_for_goes_to_the_next),
        cmocka_unit_test(another_number_holds_at_once_and_takes_nothing_away),
        cmocka_unit_test(a_pool_that_no_document_has_any_more_goes_with_its_last_ticket),
        cmocka_unit_test(a_key_beyond_its_share_waits_and_holds_up_nobody),
        cmocka_unit_test(who_is_beyond_the_share_of_its_key_gives_its_place_to_others),
        cmocka_unit_test(a_key_that_comes_later_has_the_newest_share),
        cmocka_unit_test(new_shares_hold_at_once),
        cmocka_unit_test(keys_are_forgotten_with_their_last_request),
        cmocka_unit_test(looking_takes_nothing_and_says_what_would_be),
        cmocka_unit_test(in_a_dry_run_all_run_and_are_counted),
        cmocka_unit_test(in_a_dry_run_what_is_beyond_its_share_takes_no_slot),
        cmocka_unit_test(when_to_come_again_is_told_by_how_long_slots_are_held),
        cmocka_unit_test(each_wait_is_counted_once),
        cmocka_unit_test(slots_are_conserved_in_any_history),
        cmocka_unit_test(threads_that_take_freely_take_no_more_than_there_is),
        cmocka_unit_test(cancel_against_grant_on_two_threads_conserves_slots),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
