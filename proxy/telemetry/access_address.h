// Operators of templates that are addresses: of the client, of both ends of both connections; whole, without a port, or their port.
#ifndef TELEMETRY_ACCESS_ADDRESS_H
#define TELEMETRY_ACCESS_ADDRESS_H

#include "telemetry/access_line.h"
#include "telemetry/access_template.h"

// False: it is no such operator. Else *is_there: it has a value, and that was added; there is room for ACCESS_ADDRESS_MAX bytes.
bool access_address_add(struct access_line *line, const struct access_record *record, enum access_operator operation, bool *is_there);

#endif
