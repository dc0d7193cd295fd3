// Certificates and keys out of PEM, and the rules of X509-SVID.md as one function for leaves and one for signing certificates.
//
// The subject alternative name is walked in place, tag by tag: OpenSSL has decoded it already when the rules are asked (it marks what it cannot read), a second
// decoding would cost more than the rest of the rules, and slices with a length leave no question about NUL bytes.
#include "certs/x509.h"

#include "base/check.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <time.h>

// Context-specific tag of uniformResourceIdentifier in GeneralName (RFC 5280 section 4.2.1.6).
#define TAG_URI 6

#define RSA_BITS_MIN 2048

const char *svid_fault_text(enum svid_fault fault) {
    static const char *const texts[SVID_FAULT_COUNT] = {[SVID_FAULT_NONE] = "",
#define X(name, text) [SVID_FAULT_##name] = text,
                                                        SVID_FAULT_LIST(X)
#undef X
    };
    CHECK((unsigned)fault < SVID_FAULT_COUNT);
    return texts[fault];
}

struct alternative_name {
    struct bytes uri; // the first
    unsigned uris;
    bool present;
    bool critical;
    bool malformed;
};

static void walk_general_names(const unsigned char *at, long length, struct alternative_name *name) {
    const unsigned char *const end = at + length;
    long element_length;
    int tag, class;
    int form = ASN1_get_object(&at, &element_length, &tag, &class, length);
    if ((form & 0x80) != 0 || tag != V_ASN1_SEQUENCE || class != V_ASN1_UNIVERSAL || at + element_length != end) {
        name->malformed = true;
        return;
    }
    while (at < end) {
        form = ASN1_get_object(&at, &element_length, &tag, &class, end - at);
        if ((form & 0x80) != 0 || (form & 1) != 0) { // an error, or an indefinite length, which DER has not
            name->malformed = true;
            return;
        }
        if (tag == TAG_URI && class == V_ASN1_CONTEXT_SPECIFIC && name->uris++ == 0)
            name->uri = bytes_from((const char *)at, (size_t)element_length);
        at += element_length;
    }
}

static struct alternative_name alternative_name_of(const X509 *certificate) {
    struct alternative_name name = {.present = false};
    int index = X509_get_ext_by_NID(certificate, NID_subject_alt_name, -1);
    if (index < 0)
        return name;
    name.present = true;
    name.malformed = X509_get_ext_by_NID(certificate, NID_subject_alt_name, index) >= 0;
    X509_EXTENSION *extension = X509_get_ext(certificate, index);
    name.critical = X509_EXTENSION_get_critical(extension) != 0;
    const ASN1_OCTET_STRING *octets = X509_EXTENSION_get_data(extension);
    walk_general_names(ASN1_STRING_get0_data(octets), ASN1_STRING_length(octets), &name);
    return name;
}

static bool key_usage_is_critical(const X509 *certificate) {
    int index = X509_get_ext_by_NID(certificate, NID_key_usage, -1);
    return index >= 0 && X509_EXTENSION_get_critical(X509_get_ext(certificate, index)) != 0;
}

static enum svid_fault check_leaf_usage(X509 *leaf) {
    uint32_t flags = X509_get_extension_flags(leaf);
    if ((flags & EXFLAG_CA) != 0)
        return SVID_FAULT_IS_AUTHORITY;
    if ((flags & EXFLAG_KUSAGE) == 0)
        return SVID_FAULT_KEY_USAGE_MISSING;
    if (!key_usage_is_critical(leaf))
        return SVID_FAULT_KEY_USAGE_NOT_CRITICAL;
    uint32_t usage = X509_get_key_usage(leaf);
    if ((usage & KU_KEY_CERT_SIGN) != 0)
        return SVID_FAULT_SIGNS_CERTIFICATES;
    if ((usage & KU_CRL_SIGN) != 0)
        return SVID_FAULT_SIGNS_REVOCATIONS;
    if ((usage & KU_DIGITAL_SIGNATURE) == 0)
        return SVID_FAULT_DIGITAL_SIGNATURE_MISSING;
    const uint32_t both = XKU_SSL_SERVER | XKU_SSL_CLIENT;
    if ((flags & EXFLAG_XKUSAGE) != 0 && (X509_get_extended_key_usage(leaf) & both) != both)
        return SVID_FAULT_EXTENDED_KEY_USAGE;
    return SVID_FAULT_NONE;
}

