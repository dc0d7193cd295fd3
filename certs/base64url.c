// base64url to octets, one sign at a time: see base64url.h. There is no way back, since nothing here signs.
#include "certs/base64url.h"

static int value_of(char c) {
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

bool base64url_decode(struct bytes text, unsigned char *octets, size_t *length) {
    uint32_t bits = 0;
    unsigned held = 0; // of `bits`
    *length = 0;
    for (size_t i = 0; i < text.len; i++) {
        const int value = value_of(text.at[i]);
        if (value < 0)
            return false;
        bits = bits << 6 | (uint32_t)value;
        held += 6;
        if (held < 8)
            continue;
        held -= 8;
        octets[(*length)++] = (unsigned char)(bits >> held);
        bits &= (UINT32_C(1) << held) - 1;
    }
    return held < 6 && bits == 0;
}
