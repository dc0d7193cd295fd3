// base64 (RFC 4648 section 4) and base64url (section 5), which differ in two signs.
#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include "base/bytes.h"

#include <stdbool.h>

// At most so many octets come of a text.
static inline size_t base64_room(size_t length) {
    return length / 4 * 3 + 2;
}

// So many signs come of octets, with padding.
static inline size_t base64_length(size_t octets) {
    return (octets + 2) / 3 * 4;
}

// With or without padding, as gRPC has it in fields whose names end in "-bin". Into `octets`, which has room for base64_room. False: other signs, a length that is none, bits
// behind the last octet that are not zero.
bool base64_decode(struct bytes text, unsigned char *octets, size_t *length);

// As JOSE has it (RFC 7515 section 2): without padding. Strict: each text is the one spelling of its octets, so that no token has two. The same but for that.
bool base64url_decode(struct bytes text, unsigned char *octets, size_t *length);

// With padding: base64_length signs at `to`; returns where they end. No NUL.
char *base64_encode(const unsigned char *octets, size_t length, char *to);

#endif
