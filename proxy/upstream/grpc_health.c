// See grpc_health.h. Of protobuf (protobuf.dev/programming-guides/encoding) as much as the two messages need: the response has one field, an enum; the request one, a string.
#include "upstream/grpc_health.h"

#include "base/check.h"

#include <string.h>

#define PREFIX 5 // compressed or not, and the length as four bytes, the highest first
#define TAG_SERVICE 0x0a
#define FIELD_STATUS 1

enum wire_type { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

static size_t put_varint(char *out, size_t number) {
    size_t length = 0;
    for (; number >= 0x80; number >>= 7)
        out[length++] = (char)(number | 0x80);
    out[length++] = (char)number;
    return length;
}

size_t grpc_health_request(struct bytes service, char out[GRPC_HEALTH_REQUEST_MAX]) {
    size_t length = PREFIX;
    CHECK(service.len <= GRPC_SERVICE_MAX);
    if (service.len > 0) {
        out[length++] = TAG_SERVICE;
        length += put_varint(out + length, service.len);
        memcpy(out + length, service.at, service.len);
        length += service.len;
    }
    const size_t message = length - PREFIX;
    out[0] = out[1] = out[2] = 0;
    out[3] = (char)(message >> 8);
    out[4] = (char)message;
    return length;
}

static bool take_varint(struct bytes *rest, uint64_t *number) {
    *number = 0;
    for (unsigned shift = 0; shift < 64 && rest->len > 0; shift += 7) {
        const unsigned char byte = (unsigned char)*rest->at;
        *rest = bytes_from(rest->at + 1, rest->len - 1);
        *number |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return true;
    }
    return false;
}

static bool skip(struct bytes *rest, uint64_t count) {
    if (count > rest->len)
        return false;
    *rest = bytes_from(rest->at + count, rest->len - count);
    return true;
}

static bool take_field(struct bytes *rest, uint32_t *status) {
    uint64_t tag, value;
    if (!take_varint(rest, &tag) || tag >> 3 == 0)
        return false;
    switch (tag & 7) {
    case WIRE_VARINT:
        if (!take_varint(rest, &value))
            return false;
        if (tag >> 3 == FIELD_STATUS)
            *status = value < GRPC_HEALTH_STATUS_MAX ? (uint32_t)value : 0;
        return true;
    case WIRE_FIXED64:
        return skip(rest, 8);
    case WIRE_BYTES:
        return take_varint(rest, &value) && skip(rest, value);
    case WIRE_FIXED32:
        return skip(rest, 4);
    default:
        return false;
    }
}

bool grpc_health_response(struct bytes body, uint32_t *status) {
    *status = 0;
    if (body.len < PREFIX || body.at[0] != 0)
        return false;
    uint64_t length = 0;
    for (int i = 1; i < PREFIX; i++)
        length = length << 8 | (unsigned char)body.at[i];
    struct bytes rest = bytes_from(body.at + PREFIX, body.len - PREFIX);
    if (length != rest.len)
        return false;
    while (rest.len > 0)
        if (!take_field(&rest, status))
            return false;
    return true;
}
