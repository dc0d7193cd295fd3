// Finding, counting and forgetting of series: see request_series.h.
#include "telemetry/request_series.h"

#include "base/check.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/pool.h"

#include <assert.h>
#include <stdlib.h>

// Two names of at most 63 bytes each and a rule's name; two names and a port; the names of labels.
#define KEY_BYTES_MAX 1024

static_assert(ERROR_COUNT <= UINT8_MAX, "series_facts.error");
static_assert(sizeof(struct series_facts) == sizeof(uint64_t), "compared as one number");

void series_set_init(struct series_set *set, struct series_registry *registry) {
    *set = (struct series_set){.registry = registry};
    map_init(&set->by_key);
    list_init(&set->scopes);
    series_left_init(&set->left);
}

void series_set_dispose(struct series_set *set) {
    if (set->unrouted != NULL)
        series_scope_unref(set, set->unrouted);
    while (series_set_tidy(set, UINT32_MAX))
        continue;
    series_left_dispose(&set->left);
    CHECK(list_is_empty(&set->scopes) && set->count == 0 && set->readings == 0);
    map_dispose(&set->by_key);
    for (int family = 0; family < SERIES_FAMILIES; family++)
        series_totals_clear(&set->overflow[family]);
}

// --- scopes ---

static size_t put(char *text, size_t length, struct bytes part) {
    const size_t room = KEY_BYTES_MAX - 1 - length;
    const size_t size = part.len < room ? part.len : room;
    if (size > 0)
        memcpy(text + length, part.at, size);
    return length + size;
}

// What is longer than any can be counts with others whose beginning is the same.
static struct bytes write_key(char text[KEY_BYTES_MAX], struct bytes service, struct bytes route, struct bytes labels) {
    size_t length = put(text, 0, service);
    length = put(text, length, BYTES("\n"));
    length = put(text, length, route);
    length = put(text, length, BYTES("\n"));
    return bytes_from(text, put(text, length, labels));
}

static struct series_scope *ref(struct series_scope *scope) {
    if (scope != NULL)
        scope->references++;
    return scope;
}

struct series_scope *series_scope_find(struct series_set *set, struct bytes service, struct bytes route, struct bytes labels) {
    char text[KEY_BYTES_MAX];
    return set->by_key.count == 0 ? NULL : ref(map_get(&set->by_key, write_key(text, service, route, labels)));
}

static struct bytes cut_off(struct bytes *rest, char separator) {
    const size_t end = bytes_find(*rest, separator);
    const struct bytes part = bytes_from(rest->at, end);
    const size_t skipped = end < rest->len ? end + 1 : end;
    *rest = bytes_from(rest->at + skipped, rest->len - skipped);
    return part;
}

struct series_scope *series_scope_take(struct series_set *set, struct bytes service, struct bytes route, struct bytes labels) {
    struct series_scope *scope = series_scope_find(set, service, route, labels);
    if (scope != NULL)
        return scope;
    char text[KEY_BYTES_MAX];
    scope = alloc_zeroed_or_abort(1, sizeof *scope);
    scope->key = bytes_keep(write_key(text, service, route, labels));
    scope->labels = scope->key;
    scope->service = cut_off(&scope->labels, '\n');
    scope->route = cut_off(&scope->labels, '\n');
    scope->hash = hash_bytes(bytes_from(scope->key.at, scope->key.len - scope->labels.len));
    list_init(&scope->link);
    map_init(&scope->texts);
    map_put(&set->by_key, scope->key, scope);
    list_push_back(&set->scopes, &scope->link);
    return ref(scope);
}

struct series_scope *series_scope_unrouted(struct series_set *set) {
    if (set->unrouted == NULL)
        set->unrouted = series_scope_take(set, BYTES(REQUEST_SERVICE_UNKNOWN), BYTES_NONE, BYTES_NONE);
    return set->unrouted;
}

// --- leaving ---