enum svid_fault svid_check_leaf(X509 *leaf, struct spiffe_id *id) {
    CHECK(leaf != NULL && id != NULL);
    // The call makes OpenSSL decode the extensions; whatever it cannot read, or finds twice, is marked.
    if ((X509_get_extension_flags(leaf) & EXFLAG_INVALID) != 0)
        return SVID_FAULT_MALFORMED;
    struct alternative_name name = alternative_name_of(leaf);
    if (name.malformed)
        return SVID_FAULT_MALFORMED;
    if (name.uris == 0)
        return SVID_FAULT_URI_MISSING;
    if (name.uris > 1)
        return SVID_FAULT_URI_REPEATED;
    const char *reason;
    if (spiffe_id_parse(name.uri, id, &reason) != OK)
        return SVID_FAULT_URI_INVALID;
    if (id->path.len == 0)
        return SVID_FAULT_URI_WITHOUT_PATH;
    if (!name.critical && X509_NAME_entry_count(X509_get_subject_name(leaf)) == 0)
        return SVID_FAULT_URI_NOT_CRITICAL;
    return check_leaf_usage(leaf);
}

enum svid_fault svid_check_authority(X509 *authority, bool anchor, struct spiffe_id *id) {
    static const struct bytes scheme = {"spiffe:", 7};
    CHECK(authority != NULL && id != NULL);
    *id = (struct spiffe_id){.text = BYTES_NONE};
    uint32_t flags = X509_get_extension_flags(authority);
    struct alternative_name name = alternative_name_of(authority);
    if ((flags & EXFLAG_INVALID) != 0 || name.malformed)
        return SVID_FAULT_MALFORMED;
    if ((flags & EXFLAG_CA) == 0)
        return SVID_FAULT_NOT_AUTHORITY;

    // An authority may carry any other URI and then simply is no SVID.
    bool is_svid = name.uris > 0 && name.uri.len >= scheme.len && bytes_equal_nocase(bytes_from(name.uri.at, scheme.len), scheme);
    if (is_svid) {
        const char *reason;
        if (name.uris > 1)
            return SVID_FAULT_URI_REPEATED;
        if (spiffe_id_parse(name.uri, id, &reason) != OK)
            return SVID_FAULT_URI_INVALID;
        if (id->path.len > 0)
            return SVID_FAULT_AUTHORITY_WITH_PATH;
    }
    if ((flags & EXFLAG_KUSAGE) == 0)
        return anchor && !is_svid ? SVID_FAULT_NONE : SVID_FAULT_KEY_USAGE_MISSING;
    if ((X509_get_key_usage(authority) & KU_KEY_CERT_SIGN) == 0)
        return SVID_FAULT_AUTHORITY_CANNOT_SIGN;
    if (!key_usage_is_critical(authority) && (!anchor || is_svid))
        return SVID_FAULT_KEY_USAGE_NOT_CRITICAL;
    return SVID_FAULT_NONE;
}

static enum error refuse(char *reason, size_t reason_size, const char *text) {
    snprintf(reason, reason_size, "%s", text);
    return ERROR_INVALID;
}

// Instead of OpenSSL's own, which would ask on the terminal.
static int no_passphrase(char *buffer, int size, int writing, void *unused) {
    (void)buffer, (void)size, (void)writing;
    if (unused != NULL)
        *(bool *)unused = true;
    return -1;
}

static BIO *reader_of(struct bytes pem) {
    CHECK(pem.len <= INT32_MAX);
    BIO *reader = BIO_new_mem_buf(pem.len > 0 ? pem.at : "", (int)pem.len);
    CHECK(reader != NULL);
    return reader;
}

// What stopped the reading was the end of the text and no block that cannot be read.
static bool reached_the_end(void) {
    unsigned long code = ERR_peek_last_error();
    return ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
}

enum error certificates_parse(struct bytes pem, int max, STACK_OF(X509) **certificates, char *reason, size_t reason_size) {
    ERR_clear_error();
    BIO *reader = reader_of(pem);
    STACK_OF(X509) *read = sk_X509_new_reserve(NULL, max);
    CHECK(read != NULL);
    X509 *certificate;
    while (sk_X509_num(read) < max && (certificate = PEM_read_bio_X509(reader, NULL, no_passphrase, NULL)) != NULL)
        CHECK(sk_X509_push(read, certificate) > 0);

