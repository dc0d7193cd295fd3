// The letters from a to z, again and again: see place_text.h.
#include "support/place_text.h"

#include "base/check.h"

static char letter_at(size_t place) {
    return (char)('a' + place % 26);
}

struct bytes place_text(size_t from, size_t length) {
    static char text[200000];
    CHECK(length <= sizeof text);
    for (size_t i = 0; i < length; i++)
        text[i] = letter_at(from + i);
    return bytes_from(text, length);
}

bool place_text_is(struct bytes text) {
    for (size_t i = 0; i < text.len; i++)
        if (text.at[i] != letter_at(i))
            return false;
    return true;
}
