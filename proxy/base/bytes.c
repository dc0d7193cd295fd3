// Slices of bytes: copying, comparing, trimming, splitting, numbers. Pure.
#include "base/bytes.h"

#include "base/pool.h"

#include <stdlib.h>

struct bytes bytes_keep(struct bytes text) {
    return bytes_from(copy_text_or_abort(text), text.len);
}

void bytes_drop(struct bytes *kept) {
    free((void *)(uintptr_t)kept->at); // const is for all others: the one who keeps it may free it
    *kept = BYTES_NONE;
}

bool bytes_equal_nocase(struct bytes a, struct bytes b) {
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (ascii_lower(a.at[i]) != ascii_lower(b.at[i]))
            return false;
    return true;
}

int bytes_compare(struct bytes a, struct bytes b) {
    size_t shorter = a.len < b.len ? a.len : b.len;
    int difference = shorter == 0 ? 0 : memcmp(a.at, b.at, shorter);
    return difference != 0 ? difference : (a.len > b.len) - (a.len < b.len);
}

bool bytes_starts_with(struct bytes text, struct bytes prefix) {
    return text.len >= prefix.len && (prefix.len == 0 || memcmp(text.at, prefix.at, prefix.len) == 0);
}

bool bytes_ends_with(struct bytes text, struct bytes suffix) {
    if (text.len < suffix.len)
        return false;
    return suffix.len == 0 || memcmp(text.at + (text.len - suffix.len), suffix.at, suffix.len) == 0;
}

size_t bytes_find(struct bytes text, char c) {
    if (text.len == 0)
        return 0;
    const char *found = memchr(text.at, c, text.len);
    return found == NULL ? text.len : (size_t)(found - text.at);
}

static bool is_optional_space(char c) {
    return c == ' ' || c == '\t';
}

struct bytes bytes_trim(struct bytes text) {
    while (text.len > 0 && is_optional_space(text.at[0])) {
        text.at++;
        text.len--;
    }
    while (text.len > 0 && is_optional_space(text.at[text.len - 1]))
        text.len--;
    return text;
}

bool bytes_next(struct bytes *list, char separator, struct bytes *element) {
    while (list->len > 0) {
        size_t end = bytes_find(*list, separator);
        *element = bytes_trim(bytes_from(list->at, end));
        size_t taken = end < list->len ? end + 1 : end;
        list->at += taken;
        list->len -= taken;
        if (element->len > 0)
            return true;
    }
    return false;
}

bool bytes_to_u64(struct bytes text, uint64_t max, uint64_t *value) {
    if (text.len == 0)
        return false;
    uint64_t sum = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] < '0' || text.at[i] > '9')
            return false;
        uint64_t digit = (uint64_t)(text.at[i] - '0');
        if (__builtin_mul_overflow(sum, 10, &sum) || __builtin_add_overflow(sum, digit, &sum) || sum > max)
            return false;
    }
    *value = sum;
    return true;
}

static int hex_value(char c) {
    char lower = ascii_lower(c);
    if (c >= '0' && c <= '9')
        return c - '0';
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

int bytes_octet_of_hex(struct bytes text) {
    int high = text.len < 2 ? -1 : hex_value(text.at[0]);
    int low = text.len < 2 ? -1 : hex_value(text.at[1]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}
