// Tags and lengths around what is encoded already. See otlp_request.h.
#include "agent/otlp_request.h"

#include "base/check.h"

#include <string.h>

#define VARINT_BYTES_MAX 5 // of a length below 2^32

#define TAG(field) ((field) << 3 | 2) // of what has a length

static size_t varint_size(size_t value) {
    size_t size = 1;
    for (; value >= 0x80; value >>= 7)
        size++;
    return size;
}

// From `end` toward the front; returns where it begins.
static char *put_length(char *end, unsigned char tag, size_t length) {
    char *at = end - varint_size(length) - 1;
    char *to = at;
    *to++ = (char)tag;
    for (; length >= 0x80; length >>= 7)
        *to++ = (char)(length | 0x80);
    *to = (char)length;
    return at;
}

static char *put_bytes(char *end, struct bytes text) {
    memcpy(end - text.len, text.at, text.len);
    return end - text.len;
}

size_t otlp_head_room(const struct otlp_origin *origin) {
    return origin->resource.len + origin->scope.len + 2 * (1 + (size_t)VARINT_BYTES_MAX);
}

char *otlp_head_write(const struct otlp_origin *origin, size_t records, char *end) {
    CHECK(records > 0); // an empty envelope is never sent
    const char *all_end = end + records;
    char *at = put_bytes(end, origin->scope);
    at = put_length(at, TAG(2), (size_t)(all_end - at)); // scope_spans
    at = put_bytes(at, origin->resource);
    return put_length(at, TAG(1), (size_t)(all_end - at)); // resource_spans
}
