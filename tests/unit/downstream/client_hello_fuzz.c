// Any bytes as the beginning of a TLS connection: what was told with fewer of them is not taken back, and a name is one that may stand in a log.
#include "downstream/client_hello.h"

#include "base/check.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

static enum client_hello_result read_copy(const uint8_t *input, size_t size, struct client_hello *hello) {
    char *copy = malloc(size + 1); // so that reading behind it is seen
    if (size > 0)
        memcpy(copy, input, size);
    enum client_hello_result result = client_hello_read(bytes_from(copy, size), hello);
    free(copy);
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
    struct client_hello hello, shorter;
    enum client_hello_result result = read_copy(input, size, &hello);
    for (size_t i = 0; i < hello.server_name_length; i++) {
        char c = hello.server_name[i];
        CHECK((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_');
    }
    CHECK(result == CLIENT_HELLO_READ || (hello.server_name_length == 0 && !hello.offers_mesh));
    enum client_hello_result before = read_copy(input, size / 2, &shorter);
    CHECK(before == CLIENT_HELLO_MORE || before == result);
    CHECK(result != CLIENT_HELLO_MORE || size < CLIENT_HELLO_MAX);
    return 0;
}
