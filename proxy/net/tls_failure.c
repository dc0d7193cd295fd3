// Why TLS failed: a reason for the counters and a text for people.
#include "net/tls_private.h"

#include "base/check.h"

#include <openssl/err.h>
#include <stdarg.h>
#include <stdio.h>

void tls_set_failure(struct tls *tls, enum tls_failure failure, const char *text) {
    if (tls->failure_known)
        return;
    tls->failure_known = true;
    tls->failure = failure;
    tls->transport.failure = text;
}

void tls_compose_failure(struct tls *tls, enum tls_failure failure, const char *format, ...) {
    if (tls->failure_known)
        return;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&tls->failure_text, format, arguments);
    va_end(arguments);
    CHECK(length >= 0);
    tls_set_failure(tls, failure, tls->failure_text);
}

static enum tls_failure failure_of_reason(int reason) {
    switch (reason) {
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_UNSUPPORTED_SSL_VERSION:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_NO_PROTOCOLS_AVAILABLE:
    case SSL_R_NO_SHARED_CIPHER:
    case SSL_R_NO_SHARED_GROUPS:
    case SSL_R_NO_SUITABLE_KEY_SHARE:
    case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
    case SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS:
    case SSL_R_NO_APPLICATION_PROTOCOL:
        return TLS_FAILURE_NO_COMMON;
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
        return TLS_FAILURE_NO_CERTIFICATE;
    default:
        return reason > SSL_AD_REASON_OFFSET ? TLS_FAILURE_PEER_ALERT : TLS_FAILURE_PROTOCOL;
    }
}

// RFC 8446 section 6.2: alerts that only say something of our certificate, or of our having none. A server sends them while it makes its handshake.
static bool is_about_certificate(int alert) {
    switch (alert) {
    case SSL_AD_BAD_CERTIFICATE:
    case SSL_AD_UNSUPPORTED_CERTIFICATE:
    case SSL_AD_CERTIFICATE_REVOKED:
    case SSL_AD_CERTIFICATE_EXPIRED:
    case SSL_AD_CERTIFICATE_UNKNOWN:
    case SSL_AD_CERTIFICATE_REQUIRED:
    case SSL_AD_UNKNOWN_CA:
    case SSL_AD_ACCESS_DENIED:
        return true;
    default:
        return false;
    }
}

// OpenSSL's texts are constant and say nothing that a peer chose.
void tls_set_failure_from_queue(struct tls *tls) {
    unsigned long code = ERR_peek_error();
    int reason = ERR_GET_LIB(code) == ERR_LIB_SSL ? ERR_GET_REASON(code) : 0;
    const char *text = ERR_reason_error_string(code);
    enum tls_failure failure = failure_of_reason(reason);
    tls->certificate_refused = !tls->failure_known && failure == TLS_FAILURE_PEER_ALERT && is_about_certificate(reason - SSL_AD_REASON_OFFSET);
    if (failure == TLS_FAILURE_PEER_ALERT)
        tls_compose_failure(tls, failure, "the peer refused: %s", SSL_alert_desc_string_long(reason - SSL_AD_REASON_OFFSET));
    else
        tls_set_failure(tls, failure, text != NULL ? text : "broken TLS");
}

void tls_clear_errors(void) {
    if (ERR_peek_error() != 0) // to look costs a tenth of clearing what is empty
        ERR_clear_error();
}
