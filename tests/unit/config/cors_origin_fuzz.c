// Any text. Properties: an origin is made of its parts and no others; it matches itself, and its host under `*`.
#include "base/check.h"
#include "config/cors_origin.h"

#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
    struct bytes text = bytes_from((const char *)input, size);
    struct cors_origin origin;
    char parts[512];
    if (size > sizeof parts / 2 || !cors_origin_parse(text, &origin))
        return 0;
    CHECK(origin.scheme.len > 0 && origin.host.len > 0);
    int length = snprintf(parts, sizeof parts, "%.*s://%.*s", BYTES_FORMAT(origin.scheme), BYTES_FORMAT(origin.host));
    CHECK(length > 0 && (size_t)length < sizeof parts);
    CHECK(bytes_starts_with(text, bytes_from(parts, (size_t)length)));
    struct bytes rest = bytes_from(text.at + length, text.len - (size_t)length);
    uint64_t port = origin.port;
    CHECK(rest.len == 0 || (rest.at[0] == ':' && bytes_to_u64(bytes_from(rest.at + 1, rest.len - 1), UINT16_MAX, &port) && port == origin.port));
    const struct cors_origin any = {.scheme = origin.scheme, .host = BYTES("*"), .port = origin.port};
    CHECK(cors_origin_is_pattern(&any) && cors_origin_matches(&any, &origin));
    CHECK(!cors_origin_is_pattern(&origin) || bytes_find(origin.host, '*') < origin.host.len || cors_origin_matches(&origin, &origin));
    return 0;
}
