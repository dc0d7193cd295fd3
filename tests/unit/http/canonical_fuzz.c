// Any target and any authority. Properties: the canonical form is its own canonical form; it holds nothing that is refused, no dot segment, and no escape that
// could be written otherwise; the query is untouched.
#include "base/check.h"
#include "http/canonical.h"

static int hex_value(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool is_unreserved(int c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '.' || c == '_' || c == '~';
}

static void check_path(struct bytes path) {
    CHECK(path.at[0] == '/');
    for (size_t i = 0; i < path.len; i++) {
        unsigned char c = (unsigned char)path.at[i];
        CHECK(c > 0x20 && c < 0x7f && c != '#' && c != '\\');
        if (c != '%')
            continue;
        CHECK(i + 2 < path.len);
        int high = hex_value(path.at[i + 1]);
        int low = hex_value(path.at[i + 2]);
        CHECK(high >= 0 && low >= 0);
        int value = high * 16 + low;
        CHECK(value >= 0x20 && value != 0x7f && value != '\\' && !is_unreserved(value));
    }
    while (path.len > 0) {
        struct bytes rest = bytes_from(path.at + 1, path.len - 1);
        struct bytes segment = bytes_from(rest.at, bytes_find(rest, '/'));
        CHECK(!bytes_equal(segment, BYTES(".")) && !bytes_equal(segment, BYTES("..")));
        CHECK(!bytes_starts_with(segment, BYTES("..;")) && !bytes_starts_with(segment, BYTES("..%2F")));
        path = bytes_from(rest.at + segment.len, rest.len - segment.len);
    }
}

static void check_target(struct bytes target, struct pool *pool) {
    struct bytes canonical;
    struct bytes again;
    if (canonical_path(target, pool, &canonical) != OK)
        return;
    CHECK(canonical.len <= target.len);
    enum error error = canonical_path(canonical, pool, &again);
    CHECK(error == OK);
    CHECK(bytes_equal(again, canonical));
    if (bytes_equal(canonical, BYTES("*")))
        return;
    size_t query = bytes_find(canonical, '?');
    size_t query_before = bytes_find(target, '?');
    CHECK(bytes_equal(bytes_from(canonical.at + query, canonical.len - query), bytes_from(target.at + query_before, target.len - query_before)));
    check_path(bytes_from(canonical.at, query));
}

static void check_authority(struct bytes authority, struct bytes scheme, struct pool *pool) {
    if (!authority_is_valid(authority))
        return;
    struct bytes canonical = canonical_authority(authority, scheme, pool);
    CHECK(canonical.len <= authority.len);
    CHECK(authority_is_valid(canonical));
    CHECK(bytes_equal(canonical_authority(canonical, scheme, pool), canonical));
    for (size_t i = 0; i < canonical.len; i++)
        CHECK(ascii_lower(canonical.at[i]) == canonical.at[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
    struct bytes text = bytes_from((const char *)input, size);
    struct pool_source chunks;
    struct pool pool;
    pool_source_init(&chunks, 8);
    pool_init(&pool, &chunks);
    check_target(text, &pool);
    check_authority(text, BYTES("http"), &pool);
    check_authority(text, BYTES("https"), &pool);
    pool_dispose(&pool);
    pool_source_dispose(&chunks);
    return 0;
}
