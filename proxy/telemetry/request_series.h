// Durations of requests by what they were: the series of OpenTelemetry's conventions, as one worker counts them.
//
// A scope is one service, by one rule of a route or as such: what a request was led to finds its scope once, and keeps it. In it the series are found by numbers (what the
// request was) and by at most two texts that peers may choose: the method of a call, and values of labels that a policy asks for. A warm request compares one key, or
// looks into one small table. How many series there may be is said by series_registry.h; requests beyond count in the overflow series of their family. When the last reference to a scope
// goes, its series leave this worker; with the last worker's part (series_left.h) they are added to the overflow too: the sum over a family never loses a request, and no series
// ever shrinks.
//
// Which labels policies ask for is part of a scope, not of what a series is: of two scopes, of documents before and after a reload, series that are written alike are one.
//
// All is the worker's own: whoever wants to read (series_reading.h) gets copies that the worker makes.
#ifndef TELEMETRY_REQUEST_SERIES_H
#define TELEMETRY_REQUEST_SERIES_H

#include "base/bytes.h"
#include "base/list.h"
#include "base/map.h"
#include "telemetry/series_facts.h"
#include "telemetry/series_left.h"

// Longer names of methods are _OTHER.
#define SERIES_METHOD_MAX 256

struct series_text {
    struct series_text *next; // of the scope
    struct bytes text;        // owned
    uint64_t hash;
};

struct request_series {
    struct request_series *next; // of the scope, in the order in which they began
    struct series_facts facts;
    const struct series_text *method; // RPC; NULL: _OTHER
    const struct series_text *values; // of the scope's labels; NULL: it has none
    struct series_totals totals;
    struct series_life life;
    uint64_t fingerprint;       // of all that is written of it
    struct exemplar *exemplars; // owned; of buckets that a sampled request came into
    uint8_t exemplar_count, exemplar_capacity;
};

struct series_scope {
    struct list link; // of the set
    struct bytes key; // owned: service, '\n', route, '\n', names of labels
    struct bytes service, route, labels;
    uint64_t hash; // of service and route
    uint32_t references;
    bool has_left;                              // nobody will find it any more; its series leave, some at a time
    struct request_series *newest, *newest_end; // that counted last, of durations and of ends; NULL: none
    struct request_series *first, *last;
    struct request_series **slots; // open addressing
    uint32_t capacity, count;
    struct map texts; // text -> struct series_text
    struct series_text *first_text;
};

struct series_set {
    struct series_registry *registry;
    struct map by_key;  // of the scopes
    struct list scopes; // all; those that have left first
    struct series_left left;
    struct series_totals overflow[SERIES_FAMILIES];
    struct series_scope *unrouted; // of requests that no service was found for; one reference; NULL: there was none
    uint32_t count;                // of series
    uint32_t readings;             // under way: nothing leaves
    bool has_left;                 // some scope has no reference and is still to be found
};

// One request that is over.
struct request_told {
    struct series_facts facts;
    struct bytes method;               // RPC: "package.Service/Method" as the caller named it; empty: none
    bool method_is_known;              // the server has answered as one that has it: a new series may bear the name
    struct bytes values;               // of the scope's labels, a NUL behind each; as many as it has names
    nanoseconds duration, wall;        // wall: now
    const uint8_t *trace_id, *span_id; // 16 and 8 bytes, of a span that is recorded; NULL: none is
};

// `registry` outlives the set.
void series_set_init(struct series_set *set, struct series_registry *registry);

// All references are gone, no reading is under way.
void series_set_dispose(struct series_set *set);

// `service`: its key; `route`: label of the rule, or empty; `labels`: names, a NUL behind each, or empty. One reference for the caller. NULL: nothing was counted there.
struct series_scope *series_scope_find(struct series_set *set, struct bytes service, struct bytes route, struct bytes labels);

// The same, made where there is none.
struct series_scope *series_scope_take(struct series_set *set, struct bytes service, struct bytes route, struct bytes labels);

// That of requests for which no service was found. Borrowed.
struct series_scope *series_scope_unrouted(struct series_set *set);

// With the last reference the scope is for series_set_tidy.
void series_scope_unref(struct series_set *set, struct series_scope *scope);

void series_count(struct series_set *set, struct series_scope *scope, const struct request_told *told);

// How a request ended: one more in that series of SERIES_ENDS. The scope has neither route nor labels.
void series_count_end(struct series_set *set, struct series_scope *scope, enum request_direction direction, enum error end, nanoseconds wall);

// Whether series_set_tidy has something to do. Asked again when a scope may have lost its last reference, and when a reading is over.
bool series_set_is_untidy(const struct series_set *set);

// Lets series leave that nobody counts in any more, with their texts and scopes: at most `most` of all these, since each takes a lock or frees something. Nothing while somebody
// reads. True: more are to go.
bool series_set_tidy(struct series_set *set, uint32_t most);

// A reading begins, and is over.
void series_set_hold(struct series_set *set);
void series_set_let_go(struct series_set *set);

#endif
