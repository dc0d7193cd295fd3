// OpenSSL's view of the lower transport: reading takes from the bytes that it just delivered, writing appends to its output. Neither ever touches
// a socket, and neither holds a buffer of its own.
#include "net/tls_private.h"

#include "base/check.h"

#include <limits.h>
#include <openssl/bio.h>

static int bio_read(BIO *bio, char *at, int size) {
    struct tls *tls = BIO_get_data(bio);
    size_t wanted = size > 0 ? (size_t)size : 0;
    size_t given = 0;
    BIO_clear_retry_flags(bio);
    while (given < wanted && !buffer_is_empty(&tls->held)) {
        struct bytes front = buffer_front(&tls->held);
        size_t piece = front.len < wanted - given ? front.len : wanted - given;
        memcpy(at + given, front.at, piece);
        buffer_consume(&tls->held, piece);
        given += piece;
    }
    if (given < wanted && tls->input.len > 0) {
        size_t piece = tls->input.len < wanted - given ? tls->input.len : wanted - given;
        memcpy(at + given, tls->input.at, piece);
        tls->input.at += piece;
        tls->input.len -= piece;
        given += piece;
    }
    if (given == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    return (int)given;
}

// Never short: how much may be written is bounded where records are made.
static int bio_write(BIO *bio, const char *at, int size) {
    struct tls *tls = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (size > 0 && !tls->lower_shut) // an alert may still be written when our side has ended: nobody can get it
        buffer_append(&tls->lower->out, bytes_from(at, (size_t)size));
    return size;
}

static long bio_control(BIO *bio, int command, long number, void *pointer) {
    (void)bio, (void)number, (void)pointer;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

BIO_METHOD *tls_bio_method_create(void) {
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "outrigger transport");
    CHECK(method != NULL);
    BIO_meth_set_read(method, bio_read);
    BIO_meth_set_write(method, bio_write);
    BIO_meth_set_ctrl(method, bio_control);
    return method;
}

BIO *tls_bio_create(const struct credentials *credentials, struct tls *tls) {
    BIO *bio = BIO_new(credentials->bio_method);
    CHECK(bio != NULL);
    BIO_set_data(bio, tls);
    BIO_set_init(bio, 1);
    return bio;
}
