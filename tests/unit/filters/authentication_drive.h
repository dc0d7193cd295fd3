// What the tests of tokens share: an issuer with its keys, an application and the issuer's server that answer by themselves, and requests with a token.
#ifndef TESTS_FILTERS_AUTHENTICATION_DRIVE_H
#define TESTS_FILTERS_AUTHENTICATION_DRIVE_H

#include "filters/registry.h"
#include "stream/inquiry.h"
#include "support/serving_world.h"
#include "support/test_jwt.h"
#include "unit/stream/stream_drive.h"

#include <openssl/evp.h>
#include <stdio.h>

#define APPLICATION_PORT 8009
#define ISSUER_PORT 8003
#define NOW_S UINT64_C(1800000000)

// The inbound listener stands before the application of service `auth`.
#define BESIDE                                                                                                                 \
    API "kind: Proxy\nmetadata: {name: p}\nspec:\n"                                                                            \
        "  service: auth\n"                                                                                                    \
        "  listeners:\n"                                                                                                       \
        "  - {name: outbound, role: Outbound, address: '127.0.0.1:15001'}\n"                                                   \
        "  - {name: inbound, role: Inbound, address: '127.0.0.1:15006', forwardTo: '127.0.0.1:8009', mtls: {mode: Disable}}\n" \
        "  telemetry: {accessLog: {path: /dev/null, filter: All}}\n---\n" SERVICE("HTTP2", ONE)
#define TARGET_AUTH "  targetRefs: [{kind: Service, name: auth}]\n"
#define TOKENS(more, providers) API "kind: AuthenticationPolicy\nmetadata: {name: t}\nspec:\n" TARGET_AUTH more "  jwt:\n" providers "---\n"
#define URL "uri: 'http://127.0.0.1:8003/jwks'"
#define PROVIDER(jwks, more) "  - {name: main, issuer: 'https://id.example', jwks: {" jwks "}" more "}\n"

struct issuer {
    EVP_PKEY *key;
    char id[16]; // of the key
    char keys[2 * TEST_JWK_SIZE];
};

static inline void issuer_init(struct issuer *issuer, const char *id) {
    char jwk[TEST_JWK_SIZE];
    issuer->key = test_signing_key(JWT_EDDSA);
    snprintf(issuer->id, sizeof issuer->id, "%s", id);
    test_jwk(issuer->key, id, "", jwk);
    test_jwk_set(jwk, NULL, issuer->keys);
}

static inline void issuer_dispose(struct issuer *issuer) {
    EVP_PKEY_free(issuer->key);
}

// For five minutes from NOW_S on; `claims` begin with a comma, or are empty. Valid until the next call.
static inline const char *token_with(const struct issuer *issuer, const char *claims) {
    static char token[TEST_TOKEN_SIZE];
    char header[64], payload[2048];
    snprintf(header, sizeof header, "{\"alg\":\"EdDSA\",\"kid\":\"%s\"}", issuer->id);
    snprintf(payload, sizeof payload, "{\"iss\":\"https://id.example\",\"exp\":%llu%s}", (unsigned long long)NOW_S + 300, claims);
    test_token(issuer->key, JWT_EDDSA, header, payload, token);
    return token;
}

// The issuer's server has the issuer's keys; NULL: it does not answer yet.
static inline void issuer_world_init(struct world *world, const char *documents, const struct issuer *issuer) {
    world_init(world, documents, filter_types, ISSUER_PORT);
    world->answer = issuer == NULL ? NULL : issuer->keys;
    struct loop *loop = &world->loopback.far.check.loop;
    loop->wall_ahead = NOW_S * NS_PER_S - loop->now;
}

static inline const struct stream_client *somebody(void) {
    static union address address = {.v4 = {.sin_family = AF_INET}};
    address.v4.sin_addr.s_addr = htonl(0x0a000001);
    static struct stream_client who = {.address = &address};
    return &who;
}

static inline void begin(struct client *client, struct world *world, const char *request) {
    world_begin(client, world, somebody(), request);
}

// "GET auth /\n" with these fields and the token; NULL: without one.
static inline const char *request_with(const char *token, const char *fields) {
    static char request[TEST_TOKEN_SIZE + 512];
    snprintf(request, sizeof request, "GET auth /\n%s%s%s%s", token == NULL ? "" : "authorization: Bearer ", token == NULL ? "" : token,
             token == NULL ? "" : "\n", fields);
    return request;
}

static inline unsigned status_of(struct world *world, const char *request) {
    return world_ask(world, somebody(), request);
}

// How the policy decides about a request that somebody asks about, and on whom that rests.
struct told {
    enum step_outcome outcome;
    char rule[32], reason[64];
};

static inline struct told told_of(struct world *world, const char *request) {
    static struct inquiry_desk desk;
    static const union address somewhere = {.v4 = {.sin_family = AF_INET}};
    const struct stream_client from = {.address = &somewhere};
    struct told told = {.outcome = STEP_ANSWERED};
    struct stream *stream = inquiry_begin(&desk, &world->loopback.env, world->loopback.bound, loopback_listener(&world->loopback, "inbound"), &from);
    struct head *head = pool_alloc_zeroed(&stream->pool, sizeof *head);
    head_from_text(head, &stream->pool, HTTP_1_1, request);
    inquiry_decide(stream, head);
    for (const struct explanation_step *step = stream->explanation->first; step != NULL; step = step->next) {
        if (strcmp(step->filter, "authentication") != 0)
            continue;
        told.outcome = step->outcome;
        snprintf(told.rule, sizeof told.rule, "%.*s", BYTES_FORMAT(step->rule));
        snprintf(told.reason, sizeof told.reason, "%.*s", BYTES_FORMAT(step->reason));
    }
    inquiry_end(stream);
    loopback_settle(&world->loopback);
    return told;
}

static inline unsigned status_with(struct world *world, const char *token) {
    return status_of(world, request_with(token, ""));
}

#endif
