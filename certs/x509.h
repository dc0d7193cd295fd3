// X.509 as the mesh needs it: certificates and keys out of PEM texts, their facts, and the rules that make a certificate an X.509-SVID
// (X509-SVID.md). On OpenSSL's types; no I/O. Trust, that is, who signed it, is trust_bundle's.
#ifndef CERTS_X509_H
#define CERTS_X509_H

#include "base/bytes.h"
#include "base/error.h"
#include "certs/spiffe_id.h"

#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Certificates that may follow each other in one certificate file, or that a peer may show: a leaf and some intermediates.
#define CERTIFICATE_CHAIN_MAX 8

// Why a certificate is no X.509-SVID. X(name, text)
#define SVID_FAULT_LIST(X)                                                                       \
    X(MALFORMED, "an extension is malformed or stands twice")                                    \
    X(URI_MISSING, "no URI in the subject alternative name")                                     \
    X(URI_REPEATED, "more than one URI in the subject alternative name")                         \
    X(URI_INVALID, "the URI in the subject alternative name is no SPIFFE ID")                    \
    X(URI_WITHOUT_PATH, "the SPIFFE ID names a trust domain and no workload")                    \
    X(URI_NOT_CRITICAL, "the subject is empty and the subject alternative name is not critical") \
    X(KEY_USAGE_MISSING, "no key usage")                                                         \
    X(KEY_USAGE_NOT_CRITICAL, "the key usage is not critical")                                   \
    X(DIGITAL_SIGNATURE_MISSING, "the key usage lacks digitalSignature")                         \
    X(SIGNS_CERTIFICATES, "the key usage of a leaf has keyCertSign")                             \
    X(SIGNS_REVOCATIONS, "the key usage of a leaf has cRLSign")                                  \
    X(IS_AUTHORITY, "a leaf with CA=true")                                                       \
    X(EXTENDED_KEY_USAGE, "the extended key usage lacks serverAuth or clientAuth")               \
    X(NOT_AUTHORITY, "a signing certificate without CA=true")                                    \
    X(AUTHORITY_CANNOT_SIGN, "a signing certificate whose key usage lacks keyCertSign")          \
    X(AUTHORITY_WITH_PATH, "the SPIFFE ID of a signing certificate has a path")

enum svid_fault {
    SVID_FAULT_NONE,
#define X(name, text) SVID_FAULT_##name,
    SVID_FAULT_LIST(X)
#undef X
        SVID_FAULT_COUNT
};

const char *svid_fault_text(enum svid_fault fault); // "" for none

// The rules of a leaf. On none `*id` borrows from `leaf`. Changes nothing that a second thread could see, but OpenSSL's own caches, which it locks.
enum svid_fault svid_check_leaf(X509 *leaf, struct spiffe_id *id);

// The rules of what signs a leaf or another signing certificate. `*id` is empty where it has none. A trust `anchor` is there because someone chose it
// (RFC 5280 section 6.1.1): it may lack the key usage, unless it is an SVID itself.
enum svid_fault svid_check_authority(X509 *authority, bool anchor, struct spiffe_id *id);

// All certificates of a PEM text, in order; other PEM blocks are passed over. ERROR_INVALID with a text in `reason` when there is none, one is malformed, or
// there are more than `max`. Freed with sk_X509_pop_free(chain, X509_free).
enum error certificates_parse(struct bytes pem, int max, STACK_OF(X509) **certificates, char *reason, size_t reason_size) MUST_CHECK;

// The private key of a PEM text; an encrypted one is refused. Nothing of the text ever comes into `reason`.
enum error private_key_parse(struct bytes pem, EVP_PKEY **key, char *reason, size_t reason_size) MUST_CHECK;

// Seconds since 1970; a time that cannot be read is the one that makes the certificate invalid.
int64_t certificate_not_before(const X509 *certificate);
int64_t certificate_not_after(const X509 *certificate);

// Hexadecimal, lower case, of the serial number (at most 20 bytes by RFC 5280; longer ones are cut).
#define CERTIFICATE_SERIAL_SIZE 48
void certificate_serial(const X509 *certificate, char serial[CERTIFICATE_SERIAL_SIZE]);

// The subject as one line for people, cut to `size`; control characters are escaped.
void certificate_subject(const X509 *certificate, char *subject, size_t size);

// Decodes what OpenSSL would decode, under a lock, when it is asked for it first: from now on several threads may.
void certificate_warm(X509 *certificate);

#define CERTIFICATE_DIGEST_SIZE 32

// SHA-256 of the DER form of all, in order; `others` may begin with the leaf itself. False when there is no memory.
bool certificates_digest(X509 *leaf, const STACK_OF(X509) *others, unsigned char digest[CERTIFICATE_DIGEST_SIZE]);

#endif
