// JSON that a peer has written, bounded: UTF-8, no name twice in one object, no NUL in texts, no more levels than asked for.
#ifndef CERTS_JSON_H
#define CERTS_JSON_H

#include "base/bytes.h"

struct json_t; // jansson

// An object, one reference; NULL: it is none, or not as above.
struct json_t *json_read_object(struct bytes text, unsigned depth_max);

// The text of a member; at NULL: there is none of that name, or it is no text.
struct bytes json_member_text(const struct json_t *object, const char *name);

#endif