static void leave(struct series_set *set, struct request_series *series) {
    const enum series_family family = (enum series_family)series->facts.family;
    struct series_part part = {.family = family, .fingerprint = series->fingerprint, .life = series->life.number, .totals = series->totals};
    part.is_dead = series_registry_leave(set->registry, family, series->fingerprint);
    part.awaits = series_registry_gatherings(set->registry);
    series_left_add(&set->left, set->registry, &part, &set->overflow[family]);
    free(series->exemplars);
    free(series);
    set->count--;
}

static void drop_first_text(struct series_scope *scope) {
    struct series_text *text = scope->first_text;
    scope->first_text = text->next;
    map_remove(&scope->texts, text->text);
    bytes_drop(&text->text);
    free(text);
}

static void forget(struct series_scope *scope) {
    map_dispose(&scope->texts);
    list_remove(&scope->link);
    bytes_drop(&scope->key);
    free(scope);
}

// Whoever takes that service from now on makes another scope.
static void begin_leaving(struct series_set *set, struct series_scope *scope) {
    CHECK(scope->references == 0 && !scope->has_left && set->readings == 0);
    scope->has_left = true;
    scope->newest = scope->newest_end = NULL;
    scope->capacity = 0;
    free(scope->slots);
    scope->slots = NULL;
    map_remove(&set->by_key, scope->key);
    list_remove(&scope->link);
    list_push_front(&set->scopes, &scope->link);
}

void series_scope_unref(struct series_set *set, struct series_scope *scope) {
    CHECK(scope->references > 0);
    if (--scope->references > 0)
        return;
    if (set->readings == 0)
        begin_leaving(set, scope);
    else
        set->has_left = true;
}

// Those that lost their last reference while somebody was reading, and were not taken again meanwhile.
static void find_left(struct series_set *set) {
    set->has_left = false;
    LIST_EACH(&set->scopes, node, following) {
        struct series_scope *scope = LIST_ENTRY(node, struct series_scope, link);
        if (scope->references == 0 && !scope->has_left)
            begin_leaving(set, scope);
    }
}

static struct series_scope *first_left(const struct series_set *set) {
    struct series_scope *scope = list_is_empty(&set->scopes) ? NULL : LIST_ENTRY(list_first(&set->scopes), struct series_scope, link);
    return scope != NULL && scope->has_left ? scope : NULL;
}

bool series_set_is_untidy(const struct series_set *set) {
    return set->readings == 0 && (set->has_left || first_left(set) != NULL || series_left_is_due(&set->left, set->registry));
}

bool series_set_tidy(struct series_set *set, uint32_t most) {
    if (set->readings > 0)
        return false;
    if (set->has_left)
        find_left(set);
    for (struct series_scope *scope = first_left(set); scope != NULL && most > 0; most--) {
        struct request_series *series = scope->first;
        if (series != NULL) {
            scope->first = series->next;
            leave(set, series);
        } else if (scope->first_text != NULL) {
            drop_first_text(scope);
        } else {
            forget(scope);
            scope = first_left(set);
        }
    }
    return series_left_look(&set->left, set->registry, set->overflow, &most) || first_left(set) != NULL;
}

void series_set_hold(struct series_set *set) {
    set->readings++;
}

void series_set_let_go(struct series_set *set) {
    CHECK(set->readings > 0);
    set->readings--;
}

// --- one request ---

// Texts as they are found in the scope: what is not there yet has a hash and no place.
struct text_look {
    struct series_text *known;
    uint64_t hash;
};

static struct text_look look_up(const struct series_scope *scope, struct bytes text) {
    struct text_look look = {0};
    if (text.len == 0)
        return look;
    look.known = map_get(&scope->texts, text);
    look.hash = look.known != NULL ? look.known->hash : hash_bytes(text);
    return look;
}

static uint64_t facts_number(const struct series_facts *facts) {
    uint64_t number;
    memcpy(&number, facts, sizeof number);
    return number;
}

