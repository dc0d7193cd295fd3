// Origins (RFC 6454 section 6.1, Fetch section 3.2) as a CORS filter names them and as a request's Origin field has them.
#ifndef CONFIG_CORS_ORIGIN_H
#define CONFIG_CORS_ORIGIN_H

#include "base/bytes.h"

#include <stdbool.h>
#include <stdint.h>

struct cors_origin {
    struct bytes scheme, host; // as written; they point into the text
    uint16_t port;             // that of the scheme where none is written; 0: the scheme has none
};

// scheme://host or scheme://host:port and nothing else. False: it is none, as "null" is not.
bool cors_origin_parse(struct bytes text, struct cors_origin *origin);

// Whether the host of a pattern is one: a `*` in front alone stands for any hosts, before a dot for any labels, at least one.
bool cors_origin_is_pattern(const struct cors_origin *pattern);

bool cors_origin_matches(const struct cors_origin *pattern, const struct cors_origin *origin);

#endif
