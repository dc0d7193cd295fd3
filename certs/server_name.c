// OpenSSL compares names of DNS and addresses; URIs it has no call for.
#include "certs/server_name.h"

#include "base/check.h"

#include <openssl/x509v3.h>

// The subject's common name is no name of a server (RFC 9525 section 2). Wildcards stand for whole labels alone.
#define HOST_FLAGS (X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS)

static bool has_uri(X509 *certificate, struct bytes uri) {
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    bool found = false;
    for (int i = 0; i < sk_GENERAL_NAME_num(names) && !found; i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type != GEN_URI)
            continue;
        const ASN1_IA5STRING *text = name->d.uniformResourceIdentifier;
        found = bytes_equal(uri, bytes_from((const char *)ASN1_STRING_get0_data(text), (size_t)ASN1_STRING_length(text)));
    }
    GENERAL_NAMES_free(names);
    return found;
}

bool server_name_is_of(const struct server_name *name, X509 *certificate) {
    CHECK(name->text.len > 0 && name->text.at[name->text.len] == '\0');
    switch (name->type) {
    case SERVER_NAME_HOST:
        return X509_check_host(certificate, name->text.at, name->text.len, HOST_FLAGS, NULL) == 1;
    case SERVER_NAME_ADDRESS:
        return X509_check_ip_asc(certificate, name->text.at, 0) == 1;
    case SERVER_NAME_URI:
        return has_uri(certificate, name->text);
    }
    CHECK(!"a type of names that is none");
    return false;
}