static bool is_it(const struct request_series *series, uint64_t facts, const struct series_text *method, const struct series_text *values) {
    return facts_number(&series->facts) == facts && series->method == method && series->values == values;
}

static uint32_t home_of(const struct series_facts *facts, const struct series_text *method, const struct series_text *values) {
    return (uint32_t)hash_mix(facts_number(facts) ^ (uintptr_t)method ^ (uintptr_t)values << 20);
}

static struct request_series *find(const struct series_scope *scope, const struct series_facts *facts, const struct series_text *method,
                                   const struct series_text *values) {
    const uint64_t number = facts_number(facts);
    struct request_series *newest = facts->family == SERIES_ENDS ? scope->newest_end : scope->newest;
    if (newest != NULL && is_it(newest, number, method, values))
        return newest;
    if (scope->capacity == 0)
        return NULL;
    const uint32_t mask = scope->capacity - 1;
    for (uint32_t place = home_of(facts, method, values) & mask; scope->slots[place] != NULL; place = (place + 1) & mask)
        if (is_it(scope->slots[place], number, method, values))
            return scope->slots[place];
    return NULL;
}

static void place(struct request_series **slots, uint32_t capacity, struct request_series *series) {
    uint32_t position = home_of(&series->facts, series->method, series->values) & (capacity - 1);
    while (slots[position] != NULL)
        position = (position + 1) & (capacity - 1);
    slots[position] = series;
}

static void grow(struct series_scope *scope) {
    const uint32_t capacity = scope->capacity == 0 ? 8 : scope->capacity * 2;
    struct request_series **larger = alloc_zeroed_or_abort(capacity, sizeof(struct request_series *));
    for (uint32_t i = 0; i < scope->capacity; i++)
        if (scope->slots[i] != NULL)
            place(larger, capacity, scope->slots[i]);
    free(scope->slots);
    scope->slots = larger;
    scope->capacity = capacity;
}

static struct series_text *keep_text(struct series_scope *scope, const struct text_look *look, struct bytes text) {
    if (look->known != NULL || text.len == 0)
        return look->known;
    struct series_text *kept = alloc_zeroed_or_abort(1, sizeof *kept);
    *kept = (struct series_text){.text = bytes_keep(text), .hash = look->hash};
    map_put(&scope->texts, kept->text, kept);
    kept->next = scope->first_text;
    scope->first_text = kept;
    return kept;
}

// Of the labels that it has, in whatever order policies ask for them: those that it lacks are not written.
static uint64_t labels_hash(struct bytes names, struct bytes values) {
    uint64_t hash = 0;
    while (names.len > 0 && values.len > 0) {
        const struct bytes name = cut_off(&names, '\0'), value = cut_off(&values, '\0');
        char text[SERIES_LABEL_NAME_MAX + 1 + SERIES_LABEL_VALUE_MAX];
        CHECK(name.len <= SERIES_LABEL_NAME_MAX && value.len <= SERIES_LABEL_VALUE_MAX);
        if (value.len == 0)
            continue;
        memcpy(text, name.at, name.len);
        text[name.len] = '\0';
        memcpy(text + name.len + 1, value.at, value.len);
        hash += hash_bytes(bytes_from(text, name.len + 1 + value.len));
    }
    return hash;
}

static uint64_t fingerprint_of(const struct series_scope *scope, const struct request_told *told, uint64_t method) {
    return hash_mix(hash_mix(hash_mix(scope->hash ^ facts_number(&told->facts)) ^ method) + labels_hash(scope->labels, told->values));
}

