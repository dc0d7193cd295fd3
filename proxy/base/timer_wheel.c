// The hierarchical timer wheel. Level L has a slot for each value of bits 6L to 6L+5 of a tick. A timer lies on the level of the highest of these
// groups in which its tick differs from the current one, in the slot of that group: so a level holds only slots ahead of the current one, all
// of a level are earlier than all of the next, and a slot is emptied into lower levels when its first tick is reached.
//
// Ticks that differ above the last level wait in slot 0 of it: no nearer one can be there, and it is reached when that level turns.
#include "base/timer_wheel.h"

#include <assert.h>

#define SLOT_BITS 6
#define WHEEL_BITS (SLOT_BITS * TIMER_LEVELS)

static_assert(TIMER_SLOTS == 1 << SLOT_BITS, "a level has a slot for each value of its bits");
static_assert(TIMER_SLOTS == 64, "a level's slots are the bits of one word");

struct place {
    unsigned level;
    unsigned slot;
};

void timer_wheel_init(struct timer_wheel *wheel, nanoseconds now) {
    wheel->now_ms = now / NS_PER_MS;
    wheel->count = 0;
    list_init(&wheel->due);
    for (unsigned level = 0; level < TIMER_LEVELS; level++) {
        wheel->occupied[level] = 0;
        for (unsigned slot = 0; slot < TIMER_SLOTS; slot++)
            list_init(&wheel->slots[level][slot]);
    }
}

// `tick` is not before now. Between two advances a timer's place stays the same.
static struct place place_of(const struct timer_wheel *wheel, uint64_t tick) {
    CHECK(tick >= wheel->now_ms);
    uint64_t differing = tick ^ wheel->now_ms;
    if (differing >> WHEEL_BITS != 0)
        return (struct place){TIMER_LEVELS - 1, 0};
    // `| 1`: no difference at all is level 0 as well.
    unsigned level = (63 - (unsigned)__builtin_clzll(differing | 1)) / SLOT_BITS;
    return (struct place){level, (unsigned)(tick >> (SLOT_BITS * level)) % TIMER_SLOTS};
}

static void put_in_slot(struct timer_wheel *wheel, struct timer *timer) {
    struct place place = place_of(wheel, timer->expiry_ms);
    list_push_back(&wheel->slots[place.level][place.slot], &timer->link);
    wheel->occupied[place.level] |= UINT64_C(1) << place.slot;
}

// From its slot, or from the list that is being fired.
static void take_out(struct timer_wheel *wheel, struct timer *timer) {
    list_remove(&timer->link);
    if (timer->expiry_ms <= wheel->now_ms)
        return; // it was due
    struct place place = place_of(wheel, timer->expiry_ms);
    if (list_is_empty(&wheel->slots[place.level][place.slot]))
        wheel->occupied[place.level] &= ~(UINT64_C(1) << place.slot);
}

void timer_start(struct timer_wheel *wheel, struct timer *timer, nanoseconds deadline) {
    if (timer_is_running(timer))
        take_out(wheel, timer);
    else
        wheel->count++;
    // Rounded up, without overflow: never early.
    timer->expiry_ms = deadline / NS_PER_MS + (deadline % NS_PER_MS > 0);
    if (timer->expiry_ms <= wheel->now_ms)
        list_push_back(&wheel->due, &timer->link);
    else
        put_in_slot(wheel, timer);
}

void timer_stop(struct timer_wheel *wheel, struct timer *timer) {
    if (!timer_is_running(timer))
        return;
    CHECK(wheel->count > 0);
    wheel->count--;
    take_out(wheel, timer);
}

// The first tick after now at which a slot is to be fired or emptied; UINT64_MAX: none.
static uint64_t next_tick(const struct timer_wheel *wheel) {
    for (unsigned level = 0; level < TIMER_LEVELS; level++) {
        unsigned shift = SLOT_BITS * level;
        unsigned current = (unsigned)(wheel->now_ms >> shift) % TIMER_SLOTS;
        uint64_t ahead = wheel->occupied[level] & (~UINT64_C(1) << current);
        if (ahead != 0) {
            uint64_t turn = wheel->now_ms >> (shift + SLOT_BITS);
            return ((turn << SLOT_BITS) | (unsigned)__builtin_ctzll(ahead)) << shift;
        }
    }
    if (wheel->occupied[TIMER_LEVELS - 1] == 0)
        return UINT64_MAX;
    return ((wheel->now_ms >> WHEEL_BITS) + 1) << WHEEL_BITS;
}

static void take_slot(struct timer_wheel *wheel, unsigned level, struct list *taken) {
    unsigned slot = (unsigned)(wheel->now_ms >> (SLOT_BITS * level)) % TIMER_SLOTS;
    list_init(taken);
    if ((wheel->occupied[level] & (UINT64_C(1) << slot)) == 0)
        return;
    wheel->occupied[level] &= ~(UINT64_C(1) << slot);
    list_append(taken, &wheel->slots[level][slot]);
}

// Empties the slots that begin at the current tick into lower levels, the highest first.
static void cascade(struct timer_wheel *wheel) {
    for (unsigned level = TIMER_LEVELS - 1; level > 0; level--) {
        if (wheel->now_ms % (UINT64_C(1) << (SLOT_BITS * level)) != 0)
            continue;
        struct list taken;
        take_slot(wheel, level, &taken);
        struct list *link;
        while ((link = list_pop_front(&taken)) != NULL)
            put_in_slot(wheel, LIST_ENTRY(link, struct timer, link));
    }
}

// Timers stay linked in `list` until their turn, so that others' callbacks can stop or restart them.
static void fire_all(struct timer_wheel *wheel, struct list *list) {
    struct list *link;
    while ((link = list_pop_front(list)) != NULL) {
        CHECK(wheel->count > 0);
        wheel->count--;
        struct timer *timer = LIST_ENTRY(link, struct timer, link);
        timer->fire(timer);
    }
}

void timer_wheel_advance(struct timer_wheel *wheel, nanoseconds now) {
    uint64_t target = now / NS_PER_MS;
    CHECK(target >= wheel->now_ms);
    struct list firing;
    list_init(&firing);
    // Those that a callback starts with a deadline that has passed go to `due` and wait for the next call: no endless loop.
    list_append(&firing, &wheel->due);
    fire_all(wheel, &firing);
    uint64_t tick;
    while ((tick = next_tick(wheel)) <= target) {
        wheel->now_ms = tick;
        cascade(wheel);
        take_slot(wheel, 0, &firing);
        fire_all(wheel, &firing);
    }
    wheel->now_ms = target;
}

nanoseconds timer_wheel_next(const struct timer_wheel *wheel) {
    if (!list_is_empty(&wheel->due))
        return wheel->now_ms * NS_PER_MS;
    uint64_t tick = next_tick(wheel);
    return tick > UINT64_MAX / NS_PER_MS ? UINT64_MAX : tick * NS_PER_MS;
}