    const char *fault = NULL;
    if (sk_X509_num(read) == max) {
        certificate = PEM_read_bio_X509(reader, NULL, no_passphrase, NULL);
        if (certificate != NULL)
            fault = "too many certificates";
        X509_free(certificate);
    }
    if (fault == NULL && !reached_the_end())
        fault = "a certificate in it is malformed";
    if (fault == NULL && sk_X509_num(read) == 0)
        fault = "no certificate in it";
    BIO_free(reader);
    ERR_clear_error();
    if (fault != NULL) {
        sk_X509_pop_free(read, X509_free);
        return refuse(reason, reason_size, fault);
    }
    *certificates = read;
    return OK;
}

static const char *fault_of_key(const EVP_PKEY *key) {
    int kind = EVP_PKEY_get_base_id(key);
    if (kind != EVP_PKEY_EC && kind != EVP_PKEY_RSA && kind != EVP_PKEY_ED25519)
        return "a kind of private key that cannot be used: EC, RSA and Ed25519 can";
    if (kind == EVP_PKEY_RSA && EVP_PKEY_get_bits(key) < RSA_BITS_MIN)
        return "an RSA key of less than 2048 bits";
    return NULL;
}

enum error private_key_parse(struct bytes pem, EVP_PKEY **key, char *reason, size_t reason_size) {
    static const char label[] = "PRIVATE KEY-----";
    if (pem.len == 0 || memmem(pem.at, pem.len, label, sizeof(label) - 1) == NULL)
        return refuse(reason, reason_size, "no private key in it");
    ERR_clear_error();
    bool encrypted = false;
    BIO *reader = reader_of(pem);
    EVP_PKEY *read = PEM_read_bio_PrivateKey(reader, NULL, no_passphrase, &encrypted);
    const char *fault = NULL;
    if (read == NULL)
        fault = encrypted ? "the private key is encrypted" : "the private key is malformed";
    else
        fault = fault_of_key(read);
    BIO_free(reader);
    ERR_clear_error();
    if (fault != NULL) {
        EVP_PKEY_free(read);
        return refuse(reason, reason_size, fault);
    }
    *key = read;
    return OK;
}

static int64_t seconds_of(const ASN1_TIME *time, int64_t otherwise) {
    struct tm parts;
    return time != NULL && ASN1_TIME_to_tm(time, &parts) == 1 ? (int64_t)timegm(&parts) : otherwise;
}

int64_t certificate_not_before(const X509 *certificate) {
    return seconds_of(X509_get0_notBefore(certificate), INT64_MAX);
}

int64_t certificate_not_after(const X509 *certificate) {
    return seconds_of(X509_get0_notAfter(certificate), INT64_MIN);
}

void certificate_serial(const X509 *certificate, char serial[CERTIFICATE_SERIAL_SIZE]) {
    const ASN1_INTEGER *number = X509_get0_serialNumber(certificate);
    const unsigned char *at = ASN1_STRING_get0_data(number);
    int length = ASN1_STRING_length(number);
    size_t used = 0;
    for (int i = 0; i < length && used + 3 <= CERTIFICATE_SERIAL_SIZE; i++)
        used += (size_t)snprintf(serial + used, CERTIFICATE_SERIAL_SIZE - used, "%02x", at[i]);
    serial[used] = '\0';
}

void certificate_subject(const X509 *certificate, char *subject, size_t size) {
    CHECK(size > 0);
    subject[0] = '\0';
    BIO *writer = BIO_new(BIO_s_mem());
    CHECK(writer != NULL);
    if (X509_NAME_print_ex(writer, X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253) >= 0) {
        int length = BIO_read(writer, subject, (int)size - 1);
        subject[length > 0 ? length : 0] = '\0';
    }
    BIO_free(writer);
}

void certificate_warm(X509 *certificate) {
    (void)X509_get_extension_flags(certificate);
    (void)X509_get0_pubkey(certificate);
}

static bool digest_certificate(EVP_MD_CTX *hash, X509 *certificate) {
    unsigned char *der = NULL;
    int length = i2d_X509(certificate, &der);
    bool done = length > 0 && EVP_DigestUpdate(hash, der, (size_t)length) == 1;
    OPENSSL_free(der);
    return done;
}

bool certificates_digest(X509 *leaf, const STACK_OF(X509) *others, unsigned char digest[CERTIFICATE_DIGEST_SIZE]) {
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    bool done = hash != NULL && EVP_DigestInit_ex(hash, EVP_sha256(), NULL) == 1 && digest_certificate(hash, leaf);
    for (int i = 0; done && i < sk_X509_num(others); i++)
        done = sk_X509_value(others, i) == leaf || digest_certificate(hash, sk_X509_value(others, i));
    done = done && EVP_DigestFinal_ex(hash, digest, NULL) == 1;
    EVP_MD_CTX_free(hash);
    return done;
}
