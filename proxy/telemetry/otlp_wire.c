// Tags, lengths and values. See otlp_wire.h.
#include "telemetry/otlp_wire.h"

#include "telemetry/text_escape.h"

enum { KEY_VALUE_KEY = 1, KEY_VALUE_VALUE };
#define LONG_LENGTH_BYTES 3

enum { ANY_TEXT = 1, ANY_TRUE = 2, ANY_NUMBER = 3, ANY_ARRAY = 5 };

#define TEXT_ROOM_MIN (1 + WIRE_LENGTH_BYTES + 4) // of a text: at least one character of it

char *wire_varint(char *at, uint64_t value) {
    for (; value >= 0x80; value >>= 7)
        *at++ = (char)(unsigned char)(value | 0x80);
    *at++ = (char)value;
    return at;
}

char *wire_fixed(char *at, uint64_t value, size_t count) {
    for (size_t i = 0; i < count; i++)
        *at++ = (char)(unsigned char)(value >> 8 * i);
    return at;
}

char *wire_zigzag(char *at, int32_t value) {
    return wire_varint(at, value < 0 ? (uint64_t) - (int64_t)value * 2 - 1 : (uint64_t)value * 2);
}

// Spelled out: compilers make one store of it.
char *wire_fixed64(char *at, uint64_t value) {
    const char octets[] = {(char)value,         (char)(value >> 8),  (char)(value >> 16), (char)(value >> 24),
                           (char)(value >> 32), (char)(value >> 40), (char)(value >> 48), (char)(value >> 56)};
    memcpy(at, octets, sizeof octets);
    return at + sizeof octets;
}

char *wire_double(char *at, double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return wire_fixed64(at, bits);
}

char *wire_bytes(char *at, char tag, const void *bytes, size_t count) {
    *at++ = tag;
    *at++ = (char)count;
    memcpy(at, bytes, count);
    return at + count;
}

char *wire_time(char *at, char tag, nanoseconds time) {
    *at++ = tag;
    return wire_fixed64(at, time);
}

char *wire_open(char *at, char tag) {
    *at = tag;
    return at + 1 + WIRE_LENGTH_BYTES;
}

void wire_close(char *begin, const char *end) {
    const size_t length = (size_t)(end - begin) - 1 - WIRE_LENGTH_BYTES;
    begin[1] = (char)(unsigned char)(length | 0x80);
    begin[2] = (char)(length >> 7);
}

char *wire_open_long(char *at, char tag) {
    *at = tag;
    return at + 1 + LONG_LENGTH_BYTES;
}

void wire_close_long(char *begin, const char *end) {
    const size_t length = (size_t)(end - begin) - 1 - LONG_LENGTH_BYTES;
    begin[1] = (char)(unsigned char)(length | 0x80);
    begin[2] = (char)(unsigned char)(length >> 7 | 0x80);
    begin[3] = (char)(length >> 14);
}

char *wire_text(char *at, const char *end, char tag, struct bytes text) {
    size_t taken;
    if (end - at < TEXT_ROOM_MIN)
        return NULL;
    char *const begin = at;
    at = wire_open(at, tag);
    const size_t left = (size_t)(end - at), room = left < WIRE_TEXT_MAX ? left : WIRE_TEXT_MAX;
    at += text_to_utf8(at, room, text, &taken);
    if (taken < text.len && room < WIRE_TEXT_MAX)
        return NULL;
    wire_close(begin, at);
    return at;
}

char *wire_value_text(char *at, const char *end, const struct wire_value *value) {
    return wire_text(at, end, WIRE_LENGTH(ANY_TEXT), value->text);
}

char *wire_value_number(char *at, const char *end, const struct wire_value *value) {
    if (end - at < 1 + WIRE_VARINT_MAX)
        return NULL;
    *at++ = WIRE_VARINT(ANY_NUMBER);
    return wire_varint(at, (uint64_t)value->number);
}

char *wire_value_true(char *at, const char *end, const struct wire_value *value) {
    (void)value;
    if (end - at < 2)
        return NULL;
    *at++ = WIRE_VARINT(ANY_TRUE);
    *at++ = 1;
    return at;
}

// ArrayValue { AnyValue { text } }
char *wire_value_list(char *at, const char *end, const struct wire_value *value) {
    if (end - at < 2 * (1 + WIRE_LENGTH_BYTES))
        return NULL;
    char *const array = at;
    char *const element = wire_open(array, WIRE_LENGTH(ANY_ARRAY));
    at = wire_value_text(wire_open(element, WIRE_LENGTH(1)), end, value);
    if (at == NULL)
        return NULL;
    wire_close(element, at);
    wire_close(array, at);
    return at;
}

char *wire_attribute(char *at, const char *end, char tag, struct bytes key, const struct wire_value *value) {
    char *const begin = at;
    if (end - at < 1 + WIRE_LENGTH_BYTES)
        return NULL;
    at = wire_text(wire_open(begin, tag), end, WIRE_LENGTH(KEY_VALUE_KEY), key);
    if (at == NULL || end - at < 1 + WIRE_LENGTH_BYTES)
        return NULL;
    char *const any = at;
    at = value->put(wire_open(any, WIRE_LENGTH(KEY_VALUE_VALUE)), end, value);
    if (at == NULL)
        return NULL;
    wire_close(any, at);
    wire_close(begin, at);
    return at;
}
