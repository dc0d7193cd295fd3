// One sign at a time: see base64.h. There is no way to base64url, since nothing here signs.
#include "base/base64.h"

static int value_of(char c, const char last[2]) {
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == last[0] ? 62 : c == last[1] ? 63 : -1;
}

static bool decode(struct bytes text, const char last[2], unsigned char *octets, size_t *length) {
    uint32_t bits = 0;
    unsigned held = 0; // of `bits`
    *length = 0;
    for (size_t i = 0; i < text.len; i++) {
        const int value = value_of(text.at[i], last);
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

bool base64_decode(struct bytes text, unsigned char *octets, size_t *length) {
    while (text.len > 0 && text.at[text.len - 1] == '=')
        text.len--;
    return decode(text, "+/", octets, length);
}

bool base64url_decode(struct bytes text, unsigned char *octets, size_t *length) {
    return decode(text, "-_", octets, length);
}

char *base64_encode(const unsigned char *octets, size_t length, char *to) {
    static const char signs[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < length; i += 3) {
        const size_t left = length - i;
        const uint32_t bits = (uint32_t)octets[i] << 16 | (left > 1 ? (uint32_t)octets[i + 1] << 8 : 0) | (left > 2 ? octets[i + 2] : 0);
        *to++ = signs[bits >> 18];
        *to++ = signs[bits >> 12 & 63];
        *to++ = left > 1 ? signs[bits >> 6 & 63] : '=';
        *to++ = left > 2 ? signs[bits & 63] : '=';
    }
    return to;
}
