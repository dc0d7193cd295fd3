// Escaping by characters, cutting where the room ends: see text_escape.h.
#include "telemetry/text_escape.h"

#include "base/check.h"

#include <assert.h>
#include <stdbool.h>

#define REPLACEMENT "\xef\xbf\xbd" // U+FFFD
#define UNIT_MAX 6                 // \u00XX

static_assert(sizeof(TEXT_ESCAPE_CUT) - 1 == TEXT_ESCAPE_ROOM_MIN, "room for the mark");

// One character in its final form.
struct unit {
    char text[UNIT_MAX];
    unsigned length;
    unsigned taken; // bytes of input that it stands for
};

// 1 for the bytes that stand for themselves: printable ASCII but `"` and `\`.
static const unsigned char plain[256] = {
    [' '] = 1,
    ['!'] = 1,
    ['#' ... '['] = 1,
    [']' ... '~'] = 1,
};

static bool is_continuation(unsigned char byte) {
    return (byte & 0xc0) == 0x80;
}

// Length of the valid UTF-8 sequence at `at` (RFC 3629: shortest form, no surrogates, up to U+10FFFF), 0 when there is none.
static unsigned utf8_length(const unsigned char *at, size_t left) {
    unsigned char first = at[0];
    if (first < 0x80)
        return 1;
    if (first < 0xc2 || first > 0xf4)
        return 0;
    unsigned length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (left < length)
        return 0;
    for (unsigned i = 1; i < length; i++)
        if (!is_continuation(at[i]))
            return 0;
    if ((first == 0xe0 && at[1] < 0xa0) || (first == 0xed && at[1] > 0x9f) || (first == 0xf0 && at[1] < 0x90) || (first == 0xf4 && at[1] > 0x8f))
        return 0;
    return length;
}

static void unit_set(struct unit *unit, const char *text, unsigned length) {
    memcpy(unit->text, text, length);
    unit->length = length;
}

