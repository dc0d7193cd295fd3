// Names and values as forms and queries write them (application/x-www-form-urlencoded, WHATWG URL section 5.1).
#ifndef HTTP_FORM_H
#define HTTP_FORM_H

#include "base/bytes.h"
#include "base/pool.h"

// `+` as a space, escapes as the octets that they stand for; what is no escape stands for itself. `text` itself where there is nothing to decode, else a copy in `pool`.
struct bytes form_decode(struct bytes text, struct pool *pool);

#endif
