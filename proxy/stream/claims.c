// A token's payload made flat: see claims.h. Walked twice: to measure, then to fill memory of that size.
#include "stream/claims.h"

#include "base/check.h"
#include "base/pool.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

// "-9223372036854775808", and what a real takes with 17 digits.
#define NUMBER_MAX 32

struct walk {
    struct claims *to; // NULL: it only measures
    char *text;        // where the next text goes
    size_t bytes;
    uint32_t count;
    char path[CLAIM_NAME_MAX]; // of the member at hand
};

// Where a value stands: `length` bytes of the path, and once a value is there, the name that is kept.
struct place {
    size_t length;
    struct bytes name;
    bool is_list_of_words, is_listed;
};

static struct bytes keep(struct walk *walk, struct bytes text) {
    walk->bytes += text.len;
    if (walk->to == NULL)
        return bytes_from(walk->path, text.len); // of no use but that it is there
    char *at = walk->text;
    if (text.len > 0)
        memcpy(at, text.at, text.len);
    walk->text += text.len;
    return bytes_from(at, text.len);
}

static void add(struct walk *walk, struct place *place, struct bytes value) {
    if (place->name.at == NULL)
        place->name = keep(walk, bytes_from(walk->path, place->length));
    const struct bytes kept = keep(walk, value);
    if (walk->to != NULL)
        walk->to->all[walk->count] = (struct claim){place->name, kept, place->is_listed};
    walk->count++;
}

static void add_text(struct walk *walk, struct place *place, struct bytes text) {
    struct bytes word;
    if (!place->is_list_of_words)
        add(walk, place, text);
    else
        while (bytes_next(&text, ' ', &word))
            add(walk, place, word);
}

static void add_number(struct walk *walk, struct place *place, const json_t *value) {
    char text[NUMBER_MAX];
    const size_t length = json_dumpb(value, text, sizeof text, JSON_ENCODE_ANY);
    CHECK(length > 0 && length <= sizeof text);
    add(walk, place, bytes_from(text, length));
}

static void add_value(struct walk *walk, struct place *place, json_t *value);

// A member whose path is too long is left out, with all that is in it, and so is one without a name, whose own members would stand for those above it.
static void add_members(struct walk *walk, const struct place *owner, json_t *object) {
    const size_t dot = owner->length > 0;
    for (void *at = json_object_iter(object); at != NULL; at = json_object_iter_next(object, at)) {
        const struct bytes key = bytes_from(json_object_iter_key(at), json_object_iter_key_len(at));
        if (key.len == 0 || key.len > CLAIM_NAME_MAX - owner->length - dot || owner->length + dot > CLAIM_NAME_MAX)
            continue;
        if (dot > 0)
            walk->path[owner->length] = '.';
        memcpy(walk->path + owner->length + dot, key.at, key.len);
        struct place place = {.length = owner->length + dot + key.len, .is_listed = owner->is_listed};
        place.is_list_of_words = owner->length == 0 && (bytes_equal(key, BYTES("scope")) || bytes_equal(key, BYTES("scp")));
        add_value(walk, &place, json_object_iter_value(at));
    }
}

// NOLINTNEXTLINE(misc-no-recursion): as deep as whoever has parsed it allows
static void add_value(struct walk *walk, struct place *place, json_t *value) {
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        add_members(walk, place, value);
        return;
    case JSON_ARRAY:
        place->is_listed = true;
        for (size_t i = 0; i < json_array_size(value); i++)
            add_value(walk, place, json_array_get(value, i));
        return;
    case JSON_STRING:
        add_text(walk, place, bytes_from(json_string_value(value), json_string_length(value)));
        return;
    case JSON_INTEGER:
    case JSON_REAL:
        add_number(walk, place, value);
        return;
    case JSON_TRUE:
        add(walk, place, BYTES("true"));
        return;
    case JSON_FALSE:
        add(walk, place, BYTES("false"));
        return;
    case JSON_NULL:
        return;
    }
}

struct claims *claims_create(struct json_t *payload) {
    CHECK(json_is_object(payload));
    const struct place whole = {0};
    struct walk measure = {0};
    add_members(&measure, &whole, payload);
    if (measure.bytes + measure.count * sizeof(struct claim) > CLAIMS_BYTES_MAX)
        return NULL;
    struct claims *claims = try_alloc(sizeof *claims + measure.count * sizeof claims->all[0] + measure.bytes);
    if (claims == NULL)
        return NULL;
    atomic_init(&claims->references, 1);
    claims->count = measure.count;
    void *behind = &claims->all[measure.count];
    struct walk fill = {.to = claims, .text = behind};
    add_members(&fill, &whole, payload);
    CHECK(fill.count == measure.count && fill.bytes == measure.bytes);
    return claims;
}

struct claims *claims_ref(struct claims *claims) {
    const uint32_t before = atomic_fetch_add_explicit(&claims->references, 1, memory_order_relaxed);
    CHECK(before > 0);
    return claims;
}

void claims_unref(struct claims *claims) {
    const uint32_t before = atomic_fetch_sub_explicit(&claims->references, 1, memory_order_acq_rel);
    CHECK(before > 0);
    if (before == 1)
        free(claims);
}

const struct claim *claims_find(const struct claims *claims, struct bytes name, const struct claim *before) {
    if (claims == NULL)
        return NULL;
    for (uint32_t i = before == NULL ? 0 : (uint32_t)(before - claims->all) + 1; i < claims->count; i++)
        if (bytes_equal(claims->all[i].name, name))
            return &claims->all[i];
    return NULL;
}
