// A request as logs have most of them: what tests of lines begin with.
#ifndef TESTS_TELEMETRY_USUAL_RECORD_H
#define TESTS_TELEMETRY_USUAL_RECORD_H

#include "telemetry/access_log.h"

static inline struct access_record usual_record(void) {
    return (struct access_record){
        .start_wall = UINT64_C(1767225599) * NS_PER_S + 123456789,
        .duration = 1234567,
        .listener = BYTES("inbound"),
        .direction = BYTES("inbound"),
        .method = BYTES("GET"),
        .authority = BYTES("courses:80"),
        .path = BYTES("/courses/1?token=secret"),
        .version = 11,
        .tls = true,
        .status = 200,
        .grpc_status = ACCESS_LOG_NO_GRPC_STATUS,
        .end = OK,
        .request_bytes = 0,
        .response_bytes = 1024,
        .service = BYTES("school/courses:80"),
        .endpoint = BYTES("127.0.0.1:8000"),
        .attempts = 1,
        .upstream_duration = 1000000,
        .peer = BYTES("10.0.0.7:40000"),
        .peer_identity = BYTES("spiffe://school.local/ns/school/sa/frontend"),
        .request_id = BYTES("0192-abcd"),
        .user_agent = BYTES("curl/8"),
    };
}

#endif
