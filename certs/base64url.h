// base64url (RFC 4648 section 5) as JOSE has it (RFC 7515 section 2): without padding. Strict: each text is the one spelling of its octets, so that no token has two.
#ifndef CERTS_BASE64URL_H
#define CERTS_BASE64URL_H

#include "base/bytes.h"

// At most so many octets come of a text.
static inline size_t base64url_room(size_t length) {
    return length / 4 * 3 + 2;
}

// Into `octets`, which has room for base64url_room. False: other signs, padding, a length that is none, bits behind the last octet that are not zero.
bool base64url_decode(struct bytes text, unsigned char *octets, size_t *length);

#endif
