// A trust bundle: for each trust domain the roots that may sign its SVIDs. An SVID is only ever checked against the roots of its own trust domain.
//
// It comes from one PEM text: a root with a SPIFFE ID of its own belongs to the trust domain of that ID, every other one to our trust domain.
// Immutable once made; any thread may verify with it.
#ifndef CERTS_TRUST_BUNDLE_H
#define CERTS_TRUST_BUNDLE_H

#include "certs/x509.h"

// Roots of all trust domains together: a bundle in the middle of a rotation, some federated domains; more is a mistake.
#define TRUST_BUNDLE_ROOTS_MAX 256

// Certificates between a leaf and its root.
#define TRUST_INTERMEDIATES_MAX 5

struct trust_bundle;

enum trust_outcome {
    TRUST_OK,
    TRUST_NOT_SVID,       // the leaf or a signing certificate breaks a rule
    TRUST_FOREIGN_DOMAIN, // the bundle has no roots for the SVID's trust domain
    TRUST_EXPIRED,        // some certificate of the path is over, or not yet valid
    TRUST_UNTRUSTED       // no path to a root, or a signature on it is wrong
};

struct trust_verdict {
    enum trust_outcome outcome;
    const char *text;    // constant: why not; "" when OK
    struct spiffe_id id; // of the leaf, borrowed from it; empty where the leaf is no SVID
    int64_t not_before;  // latest of the path, when OK: seconds since 1970
    int64_t not_after;   // earliest of the path, when OK
    int x509_error;      // OpenSSL's X509_V_ERR_...: decides the alert that a peer gets
};

enum trust_purpose { TRUST_CLIENT, TRUST_SERVER }; // what the leaf is shown as

// One root, for people: /certs.
struct trust_root {
    struct bytes trust_domain;
    char subject[256];
    char serial[CERTIFICATE_SERIAL_SIZE];
    int64_t not_before;
    int64_t not_after;
};

// ERROR_INVALID with a text in `reason` when the text has no root, one is malformed, or one is no signing certificate.
enum error trust_bundle_create(struct bytes pem, struct bytes own_trust_domain, struct trust_bundle **bundle, char *reason, size_t reason_size)
    MUST_CHECK;
void trust_bundle_destroy(struct trust_bundle *bundle);

// The same for the same roots in the same trust domains, in whatever order they were written.
const unsigned char *trust_bundle_digest(const struct trust_bundle *bundle); // CERTIFICATE_DIGEST_SIZE bytes

uint32_t trust_bundle_root_count(const struct trust_bundle *bundle);
void trust_bundle_root(const struct trust_bundle *bundle, uint32_t index, struct trust_root *root);

// Verifies the leaf that `path` was made for: the rules of an SVID, then RFC 5280's path validation to a root of its trust domain. `path` has leaf, untrusted
// certificates, purpose and time already (inside a handshake OpenSSL gives one).
void trust_bundle_verify_path(const struct trust_bundle *bundle, X509_STORE_CTX *path, struct trust_verdict *verdict);

// The same for a leaf and its intermediates outside a handshake, at the time `wall_s`.
void trust_bundle_verify(const struct trust_bundle *bundle, X509 *leaf, STACK_OF(X509) *intermediates, enum trust_purpose purpose, int64_t wall_s,
                         struct trust_verdict *verdict);

// --- what ca_set.c shares: any path to any stack of certificates ---

// RFC 5280's path validation to one of `anchors`, which need not be self-signed; with at most so many certificates between. `verdict` is whole but for its period and identity.
void trust_validate_path(X509_STORE_CTX *path, STACK_OF(X509) *anchors, int intermediates_max, struct trust_verdict *verdict);

// The path holds no longer than this certificate of it.
void trust_verdict_narrow(struct trust_verdict *verdict, const X509 *certificate);

// For verifying outside a handshake.
X509_STORE_CTX *trust_path_create(X509 *leaf, STACK_OF(X509) *intermediates, enum trust_purpose purpose, int64_t wall_s);

#endif
