// One variable, taken apart. See otel_resource.h.
#include "config/otel_resource.h"

#include "telemetry/text_escape.h"

#include <string.h>

// A receiver that checks its texts refuses the whole request for one that is not UTF-8.
static bool is_utf8(struct pool *pool, struct bytes text) {
    size_t taken;
    char *copy = pool_alloc(pool, text.len + 1);
    const size_t length = text_to_utf8(copy, text.len, text, &taken); // with a replacement in it it is another text, or finds no room
    return bytes_equal(bytes_from(copy, length), text);
}

// The one with that key; NULL: there is none.
static const struct otel_attribute *find(const struct otel_attributes *attributes, struct bytes key) {
    for (uint32_t i = 0; i < attributes->count; i++)
        if (bytes_equal(attributes->items[i].key, key))
            return &attributes->items[i];
    return NULL;
}

static bool decode(struct pool *pool, struct bytes text, struct bytes *decoded) {
    *decoded = otel_percent_decode(pool, bytes_trim(text));
    return decoded->at != NULL && memchr(decoded->at, '\0', decoded->len) == NULL && is_utf8(pool, *decoded);
}

bool otel_resource_read(const struct otel_environment *environment, struct pool *pool, struct otel_attributes *attributes) {
    struct bytes list = otel_variable(environment, OTEL_RESOURCE_VARIABLE), pair;
    attributes->count = 0;
    while (bytes_next(&list, ',', &pair)) {
        struct otel_attribute one;
        const size_t split = bytes_find(pair, '=');
        if (split == 0 || split == pair.len || !decode(pool, bytes_from(pair.at, split), &one.key) ||
            !decode(pool, bytes_from(pair.at + split + 1, pair.len - split - 1), &one.value) || find(attributes, one.key) != NULL) {
            attributes->count = 0;
            return false;
        }
        if (one.value.len > 0 && attributes->count < OTEL_ATTRIBUTES_MAX)
            attributes->items[attributes->count++] = one;
    }
    return true;
}
