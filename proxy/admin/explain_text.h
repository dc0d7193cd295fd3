// What /explain says, as text that reads well: see explain_view.h for the value.
#ifndef ADMIN_EXPLAIN_TEXT_H
#define ADMIN_EXPLAIN_TEXT_H

#include "base/buffer.h"

struct json_t; // jansson

void explain_text_append(struct buffer *out, const struct json_t *value);

#endif
