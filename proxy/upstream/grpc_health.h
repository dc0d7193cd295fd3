// The two messages of gRPC's health protocol (grpc/doc/health-checking.md) as they stand in a body: a length-prefixed frame with protobuf in it. Pure.
#ifndef UPSTREAM_GRPC_HEALTH_H
#define UPSTREAM_GRPC_HEALTH_H

#include "config/health_config.h"

#include <stdbool.h>
#include <stdint.h>

#define GRPC_HEALTH_PATH "/grpc.health.v1.Health/Check"

// HealthCheckResponse.ServingStatus
#define GRPC_HEALTH_SERVING 1
#define GRPC_HEALTH_STATUS_MAX 1000 // greater ones are none

// A request for `service` ("": the server as a whole), of at most GRPC_SERVICE_MAX bytes. Returns the length.
#define GRPC_HEALTH_REQUEST_MAX (GRPC_SERVICE_MAX + 8)
size_t grpc_health_request(struct bytes service, char out[GRPC_HEALTH_REQUEST_MAX]);

// The whole body of an answer. False: it is none, or compressed. A field that is not there is 0, UNKNOWN; others than the status are passed over.
bool grpc_health_response(struct bytes body, uint32_t *status);

#endif
