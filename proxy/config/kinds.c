// The only list of the kinds that documents can be of. A new kind is one table and one line here.
#include "config/resource_authentication.h"
#include "config/resource_authorization.h"
#include "config/resource_bulkhead.h"
#include "config/resource_fault.h"
#include "config/resource_gateway.h"
#include "config/resource_rate_limit.h"
#include "config/resource_route.h"
#include "config/resource_telemetry_policy.h"
#include "config/resources.h"

#define GATEWAY_API_VERSION GATEWAY_GROUP "/v1"

const struct kind config_kinds[] = {
    {"Proxy", API_VERSION, &proxy_table, proxy_check, mesh_fields_check_files},
    {"ServiceEntry", API_VERSION, &service_entry_table, service_entry_check, .is_light = true},
    {"TrafficPolicy", API_VERSION, &traffic_policy_table, traffic_policy_check, .is_light = true},
    {"AuthenticationPolicy", API_VERSION, &authentication_table, authentication_check, authentication_check_files, .is_light = true},
    {"FaultPolicy", API_VERSION, &fault_table, fault_check, .is_light = true},
    {"RateLimitPolicy", API_VERSION, &rate_limit_table, rate_limit_check, rate_limit_check_files, .is_light = true},
    {"AuthorizationPolicy", API_VERSION, &authorization_table, authorization_check, .is_light = true},
    {"BulkheadPolicy", API_VERSION, &bulkhead_table, bulkhead_check, .is_light = true},
    {"TelemetryPolicy", API_VERSION, &telemetry_policy_table, telemetry_policy_check, .is_light = true},
    {"MeshConfig", API_VERSION, &mesh_config_table, mesh_config_check, mesh_fields_check_files},
    {"HTTPRoute", GATEWAY_API_VERSION, &http_route_table, http_route_check, .is_light = true},
    {"GRPCRoute", GATEWAY_API_VERSION, &grpc_route_table, grpc_route_check, .is_light = true},
    {"TLSRoute", GATEWAY_API_VERSION, &tls_route_table, tls_route_check, .is_light = true},
    {"TCPRoute", GATEWAY_API_VERSION, &tcp_route_table, tcp_route_check, .is_light = true},
    {"Gateway", GATEWAY_API_VERSION, &gateway_table, gateway_check},
    {"ReferenceGrant", GATEWAY_API_VERSION, &reference_grant_table, reference_grant_check, .older_version = GATEWAY_GROUP "/v1beta1",
     .is_light = true},
    {0}};
