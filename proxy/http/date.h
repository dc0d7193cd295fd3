// HTTP-date (RFC 9110 section 5.6.7): all three of its forms, as fields of a message have them.
#ifndef HTTP_DATE_H
#define HTTP_DATE_H

#include "base/bytes.h"

#include <stdbool.h>
#include <stdint.h>

// Seconds since 1970. `now`, the same, says which century a year of two digits is of. False: it is no date, or one before 1970. The name of the weekday is read and
// not compared with the date.
bool http_date_parse(struct bytes text, uint64_t now, uint64_t *seconds);

#endif
