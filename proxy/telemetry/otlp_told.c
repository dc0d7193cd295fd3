// Growth of series, and what becomes of what was told of those that are gone. See otlp_told.h.
#include "telemetry/otlp_told.h"

#include "base/check.h"
#include "base/map.h"
#include "base/pool.h"
#include "telemetry/otlp_names.h"
#include "telemetry/series_totals.h"

#include <stdlib.h>

struct told_family {
    struct list link;
    const struct metric_family *family;
    bool has_overflow;
    struct map by_key;
    struct list series;
    struct told overflow;
};

// --- totals ---

static void add_exponential(struct told_totals *to, const struct exponential_histogram *from) {
    if (from == NULL)
        return;
    if (to->exponential != NULL) {
        exponential_add(to->exponential, from);
        return;
    }
    to->exponential = alloc_or_abort(sizeof *to->exponential);
    *to->exponential = *from;
}

static void add(struct told_totals *to, const struct told_totals *from) {
    to->value += from->value;
    for (int i = 0; i < DURATION_BUCKETS; i++)
        to->buckets[i] += from->buckets[i];
    to->sum += from->sum;
    add_exponential(to, from->exponential);
}

static void subtract(struct told_totals *from, const struct told_totals *taken) {
    for (int i = 0; i < DURATION_BUCKETS; i++)
        from->buckets[i] -= taken->buckets[i];
    from->sum -= taken->sum;
    if (from->exponential != NULL && taken->exponential != NULL)
        exponential_subtract(from->exponential, taken->exponential);
}

static uint64_t clipped(uint64_t value) {
    return value >> 63 == 0 ? value : 0;
}

static void clip(struct told_totals *totals) {
    for (int i = 0; i < DURATION_BUCKETS; i++)
        totals->buckets[i] = clipped(totals->buckets[i]);
    totals->sum = clipped(totals->sum);
    if (totals->exponential != NULL)
        exponential_clip(totals->exponential);
}

static void copy(struct told_totals *to, const struct histogram_sample *from) {
    *to = (struct told_totals){.sum = from->sum};
    memcpy(to->buckets, from->buckets, sizeof to->buckets);
    if (from->exponential != NULL)
        add_exponential(to, &from->exponential->histogram);
}

static uint64_t count_of(const struct told_totals *totals) {
    uint64_t count = 0;
    for (int i = 0; i < DURATION_BUCKETS; i++)
        count += totals->buckets[i];
    return count;
}

// One that left and is back between two pushes may have more requests than before, which took less.
static bool has_become_less(const struct histogram_sample *now, const struct told_totals *before) {
    for (int i = 0; i < DURATION_BUCKETS; i++)
        if (now->buckets[i] < before->buckets[i])
            return true;
    return now->sum < before->sum;
}

void told_totals_clear(struct told_totals *totals) {
    free(totals->exponential);
    *totals = (struct told_totals){0};
}

// --- families ---

static void drop(struct told *told) {
    list_remove(&told->link);
    told_totals_clear(&told->totals);
    bytes_drop(&told->key);
    free(told);
}

static void drop_family(struct told_family *family) {
    while (!list_is_empty(&family->series))
        drop(LIST_ENTRY(family->series.next, struct told, link));
    told_totals_clear(&family->overflow.totals);
    map_dispose(&family->by_key);
    list_remove(&family->link);
    free(family);
}

void told_init(struct told_memory *memory) {
    *memory = (struct told_memory){0};
    list_init(&memory->families);
}

void told_clear(struct told_memory *memory) {
    while (!list_is_empty(&memory->families))
        drop_family(LIST_ENTRY(memory->families.next, struct told_family, link));
    memory->family = NULL;
}

void told_dispose(struct told_memory *memory) {
    told_clear(memory);
}

void told_begin_round(struct told_memory *memory) {
    memory->round++;
    memory->family = NULL;
}

// They come in the same order each time, nearly always.
static struct told_family *find(const struct told_memory *memory, const struct metric_family *family) {
    const struct list *const first = memory->family != NULL ? &memory->family->link : &memory->families;
    for (struct list *node = first->next; node != first; node = node->next)
        if (node != &memory->families && LIST_ENTRY(node, struct told_family, link)->family == family)
            return LIST_ENTRY(node, struct told_family, link);
    return NULL;
}

void told_begin_family(struct told_memory *memory, const struct metric_family *family) {
    struct told_family *found = find(memory, family);
    if (found == NULL) {
        found = alloc_zeroed_or_abort(1, sizeof *found);
        found->family = family;
        found->has_overflow = otlp_has_overflow(family);
        map_init(&found->by_key);
        list_init(&found->link);
        list_init(&found->series);
        list_init(&found->overflow.link);
        list_push_back(&memory->families, &found->link);
    }
    memory->family = found;
}

struct told *told_of(struct told_memory *memory, struct bytes key, nanoseconds since) {
    struct told_family *family = memory->family;
    struct told *told = map_get(&family->by_key, key);
    if (told != NULL && told->round == memory->round)
        return NULL;
    if (told == NULL) {
        told = alloc_zeroed_or_abort(1, sizeof *told);
        told->key = bytes_keep(key);
        told->since = since;
        list_init(&told->link);
        map_put(&family->by_key, key, told);
    }
    told->round = memory->round;
    list_remove(&told->link);
    list_push_back(&family->series, &told->link);
    return told;
}

struct told *told_of_overflow(struct told_memory *memory) {
    return &memory->family->overflow;
}

void told_end_family(struct told_memory *memory) {
    struct told_family *family = memory->family;
    while (!list_is_empty(&family->series)) {
        struct told *told = LIST_ENTRY(family->series.next, struct told, link);
        if (told->round == memory->round)
            break;
        if (family->has_overflow)
            add(&family->overflow.totals, &told->totals);
        map_remove(&family->by_key, told->key);
        drop(told);
    }
}

// --- growth ---

uint64_t told_counter_growth(struct told_memory *memory, struct told *told, uint64_t now) {
    struct told *overflow = &memory->family->overflow;
    if (told == overflow)
        return clipped(now - told->totals.value);
    if (now < told->totals.value) {
        const uint64_t rest = told->totals.value - now;
        overflow->totals.value += memory->family->has_overflow ? rest : 0;
        told->totals.value = memory->family->has_overflow ? now : 0;
    }
    return now - told->totals.value;
}

// As if no more had been told of it than there is now: the overflow has the rest.
static void move_rest(struct told_family *family, struct told *told, const struct told_totals *now) {
    if (family->has_overflow) {
        add(&family->overflow.totals, &told->totals);
        subtract(&family->overflow.totals, now);
    }
    told_totals_clear(&told->totals);
    if (family->has_overflow)
        add(&told->totals, now);
}

static void hear_exponential(struct told *told, const struct exponential_totals *now) {
    free(told->totals.exponential);
    told->totals.exponential = NULL;
    add_exponential(&told->totals, &now->histogram);
}

void told_growth(struct told_memory *memory, struct told *told, const struct histogram_sample *now, struct told_totals *growth) {
    copy(growth, now);
    if (told != &memory->family->overflow && has_become_less(now, &told->totals))
        move_rest(memory->family, told, growth);
    subtract(growth, &told->totals);
    clip(growth);
    if (growth->exponential == NULL || exponential_count(growth->exponential) == count_of(growth))
        return;
    free(growth->exponential);
    growth->exponential = NULL;
    hear_exponential(told, now->exponential);
}

void told_add(struct told *told, const struct told_totals *growth) {
    add(&told->totals, growth);
}
