// Fields out of any text, for fuzz targets of what reads them: what codecs would let through.
#ifndef SUPPORT_FIELD_LINES_H
#define SUPPORT_FIELD_LINES_H

#include "http/message.h"

// "name: value" lines; those that are no field are left out. The text must live as long as `fields`.
void field_lines_read(struct fields *fields, struct bytes text);

// The same of "/path" in the first line, for GET http://app.example. The head is initialised in `pool`.
void field_lines_read_request(struct head *head, struct pool *pool, struct bytes text);

#endif
