// One table per kind: each field of a document once, with its type, default, bounds, merging and a line of description. The decoder, the messages, the
// digest, and what is generated from the tables (schemas, the reference) all read these; nothing about a field stands anywhere else.
#ifndef CONFIG_TABLE_H
#define CONFIG_TABLE_H

#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The C type that a row's offset points at is behind each.
enum value_type {
    VALUE_TEXT,      // struct bytes; no control characters
    VALUE_LABEL,     // struct bytes; an RFC 1123 label: what documents name
    VALUE_HOST,      // struct bytes; a host with or without port, or "*.example.com"
    VALUE_PATH,      // struct bytes; of a file; made relative to the folder of the document's file
    VALUE_BOOL,      // bool
    VALUE_INTEGER,   // uint16_t, uint32_t or uint64_t
    VALUE_DURATION,  // nanoseconds
    VALUE_QUANTITY,  // uint32_t or uint64_t; bytes
    VALUE_ENUM,      // an enum
    VALUE_FLAGS,     // a list of words of an enum; each sets a bool: a choice's value is its offset
    VALUE_NUMBERS,   // a list of whole numbers: a set as bits of uint64_t words, the first for `min`
    VALUE_ADDRESS,   // struct socket_address; or, by the width, struct endpoint_place
    VALUE_SPIFFE_ID, // struct spiffe_id
    VALUE_CIDR,      // struct cidr
    VALUE_OBJECT,    // a struct inside the same struct: the offsets of its table count from the same start
    VALUE_LIST,      // a pointer to items and, at `count_offset`, their number: uint32_t
    VALUE_TEXT_MAP   // names to texts; checked and not kept (labels and annotations of metadata)
};

// A word of an enumeration. `is_later`: it belongs to the language and this version does not have it.
struct choice {
    const char *name;
    uint32_t value;
    bool is_later;
    const char *describes;
};

struct row {
    const char *name;
    enum value_type type;
    uint32_t offset;
    uint32_t width; // bytes of the C value
    bool is_required;
    bool is_line;                 // VALUE_TEXT: one line feed at its end, as block scalars have it, is no part of it
    bool is_group;                // merged kinds: taken whole from the most specific policy that has it
    const char *fallback;         // the default as a document would say it (words of VALUE_FLAGS with spaces between); NULL: none, all bits zero
    uint64_t min, max;            // VALUE_INTEGER, VALUE_DURATION, VALUE_QUANTITY, VALUE_NUMBERS; VALUE_LIST: number of items
    unsigned forms;               // VALUE_ADDRESS: enum address_form
    const struct choice *choices; // VALUE_ENUM, VALUE_FLAGS; ends with a name of NULL
    const struct table *object;   // VALUE_OBJECT; VALUE_LIST of objects
    enum value_type item;         // VALUE_LIST
    uint32_t count_offset;        // VALUE_LIST
    bool is_bulk;                 // VALUE_LIST: whoever freezes it copies all of it; where it is long it does not outlive its load (unit.h)
    const char *describes;
};

struct table {
    const char *describes;
    const struct row *rows; // ends with a name of NULL
    uint32_t size;          // of the C struct, where the table is of items of a list or of a spec
    bool has_place;
    uint32_t place_offset;  // struct place
    const char *unique_key; // items of lists: the field that no two may share, as a list keyed by name; NULL: none
    const char *later;      // names of fields that the language has and this version does not, with spaces between
};

#define ROW_AT(type, member) .offset = offsetof(type, member), .width = sizeof(((type *)0)->member)
#define ROW_LIST(type, items, count) .offset = offsetof(type, items), .width = sizeof(void *), .count_offset = offsetof(type, count)

// How many bytes one item of a list takes.
uint32_t row_item_size(const struct row *row);

const struct row *table_find(const struct table *table, struct bytes name);

// Whether the language has a field of that name here that this version lacks.
bool table_has_later(const struct table *table, struct bytes name);

// Mixes all values of `object` into `digest` (FNV-1a): equal values give an equal digest in every process.
uint64_t table_digest(const struct table *table, const void *object, uint64_t digest);

#define DIGEST_START UINT64_C(0xcbf29ce484222325)
uint64_t digest_bytes(uint64_t digest, struct bytes text); // with its length
uint64_t digest_number(uint64_t digest, uint64_t number);

#endif
