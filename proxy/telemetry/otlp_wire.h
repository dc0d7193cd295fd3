// How OTLP's messages are written: fields of protobuf in one pass, with lengths of two bytes, padded where they need not be that long. What telemetry/span.c, log_record.c and
// otlp_points.c share, theirs alone. Functions that write return what is behind what they wrote; NULL: there was no room.
#ifndef TELEMETRY_OTLP_WIRE_H
#define TELEMETRY_OTLP_WIRE_H

#include "base/bytes.h"
#include "base/clock.h"

// Tags: the number of a field times eight, and how it is written.
#define WIRE_VARINT(field) ((field) << 3)
#define WIRE_FIXED64(field) ((field) << 3 | 1)
#define WIRE_LENGTH(field) ((field) << 3 | 2)
#define WIRE_FIXED32(field) ((field) << 3 | 5)

// Of what is as long as WIRE_MESSAGE_MAX at most.
#define WIRE_LENGTH_BYTES 2
#define WIRE_MESSAGE_MAX (1 << 14)

// Of one text: a value, a name.
#define WIRE_TEXT_MAX 1024

#define WIRE_VARINT_MAX 10

char *wire_varint(char *at, uint64_t value);
char *wire_zigzag(char *at, int32_t value);
char *wire_fixed64(char *at, uint64_t value);
char *wire_double(char *at, double value);
char *wire_fixed(char *at, uint64_t value, size_t count);
char *wire_bytes(char *at, char tag, const void *bytes, size_t count); // at most 127
char *wire_time(char *at, char tag, nanoseconds time);

// What begins here gets its length from wire_close once it is known.
char *wire_open(char *at, char tag);
void wire_close(char *begin, const char *end);

// The same with a length of three bytes: below 2 MiB.
char *wire_open_long(char *at, char tag);
void wire_close_long(char *begin, const char *end);

// As valid UTF-8, and cut where it is longer than WIRE_TEXT_MAX.
char *wire_text(char *at, const char *end, char tag, struct bytes text);

// The value of a KeyValue.
struct wire_value {
    char *(*put)(char *at, const char *end, const struct wire_value *value); // one of those below
    struct bytes text;
    int64_t number;
};

char *wire_value_text(char *at, const char *end, const struct wire_value *value);
char *wire_value_number(char *at, const char *end, const struct wire_value *value);
char *wire_value_true(char *at, const char *end, const struct wire_value *value);
char *wire_value_list(char *at, const char *end, const struct wire_value *value); // an array of the one text

// A KeyValue as the field `tag` of whatever is open.
char *wire_attribute(char *at, const char *end, char tag, struct bytes key, const struct wire_value *value);

#endif
