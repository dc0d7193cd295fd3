// A pattern and an identity, with a zero between them. Properties: nothing is read beyond the text; a pattern without `*` means the one ID that it is; one with it, just those that begin
// as it does, up to the `*`.
#include "base/check.h"
#include "config/identity_pattern.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

static bool is_meant(struct bytes text, const struct spiffe_id *id) {
    const size_t scheme = sizeof "spiffe://" - 1;
    if (bytes_equal(text, BYTES("*")))
        return true;
    struct bytes rest = bytes_from(text.at + scheme, text.len - scheme);
    const size_t slash = bytes_find(rest, '/');
    const struct bytes path = bytes_from(rest.at + slash, rest.len - slash);
    if (!bytes_equal_nocase(bytes_from(rest.at, slash), id->trust_domain))
        return false;
    if (path.at[path.len - 1] != '*')
        return bytes_equal(path, id->path);
    return id->path.len > path.len - 1 && memcmp(id->path.at, path.at, path.len - 1) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
    const struct bytes all = bytes_from((const char *)input, size);
    const size_t zero = bytes_find(all, '\0');
    const struct bytes text = bytes_from(all.at, zero);
    const struct bytes other = zero < size ? bytes_from(all.at + zero + 1, size - zero - 1) : BYTES_NONE;
    struct identity_pattern pattern;
    struct spiffe_id id;
    const char *reason = NULL;
    if (identity_pattern_parse(text, &pattern, &reason) != OK) {
        CHECK(reason != NULL);
        return 0;
    }
    CHECK(bytes_find(text, '*') >= text.len - 1);
    if (spiffe_id_parse(other, &id, &reason) == OK)
        CHECK(identity_matches(&pattern, &id, false) == is_meant(text, &id));
    if (!pattern.is_prefix && spiffe_id_parse(text, &id, &reason) == OK)
        CHECK(identity_matches(&pattern, &id, false));
    return 0;
}
