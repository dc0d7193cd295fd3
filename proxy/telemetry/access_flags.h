// How a request ended in the words that Envoy has for it, the nearest that there are:
// https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage, RESPONSE_FLAGS.
#ifndef TELEMETRY_ACCESS_FLAGS_H
#define TELEMETRY_ACCESS_FLAGS_H

#include "base/bytes.h"
#include "base/error.h"

#include <stdbool.h>

// `by_agent`: external authorization has refused it, for which alone Envoy has a flag. Empty: it went well, or none is near.
struct bytes access_flag_of(enum error end, bool by_agent);

#endif
