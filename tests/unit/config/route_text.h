// Texts of routes for the service `s`, for tests.
#ifndef TESTS_CONFIG_ROUTE_TEXT_H
#define TESTS_CONFIG_ROUTE_TEXT_H

#include "unit/config/load_text.h"

#define ROUTE_OF(kind, name, spec) "---\napiVersion: gateway.networking.k8s.io/v1\nkind: " kind "\nmetadata: {name: " name "}\nspec:\n" spec
#define HTTP(name, rules) ROUTE_OF("HTTPRoute", name, "  parentRefs: [{group: '', kind: Service, name: s}]\n  rules:\n" rules)
#define GRPC(name, rules) ROUTE_OF("GRPCRoute", name, "  parentRefs: [{group: '', kind: Service, name: s}]\n  rules:\n" rules)
#define BASE OUTBOUND_PROXY PLAIN_ENTRY("s", "") PLAIN_ENTRY("v", "")

#endif
