// Finds, makes and forgets the numbers of rules. See route_counters.h.
#include "upstream/route_counters.h"

#include "base/check.h"
#include "base/pool.h"

#include <stdio.h>
#include <stdlib.h>

// A label has two names of at most 63 bytes each and a rule's name, a key two names and a port.
#define KEY_BYTES_MAX 512

void route_counter_set_init(struct route_counter_set *set) {
    map_init(&set->by_key);
}

void route_counter_set_dispose(struct route_counter_set *set) {
    CHECK(set->by_key.count == 0);
    map_dispose(&set->by_key);
}

// Longer than any that can be: counts with others whose beginning is the same.
static struct bytes print_key(char *text, struct bytes route, struct bytes service) {
    int length = snprintf(text, KEY_BYTES_MAX, "%.*s\n%.*s", BYTES_FORMAT(route), BYTES_FORMAT(service));
    CHECK(length > 0);
    return bytes_from(text, (size_t)length < KEY_BYTES_MAX ? (size_t)length : KEY_BYTES_MAX - 1);
}

static struct route_counters *ref(struct route_counters *counters) {
    if (counters != NULL)
        counters->references++;
    return counters;
}

struct route_counters *route_counters_find(struct route_counter_set *set, struct bytes route, struct bytes service) {
    char text[KEY_BYTES_MAX];
    return set->by_key.count == 0 ? NULL : ref(map_get(&set->by_key, print_key(text, route, service)));
}

static struct route_counters *make(struct route_counter_set *set, struct bytes route, struct bytes service) {
    char text[KEY_BYTES_MAX];
    struct route_counters *counters = alloc_zeroed_or_abort(1, sizeof *counters);
    counters->key = bytes_keep(print_key(text, route, service));
    size_t end = bytes_find(counters->key, '\n');
    counters->route = bytes_from(counters->key.at, end);
    counters->service = end < counters->key.len ? bytes_from(counters->key.at + end + 1, counters->key.len - end - 1) : BYTES_NONE;
    map_put(&set->by_key, counters->key, counters);
    return ref(counters);
}

struct route_counters *route_counters_take(struct route_counter_set *set, struct bytes route, struct bytes service) {
    struct route_counters *found = route_counters_find(set, route, service);
    if (found != NULL)
        return found;
    if (set->by_key.count < ROUTE_COUNTERS_MAX)
        return make(set, route, service);
    const struct bytes other = BYTES(ROUTE_COUNTERS_OTHER);
    found = route_counters_find(set, other, other);
    return found != NULL ? found : make(set, other, other);
}

void route_counters_unref(struct route_counter_set *set, struct route_counters *counters) {
    CHECK(counters->references > 0);
    if (--counters->references > 0)
        return;
    map_remove(&set->by_key, counters->key);
    bytes_drop(&counters->key);
    free(counters);
}
