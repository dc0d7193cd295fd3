// A peer that is not ours: OpenSSL as a stranger would use it, over memory BIOs, at the far end of a fake transport. It can show any certificate and
// do what our own end never does.
#ifndef TESTS_TLS_STRANGER_H
#define TESTS_TLS_STRANGER_H

#include "tls_drive.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

struct stranger {
    SSL_CTX *context;
    SSL *ssl;
    BIO *in, *out; // the SSL's
    struct fake_peer *peer;
    char received[65536];
    size_t received_length;
    bool done;            // its handshake
    bool closed;          // by the other's close_notify
    int alert;            // that it was sent; -1: none
    SSL_SESSION *session; // the last it was given
    unsigned sessions;
    int verdict; // what it finds of a certificate: X509_V_OK or an error, which it says by an alert
    bool mute;   // bytes for the other end are kept back
};

static inline int stranger_on_session(SSL *ssl, SSL_SESSION *session) {
    struct stranger *stranger = SSL_get_app_data(ssl);
    SSL_SESSION_free(stranger->session);
    stranger->session = session;
    stranger->sessions++;
    return 1;
}

static inline void stranger_on_state(const SSL *ssl, int where, int value) {
    struct stranger *stranger = SSL_get_app_data(ssl);
    if ((where & SSL_CB_READ_ALERT) == SSL_CB_READ_ALERT && (value & 0xff) != SSL_AD_CLOSE_NOTIFY)
        stranger->alert = value & 0xff;
}

// `identity` may be NULL: no certificate. It trusts whoever it meets, unless a test gives it another verdict.
static inline void stranger_init(struct stranger *stranger, bool is_server, const struct test_identity *identity,
                                 const struct test_identity *issuer) {
    *stranger = (struct stranger){.alert = -1};
    stranger->context = SSL_CTX_new(TLS_method());
    SSL_CTX_set_verify(stranger->context, is_server ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_security_level(stranger->context, 0);
    SSL_CTX_set_session_cache_mode(stranger->context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(stranger->context, stranger_on_session);
    SSL_CTX_set_info_callback(stranger->context, stranger_on_state);
    if (identity != NULL) {
        CHECK(SSL_CTX_use_certificate(stranger->context, identity->certificate) == 1);
        CHECK(SSL_CTX_use_PrivateKey(stranger->context, identity->key) == 1);
        if (issuer != NULL)
            CHECK(SSL_CTX_add1_chain_cert(stranger->context, issuer->certificate) == 1);
    }
}

static inline int stranger_verify(X509_STORE_CTX *path, void *argument) {
    const struct stranger *stranger = argument;
    X509_STORE_CTX_set_error(path, stranger->verdict);
    return stranger->verdict == X509_V_OK;
}

// After settings of the context that a test wants.
static inline void stranger_begin(struct stranger *stranger, bool is_server, struct fake_peer *peer) {
    SSL_CTX_set_cert_verify_callback(stranger->context, stranger_verify, stranger);
    stranger->ssl = SSL_new(stranger->context);
    stranger->in = BIO_new(BIO_s_mem());
    stranger->out = BIO_new(BIO_s_mem());
    BIO_set_mem_eof_return(stranger->in, -1);
    SSL_set_bio(stranger->ssl, stranger->in, stranger->out);
    SSL_set_app_data(stranger->ssl, stranger);
    if (is_server)
        SSL_set_accept_state(stranger->ssl);
    else
        SSL_set_connect_state(stranger->ssl);
    stranger->peer = peer;
}

static inline void stranger_end(struct stranger *stranger) {
    SSL_SESSION_free(stranger->session);
    SSL_free(stranger->ssl);
    SSL_CTX_free(stranger->context);
}

// Reads what came, goes on, sends what it has to say. True when anything moved.
static inline bool stranger_step(struct stranger *stranger) {
    struct bytes sent = fake_peer_sent(stranger->peer);
    bool moved = sent.len > 0;
    if (moved)
        BIO_write(stranger->in, sent.at, (int)sent.len);
    fake_peer_forget_sent(stranger->peer);
    ERR_clear_error();
    if (!stranger->done)
        stranger->done = SSL_do_handshake(stranger->ssl) == 1;
    int got = 1;
    while (stranger->done && got > 0) {
        got = SSL_read(stranger->ssl, stranger->received + stranger->received_length, (int)(sizeof(stranger->received) - stranger->received_length));
        if (got > 0)
            stranger->received_length += (size_t)got;
        else if (SSL_get_error(stranger->ssl, got) == SSL_ERROR_ZERO_RETURN)
            stranger->closed = true;
    }
    ERR_clear_error();
    char text[4096];
    while (!stranger->mute && (got = BIO_read(stranger->out, text, sizeof(text))) > 0) {
        fake_peer_send(stranger->peer, bytes_from(text, (size_t)got));
        moved = true;
    }
    return moved;
}

static inline void stranger_meet(struct stranger *stranger, struct check_loop *check) {
    do
        check_loop_settle(check);
    while (stranger_step(stranger));
}

#endif
