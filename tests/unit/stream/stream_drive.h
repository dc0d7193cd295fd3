// What the tests of streams share: documents of a proxy with both kinds of listener and one service, and short forms for what servers do.
#ifndef TESTS_STREAM_STREAM_DRIVE_H
#define TESTS_STREAM_STREAM_DRIVE_H

#include "base/check.h"
#include "stream/attempts.h"
#include "support/loopback_stream.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define API "apiVersion: outrigger.dev/v1alpha1\n"
#define PROXY_WITH(limits)                                                                                                     \
    API "kind: Proxy\nmetadata: {name: p}\nspec:\n"                                                                            \
        "  listeners:\n"                                                                                                       \
        "  - {name: outbound, role: Outbound, address: '127.0.0.1:15001'}\n"                                                   \
        "  - {name: inbound, role: Inbound, address: '127.0.0.1:15006', forwardTo: '127.0.0.1:8009', mtls: {mode: Disable}}\n" \
        "  telemetry: {accessLog: {path: /dev/null, filter: All}}\n" limits "---\n"
#define PROXY PROXY_WITH("")
#define SERVICE(protocol, endpoints)                                                                                                \
    API "kind: ServiceEntry\nmetadata: {name: a}\nspec:\n  hosts: [a]\n  ports: [{name: http, port: 80, protocol: " protocol "}]\n" \
        "  tls: {mode: None}\n  endpoints: [" endpoints "]\n---\n"
#define POLICY(groups) API "kind: TrafficPolicy\nmetadata: {name: a}\nspec:\n  targetRefs: [{kind: Service, name: a}]\n" groups "---\n"
#define ONE "{address: '127.0.0.1:8001'}"
#define TWO "{address: '127.0.0.1:8001'}, {address: '127.0.0.1:8002'}"
#define IN_TURN "  loadBalancer: {type: RoundRobin}\n"

// The only request on the n-th connection.
static inline struct owner_stream *only_request(struct loopback *world, unsigned position) {
    struct far_conn *conn = far_conn(&world->far, position);
    struct owner_stream *request = far_request(conn, 0);
    CHECK(request->next == NULL);
    return request;
}

static inline void respond(struct loopback *world, unsigned position, unsigned status, const char *fields, const char *body) {
    far_respond(far_conn(&world->far, position), only_request(world, position), status, fields, body, true);
}

// What the server on the n-th connection got, as codec_owner_transcript says it. Valid until the next call.
static inline const char *received(struct loopback *world, unsigned position) {
    static struct text text;
    CHECK(far_conn(&world->far, position)->speaks);
    codec_owner_transcript(&far_conn(&world->far, position)->server, &text);
    return text.at;
}

static inline bool has_text(const char *text, const char *part) {
    return text != NULL && strstr(text, part) != NULL;
}

// Tries after the first, whatever they were made for.
static inline unsigned retries_of(const struct loopback *world) {
    const struct worker_metrics *metrics = &world->far.metrics;
    return (unsigned)(metric_read(&metrics->retries_for_connect_failure) + metric_read(&metrics->retries_for_refused_stream) +
                      metric_read(&metrics->retries_for_unsent) + metric_read(&metrics->retries_for_gateway_error) +
                      metric_read(&metrics->retries_for_reset) + metric_read(&metrics->retries_for_timeout) +
                      metric_read(&metrics->retries_for_code) + metric_read(&metrics->retries_for_grpc_code));
}

#define assert_has(text, part)                             \
    do {                                                   \
        if (!has_text(text, part))                         \
            fail_msg("\"%s\" is not in:\n%s", part, text); \
    } while (0)
#define assert_has_not(text, part)                     \
    do {                                               \
        if (has_text(text, part))                      \
            fail_msg("\"%s\" is in:\n%s", part, text); \
    } while (0)

#endif
