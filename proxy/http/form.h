// Names and values as forms and queries write them (application/x-www-form-urlencoded, WHATWG URL section 5.1).
#ifndef HTTP_FORM_H
#define HTTP_FORM_H

#include "base/bytes.h"
#include "base/pool.h"

#include <stdint.h>

// `+` as a space, escapes as the octets that they stand for; what is no escape stands for itself. `text` itself where there is nothing to decode, else a copy in `pool`.
struct bytes form_decode(struct bytes text, struct pool *pool);

// Writes `text` as a name or value to [to, end): whole octets alone. Returns the end of what was written; less than all where there is no room.
char *form_encode(char *to, char *end, struct bytes text);

// The parameters of one query, decoded, by name: the first of each name counts. Lives as long as the query and the pool.
struct form {
    struct form_parameter *slots; // open addressing; NULL: no parameter
    uint32_t mask;
};

// One pass over the query. Memory and time grow with its length alone, whoever wrote it (the hash is seeded).
void form_parse(struct form *form, struct bytes query, struct pool *pool);

// False: there is no parameter of that name. One without `=` has an empty value.
bool form_find(const struct form *form, struct bytes name, struct bytes *value);

// Whether several have that name.
bool form_is_repeated(const struct form *form, struct bytes name);

#endif
