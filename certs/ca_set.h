// A CA set: certificates of authorities, out of files that a document names, to which the certificate of a server outside the mesh must lead. Nothing of SPIFFE is asked of it.
//
// Immutable once made; any thread may verify with it.
#ifndef CERTS_CA_SET_H
#define CERTS_CA_SET_H

#include "certs/trust_bundle.h"

// Of all files of a set together. What systems ship has a hundred and fifty.
#define CA_SET_CERTIFICATES_MAX 1024

// Between a server's certificate and the one of the set that it leads to.
#define CA_SET_INTERMEDIATES_MAX 8

struct ca_set;

struct ca_set *ca_set_create(void);
void ca_set_destroy(struct ca_set *set); // NULL is none

// Adds all certificates of a PEM text; one that is there already is left out. ERROR_INVALID with a text in `reason` when there is none, one is malformed, or there are too many. An expired one is
// taken: what leads to it is refused when it is met.
enum error ca_set_add(struct ca_set *set, struct bytes pem, char *reason, size_t reason_size) MUST_CHECK;

// The same for the same certificates added in the same order.
void ca_set_digest(const struct ca_set *set, unsigned char digest[CERTIFICATE_DIGEST_SIZE]);

uint32_t ca_set_count(const struct ca_set *set);

// The one that ends first: its end, seconds since 1970, and its subject. Of a set that has one at all.
int64_t ca_set_first_end(const struct ca_set *set, char *subject, size_t subject_size);

// RFC 5280's path validation, as trust_bundle_verify_path does it, to whichever certificate of the set: one that is no root ends the path too. `path` has leaf, untrusted certificates, purpose
// and time already. Whose certificate it is says server_name_is_of. `verdict->id` stays empty.
void ca_set_verify_path(const struct ca_set *set, X509_STORE_CTX *path, struct trust_verdict *verdict);

// The same for a server's leaf and its intermediates outside a handshake, at the time `wall_s`.
void ca_set_verify(const struct ca_set *set, X509 *leaf, STACK_OF(X509) *intermediates, int64_t wall_s, struct trust_verdict *verdict);

#endif
