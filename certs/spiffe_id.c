// Parsing and comparing SPIFFE IDs: one pass over the text, nothing copied. Configuration, certificates and authorization all come through
// here, so that no two places disagree on what an identity is.
#include "certs/spiffe_id.h"

#include "base/check.h"

static enum error refuse(const char **reason, const char *text) {
    *reason = text;
    return ERROR_INVALID;
}

static bool is_name_char(char c) {
    return (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
}

static size_t count_name_chars(struct bytes text) {
    size_t count = 0;
    while (count < text.len && is_name_char(text.at[count]))
        count++;
    return count;
}

// Names what stands where a '/' or the end should be: people who write '%41' or ':8443' should read why it is refused.
static const char *reason_against(char c) {
    switch (c) {
    case '?':
        return "a query is not allowed";
    case '#':
        return "a fragment is not allowed";
    case '%':
        return "percent-encoding is not allowed";
    case '@':
        return "user information is not allowed";
    case ':':
        return "a port is not allowed";
    default:
        return "a character that is not allowed: only letters, digits, '.', '-', '_' are";
    }
}

static enum error check_path(struct bytes path, const char **reason) {
    size_t at = 0;
    while (at < path.len) {
        if (path.at[at] != '/')
            return refuse(reason, reason_against(path.at[at]));
        at++;
        struct bytes segment = {path.at + at, count_name_chars(bytes_from(path.at + at, path.len - at))};
        if (segment.len == 0 && at == path.len)
            return refuse(reason, "a trailing '/' is not allowed");
        if (segment.len == 0 && path.at[at] == '/')
            return refuse(reason, "an empty path segment is not allowed");
        if (bytes_equal(segment, BYTES(".")) || bytes_equal(segment, BYTES("..")))
            if (at + segment.len == path.len || path.at[at + segment.len] == '/')
                return refuse(reason, "a path segment '.' or '..' is not allowed");
        at += segment.len;
    }
    return OK;
}

enum error spiffe_id_parse(struct bytes text, struct spiffe_id *id, const char **reason) {
    static const struct bytes scheme = {"spiffe://", 9};
    CHECK(id != NULL && reason != NULL);
    if (text.len > SPIFFE_ID_MAX)
        return refuse(reason, "longer than 2048 bytes");
    if (text.len < scheme.len || !bytes_equal_nocase(bytes_from(text.at, scheme.len), scheme))
        return refuse(reason, "does not begin with spiffe://");

    struct bytes rest = {text.at + scheme.len, text.len - scheme.len};
    struct bytes trust_domain = {rest.at, count_name_chars(rest)};
    if (trust_domain.len < rest.len && rest.at[trust_domain.len] != '/')
        return refuse(reason, reason_against(rest.at[trust_domain.len]));
    if (trust_domain.len == 0)
        return refuse(reason, "the trust domain is empty");
    if (trust_domain.len > SPIFFE_TRUST_DOMAIN_MAX)
        return refuse(reason, "the trust domain is longer than 255 bytes");

    struct bytes path = {rest.at + trust_domain.len, rest.len - trust_domain.len};
    enum error error = check_path(path, reason);
    if (error != OK)
        return error;
    *id = (struct spiffe_id){.text = text, .trust_domain = trust_domain, .path = path};
    return OK;
}

bool spiffe_id_same_trust_domain(const struct spiffe_id *a, const struct spiffe_id *b) {
    return bytes_equal_nocase(a->trust_domain, b->trust_domain);
}

bool spiffe_id_equal(const struct spiffe_id *a, const struct spiffe_id *b) {
    return bytes_equal(a->path, b->path) && spiffe_id_same_trust_domain(a, b);
}
