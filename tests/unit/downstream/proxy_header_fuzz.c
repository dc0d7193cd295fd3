// Any bytes as the beginning of a connection with the PROXY protocol: a header is never longer than what came or than what is taken, and is the same when more follows.
#include "downstream/proxy_header.h"

#include "base/check.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

static enum proxy_header_result read_copy(const uint8_t *input, size_t size, struct proxy_header *header) {
    char *copy = malloc(size + 1); // so that reading behind it is seen
    if (size > 0)
        memcpy(copy, input, size);
    enum proxy_header_result result = proxy_header_read(bytes_from(copy, size), header);
    free(copy);
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
    struct proxy_header header, again;
    enum proxy_header_result result = read_copy(input, size, &header);
    if (result == PROXY_HEADER_READ) {
        CHECK(header.length > 0 && header.length <= size && header.length <= PROXY_HEADER_MAX);
        CHECK(!header.has_source || header.source.any.sa_family == AF_INET || header.source.any.sa_family == AF_INET6);
        CHECK(read_copy(input, header.length, &again) == PROXY_HEADER_READ && again.length == header.length);
        CHECK(read_copy(input, header.length - 1, &again) == PROXY_HEADER_MORE);
    }
    CHECK(result != PROXY_HEADER_MORE || size < PROXY_HEADER_MAX);
    return 0;
}