// NULL: there are too many.
static struct request_series *begin(struct series_set *set, struct series_scope *scope, const struct request_told *told,
                                    const struct text_look *method, const struct text_look *values) {
    const uint64_t fingerprint = fingerprint_of(scope, told, method->hash);
    struct series_life life;
    if (!series_registry_enter(set->registry, (enum series_family)told->facts.family, fingerprint, told->wall, &life))
        return NULL;
    struct request_series *series = alloc_zeroed_or_abort(1, sizeof *series);
    series->facts = told->facts;
    series->method = method->hash == 0 ? NULL : keep_text(scope, method, told->method);
    series->values = keep_text(scope, values, told->values);
    series->life = life;
    series->fingerprint = fingerprint;
    if ((scope->count + 1) * 2 > scope->capacity)
        grow(scope);
    place(scope->slots, scope->capacity, series);
    if (scope->last != NULL)
        scope->last->next = series;
    else
        scope->first = series;
    scope->last = series;
    scope->count++;
    set->count++;
    return series;
}

// NULL: it belongs to the overflow.
static struct request_series *series_for(struct series_set *set, struct series_scope *scope, const struct request_told *told) {
    struct text_look method = {0};
    if (told->method.len > 0 && told->method.len <= SERIES_METHOD_MAX)
        method = look_up(scope, told->method);
    if (method.known == NULL && !told->method_is_known)
        method.hash = 0; // what any caller may make up makes no series
    const struct text_look values = look_up(scope, told->values);
    struct request_series *series = NULL;
    if (method.hash == 0 || method.known != NULL)
        if (told->values.len == 0 || values.known != NULL)
            series = find(scope, &told->facts, method.known, values.known);
    return series != NULL ? series : begin(set, scope, told, &method, &values);
}

// Most series use few buckets: room grows with them.
static struct exemplar *exemplar_of(struct request_series *series, unsigned bucket) {
    for (unsigned i = 0; i < series->exemplar_count; i++)
        if (series->exemplars[i].bucket == bucket)
            return &series->exemplars[i];
    if (series->exemplar_count == series->exemplar_capacity) {
        const uint8_t capacity = series->exemplar_capacity == 0 ? 2 : series->exemplar_capacity * 2;
        struct exemplar *larger = alloc_or_abort(capacity * sizeof *larger);
        if (series->exemplar_count > 0)
            memcpy(larger, series->exemplars, series->exemplar_count * sizeof *larger);
        free(series->exemplars);
        series->exemplars = larger;
        series->exemplar_capacity = capacity;
    }
    return &series->exemplars[series->exemplar_count++];
}

void series_count(struct series_set *set, struct series_scope *scope, const struct request_told *told) {
    CHECK(told->facts.family < SERIES_ENDS && told->facts.status < 600);
    struct request_series *series = series_for(set, scope, told);
    const unsigned bucket = duration_bucket(told->duration);
    series_totals_count(series != NULL ? &series->totals : &set->overflow[told->facts.family], bucket, told->duration,
                        series_registry_exponential_since(set->registry));
    if (series == NULL)
        return;
    scope->newest = series;
    if (told->trace_id == NULL)
        return;
    struct exemplar *exemplar = exemplar_of(series, bucket);
    *exemplar = (struct exemplar){.bucket = (uint8_t)bucket, .value = told->duration, .wall = told->wall};
    memcpy(exemplar->trace_id, told->trace_id, sizeof exemplar->trace_id);
    memcpy(exemplar->span_id, told->span_id, sizeof exemplar->span_id);
}

void series_count_end(struct series_set *set, struct series_scope *scope, enum request_direction direction, enum error end, nanoseconds wall) {
    CHECK(end <= OK && -(int)end <= ERROR_COUNT && scope->route.len == 0 && scope->labels.len == 0);
    const struct request_told told = {.facts = {.family = SERIES_ENDS, .direction = (uint8_t)direction, .error = (uint8_t) - (int)end}, .wall = wall};
    struct request_series *series = series_for(set, scope, &told);
    struct series_totals *totals = series != NULL ? &series->totals : &set->overflow[SERIES_ENDS];
    totals->buckets[0]++;
    if (series != NULL)
        scope->newest_end = series;
}
