// An endpoint as pages show it: /clusters and /explain.
#ifndef ADMIN_ENDPOINT_ROW_H
#define ADMIN_ENDPOINT_ROW_H

#include "admin/figures.h"

struct json_t; // jansson

// A new reference.
struct json_t *endpoint_row(const struct admin_endpoint *endpoint);

#endif
