// See identity_pattern.h. What stands before the `*` is parsed as the SPIFFE ID that it would be, so that no pattern means what no ID can be.
#include "config/identity_pattern.h"

enum error identity_pattern_parse(struct bytes text, struct identity_pattern *pattern, const char **reason) {
    struct spiffe_id id = {0};
    if (bytes_equal(text, BYTES("*"))) {
        *pattern = (struct identity_pattern){.domain = DOMAIN_ANY, .is_prefix = true};
        return OK;
    }
    const bool is_prefix = bytes_ends_with(text, BYTES("/*"));
    if (!is_prefix && bytes_find(text, '*') < text.len) {
        *reason = "`*` may stand alone, or at the end behind a `/`";
        return ERROR_INVALID;
    }
    const enum error error = spiffe_id_parse(is_prefix ? bytes_from(text.at, text.len - 2) : text, &id, reason);
    if (error != OK)
        return error;
    if (!is_prefix && id.path.len == 0) {
        *reason = "names a trust domain alone; all of it is spiffe://trust-domain/*";
        return ERROR_INVALID;
    }
    // Behind the id stands "/*": with its `/` the path of a prefix ends.
    *pattern = (struct identity_pattern){.domain = DOMAIN_NAMED,
                                         .trust_domain = id.trust_domain,
                                         .path = bytes_from(id.trust_domain.at + id.trust_domain.len, id.path.len + is_prefix),
                                         .is_prefix = is_prefix};
    return OK;
}

bool identity_matches(const struct identity_pattern *pattern, const struct spiffe_id *id, bool is_kin) {
    if (pattern->is_prefix ? !bytes_starts_with(id->path, pattern->path) : !bytes_equal(id->path, pattern->path))
        return false;
    switch (pattern->domain) {
    case DOMAIN_NAMED:
        return bytes_equal_nocase(id->trust_domain, pattern->trust_domain);
    case DOMAIN_OWN:
        return is_kin;
    case DOMAIN_ANY:
        return true;
    }
    return false;
}
