// A borrowed slice of bytes. It owns nothing: whoever hands one out says how long it stays valid.
// Used everywhere for names, values and pieces of messages. Owned text lives in a pool (pool_copy), or on the heap: bytes_keep and bytes_drop.
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes {
    const char *at; // not NUL-terminated; may be NULL when len is 0
    size_t len;
};

#define BYTES(literal) ((struct bytes){"" literal, sizeof(literal) - 1})
// The same in an initialiser of static data.
#define BYTES_OF(literal) \
    { "" literal, sizeof(literal) - 1 }
#define BYTES_NONE ((struct bytes){NULL, 0})
// For printf's "%.*s".
#define BYTES_FORMAT(slice) (int)(slice).len, (slice).at

static inline struct bytes bytes_from(const char *at, size_t len) {
    return (struct bytes){at, len};
}

static inline struct bytes bytes_from_text(const char *text) {
    return (struct bytes){text, strlen(text)};
}

static inline bool bytes_equal(struct bytes a, struct bytes b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

// ASCII only, as all protocols here have it.
static inline char ascii_lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

// A copy on the heap, NUL behind it, that its holder owns until bytes_drop; aborts when there is no memory.
struct bytes bytes_keep(struct bytes text);

// Frees what bytes_keep made, or nothing where it is BYTES_NONE, and leaves BYTES_NONE.
void bytes_drop(struct bytes *kept);

// Equal but for ASCII case.
bool bytes_equal_nocase(struct bytes a, struct bytes b);

// Byte by byte; of two that begin alike the shorter goes first. Below, at or above 0 as `a` goes before, with or behind `b`.
int bytes_compare(struct bytes a, struct bytes b);

bool bytes_starts_with(struct bytes text, struct bytes prefix);
bool bytes_ends_with(struct bytes text, struct bytes suffix);

// Position of the first `c`, or `text.len`.
size_t bytes_find(struct bytes text, char c);

// Without optional white space (space, tab) at both ends (RFC 9110 section 5.6.3).
struct bytes bytes_trim(struct bytes text);

// Takes the next element off a list separated by `separator`, trimmed; empty elements are skipped.
// False when nothing is left. `list` is moved behind the element.
bool bytes_next(struct bytes *list, char separator, struct bytes *element);

// Digits only, no sign, no space; false on anything else, on an empty text and above `max`.
bool bytes_to_u64(struct bytes text, uint64_t max, uint64_t *value);

// 0 to 255: what the two hexadecimal digits, of either case, at the front of `text` say; -1: it does not begin so.
int bytes_octet_of_hex(struct bytes text);

#endif
