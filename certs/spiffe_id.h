// SPIFFE IDs: spiffe://trust-domain/path (SPIFFE-ID.md). Pure: parse, compare, print.
#ifndef CERTS_SPIFFE_ID_H
#define CERTS_SPIFFE_ID_H

#include "base/bytes.h"
#include "base/error.h"

#include <stdbool.h>

#define SPIFFE_ID_MAX 2048 // bytes of the whole id
#define SPIFFE_TRUST_DOMAIN_MAX 255

// Borrowed slices of one text; `text` is the whole, as written.
struct spiffe_id {
    struct bytes text;
    struct bytes trust_domain;
    struct bytes path; // with its leading '/'; empty: the trust domain itself
};

// ERROR_INVALID with `*reason` (a constant text) when `text` breaks a rule. The id borrows from `text`.
enum error spiffe_id_parse(struct bytes text, struct spiffe_id *id, const char **reason) MUST_CHECK;

// Scheme and trust domain without regard to case, the path exactly.
bool spiffe_id_equal(const struct spiffe_id *a, const struct spiffe_id *b);

bool spiffe_id_same_trust_domain(const struct spiffe_id *a, const struct spiffe_id *b);

#endif
