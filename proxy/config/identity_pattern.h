// Which identities a document means: one, or all whose path begins alike. Pure: parse and compare; nothing is a character of a pattern but the `*` at its end.
#ifndef CONFIG_IDENTITY_PATTERN_H
#define CONFIG_IDENTITY_PATTERN_H

#include "certs/spiffe_id.h"

enum identity_domain {
    DOMAIN_NAMED,
    DOMAIN_OWN, // the trust domain that the proxy itself is of
    DOMAIN_ANY
};

// Borrowed slices of one text.
struct identity_pattern {
    enum identity_domain domain;
    struct bytes trust_domain; // DOMAIN_NAMED
    struct bytes path;         // of a prefix with the `/` at its end, or empty
    bool is_prefix;
};

// "spiffe://trust-domain/path": that one. "spiffe://trust-domain/path/*" and "spiffe://trust-domain/*": those below. "*": whoever has shown one. ERROR_INVALID: none of
// these; `*reason` (a constant text) says why. The pattern borrows from `text`.
enum error identity_pattern_parse(struct bytes text, struct identity_pattern *pattern, const char **reason) MUST_CHECK;

// `is_kin`: the id is of our own trust domain.
bool identity_matches(const struct identity_pattern *pattern, const struct spiffe_id *id, bool is_kin);

#endif
