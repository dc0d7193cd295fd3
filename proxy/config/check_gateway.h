// Whether the Gateways that a Proxy stands for are there, with ports and certificates.
#ifndef CONFIG_CHECK_GATEWAY_H
#define CONFIG_CHECK_GATEWAY_H

#include "base/map.h"
#include "config/document.h"

// `names`: all documents by "Kind/namespace/name".
void check_gateways(struct document *proxy, const struct map *names);

#endif