static void unit_set_control(struct unit *unit, unsigned char code, enum text_escape_mode mode) {
    static const char short_forms[32] = {['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
    static const char hex[] = "0123456789abcdef";
    if (code == '\n' || (mode == TEXT_ESCAPE_JSON && code < 32 && short_forms[code] != 0))
        unit_set(unit, (const char[]){'\\', short_forms[code]}, 2);
    else if (mode == TEXT_ESCAPE_JSON)
        unit_set(unit, (const char[]){'\\', 'u', '0', '0', hex[code >> 4], hex[code & 15]}, 6);
    else
        unit_set(unit, REPLACEMENT, 3);
}

// The character at `at`, which does not stand for itself.
static struct unit next_unit(const unsigned char *at, size_t left, enum text_escape_mode mode) {
    struct unit unit = {.taken = utf8_length(at, left)};
    if (unit.taken == 0) {
        unit.taken = 1;
        unit_set(&unit, REPLACEMENT, 3);
    } else if (*at == '"' || *at == '\\') {
        unit_set(&unit, (const char[]){'\\', (char)*at}, 2);
    } else if (unit.taken == 1) {
        unit_set_control(&unit, *at, mode);
    } else if (at[0] == 0xc2 && at[1] < 0xa0) { // C1: some terminals obey them
        unit_set_control(&unit, at[1], mode);
    } else {
        memcpy(unit.text, at, unit.taken);
        unit.length = unit.taken;
    }
    return unit;
}

char *text_escape(char *out, char *end, struct bytes text, enum text_escape_mode mode) {
    CHECK(end - out >= TEXT_ESCAPE_ROOM_MIN);
    if (text.len == 0)
        return out;
    const unsigned char *at = (const unsigned char *)text.at;
    const unsigned char *const text_end = at + text.len;
    char *const cut_last = end - TEXT_ESCAPE_ROOM_MIN; // behind this the mark has no room
    char *cut = out;                                   // the last boundary of characters not behind it
    while (at < text_end) {
        const unsigned char *const start = at;
        while (at < text_end && plain[*at])
            at++;
        size_t run = (size_t)(at - start);
        size_t room = (size_t)(end - out);
        size_t copied = run < room ? run : room;
        if (copied > 0)
            memcpy(out, start, copied);
        if (out <= cut_last)
            cut = out + copied < cut_last ? out + copied : cut_last;
        out += copied;
        if (copied < run)
            goto too_long;
        if (at == text_end)
            break;
        struct unit unit = next_unit(at, (size_t)(text_end - at), mode);
        if (unit.length > (size_t)(end - out))
            goto too_long;
        memcpy(out, unit.text, unit.length);
        out += unit.length;
        at += unit.taken;
        if (out <= cut_last)
            cut = out;
    }
    return out;
too_long:
    memcpy(cut, TEXT_ESCAPE_CUT, TEXT_ESCAPE_ROOM_MIN);
    return cut + TEXT_ESCAPE_ROOM_MIN;
}

size_t text_escape_shown(struct bytes text, size_t room, enum text_escape_mode mode) {
    CHECK(room >= TEXT_ESCAPE_ROOM_MIN);
    const unsigned char *at = (const unsigned char *)text.at;
    size_t length = 0, shown = 0; // of what is made; of `text`, with room for the mark behind it
    for (size_t i = 0; i < text.len;) {
        const struct unit unit = plain[at[i]] ? (struct unit){.length = 1, .taken = 1} : next_unit(at + i, text.len - i, mode);
        length += unit.length;
        i += unit.taken;
        if (length > room)
            return shown;
        if (length <= room - TEXT_ESCAPE_ROOM_MIN)
            shown = i;
    }
    return text.len;
}

static bool is_ascii(uint64_t eight) {
    return (eight & UINT64_C(0x8080808080808080)) == 0;
}

// Copies what of `at` is ASCII up to the first byte that is not, eight bytes at a time: texts are short, and the last eight may be some of those before.
static size_t copy_ascii(char *out, const unsigned char *at, size_t length) {
    size_t copied = 0;
    uint64_t eight;
    for (; length - copied >= sizeof eight; copied += sizeof eight) {
        memcpy(&eight, at + copied, sizeof eight);
        if (!is_ascii(eight))
            break;
        memcpy(out + copied, &eight, sizeof eight);
    }
    if (length >= sizeof eight && length - copied < sizeof eight) {
        memcpy(&eight, at + length - sizeof eight, sizeof eight);
        if (is_ascii(eight)) {
            memcpy(out + length - sizeof eight, &eight, sizeof eight);
            return length;
        }
    }
    for (; copied < length && at[copied] < 0x80; copied++)
        out[copied] = (char)at[copied];
    return copied;
}

size_t text_to_utf8(char *out, size_t room, struct bytes text, size_t *taken) {
    const unsigned char *const at = (const unsigned char *)text.at;
    size_t read = 0, written = 0;
    while (read < text.len) {
        const size_t left = text.len - read, ascii = copy_ascii(out + written, at + read, left < room - written ? left : room - written);
        read += ascii;
        written += ascii;
        if (read == text.len || written == room)
            break;
        const unsigned valid = utf8_length(at + read, text.len - read), length = valid > 0 ? valid : 3;
        if (length > room - written)
            break;
        memcpy(out + written, valid > 0 ? text.at + read : REPLACEMENT, length);
        read += valid > 0 ? valid : 1;
        written += length;
    }
    *taken = read;
    return written;
}

size_t text_to_label(char *out, size_t room, struct bytes text) {
    const unsigned char *at = (const unsigned char *)text.at;
    size_t written = 0;
    for (size_t i = 0; i < text.len;) {
        const bool stays = plain[at[i]] || at[i] == '"' || at[i] == '\\' || at[i] == '\n'; // these are escaped there
        struct unit unit = {.text = {text.at[i]}, .length = 1, .taken = 1};
        if (!stays)
            unit = next_unit(at + i, text.len - i, TEXT_ESCAPE_LABEL);
        if (unit.length > room - written)
            break;
        memcpy(out + written, unit.text, unit.length);
        written += unit.length;
        i += unit.taken;
    }
    return written;
}
