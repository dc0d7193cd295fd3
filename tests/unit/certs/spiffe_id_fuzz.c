// Any text as a SPIFFE ID: what is accepted obeys the rules of SPIFFE-ID.md read off it the slow way, and is accepted again as its parts say.
#include "certs/spiffe_id.h"

#include "base/check.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

static bool is_allowed(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
}

static void check_accepted(const struct spiffe_id *id, struct bytes text) {
    CHECK(text.len <= SPIFFE_ID_MAX);
    CHECK(bytes_equal(id->text, text) && id->text.at == text.at);
    CHECK(id->trust_domain.at == text.at + 9 && id->trust_domain.len >= 1 && id->trust_domain.len <= SPIFFE_TRUST_DOMAIN_MAX);
    CHECK(9 + id->trust_domain.len + id->path.len == text.len);
    CHECK(id->path.len == 0 || (id->path.len > 1 && id->path.at[0] == '/' && id->path.at[id->path.len - 1] != '/'));
    for (size_t i = 9; i < text.len; i++) {
        CHECK(is_allowed(text.at[i]) || (text.at[i] == '/' && i >= 9 + id->trust_domain.len));
        CHECK(i == 9 || text.at[i] != '/' || text.at[i - 1] != '/');
    }
    CHECK(spiffe_id_equal(id, id) && spiffe_id_same_trust_domain(id, id));
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
    // Exactly as long as the text, so that reading behind it is seen.
    char *copy = malloc(size);
    struct bytes text = {copy, size};
    struct spiffe_id id;
    const char *reason = NULL;
    if (size > 0)
        memcpy(copy, input, size);
    enum error error = spiffe_id_parse(text, &id, &reason);
    CHECK(error == OK || (error == ERROR_INVALID && reason != NULL));
    if (error == OK)
        check_accepted(&id, text);
    free(copy);
    return 0;
}
