// Trials of the filters that say who may ask: rules, tokens and the keys they are signed with, agents.
#ifndef TESTS_FILTERS_TRIAL_ROWS_ACCESS_H
#define TESTS_FILTERS_TRIAL_ROWS_ACCESS_H

#include "unit/filters/trial_rows.h"

#include "support/test_jwt.h"

#include <openssl/evp.h>
#include <stdio.h>

#define ISSUER_PORT 8003
#define ALLOWED_FROM "  - {name: inside, from: [{addresses: [10.0.0.0/8]}]}\n"
#define RULES_WITH(path)                                                                                                 \
    OF_A("AuthorizationPolicy", "d", "  action: Deny\n  rules:\n  - {name: no, matches: [{path: {value: " path "}}]}\n") \
    OF_A("AuthorizationPolicy", "f", "  action: Allow\n  rules:\n" ALLOWED_FROM)

// ---- authorization

static const struct trial_request of_rules[] = {
    {.text = "GET a /x\n", .fate = {TRIAL_PASSES, TRIAL_REFUSED, TRIAL_PASSES}, .own = {403}},
    {.text = "POST a /secret\n", .has_body = true, .fate = {TRIAL_REFUSED, TRIAL_PASSES, TRIAL_PASSES}, .own = {403}},
    {.text = "GET a /y\n", .is_strange = true, .fate = UNLESS_REMOVED(TRIAL_REFUSED), .own = {403}},
    {.text = "POST a /y\n", .has_body = true, .fate = PASSES_ALWAYS},
};

// ---- tokens, whose keys are fetched

struct trial_tokens {
    char keys[2 * TEST_JWK_SIZE];
    char reads[TEST_TOKEN_SIZE + 64], reads_by_post[TEST_TOKEN_SIZE + 64], writes[TEST_TOKEN_SIZE + 64], strange[TEST_TOKEN_SIZE + 64]; // requests
};

static struct trial_tokens trial_tokens;

static inline void write_request(struct evp_pkey_st *key, const char *id, const char *line, const char *claims, char *request) {
    static char token[TEST_TOKEN_SIZE];
    char header[64], payload[256];
    snprintf(header, sizeof header, "{\"alg\":\"EdDSA\",\"kid\":\"%s\"}", id);
    snprintf(payload, sizeof payload, "{\"iss\":\"i\",\"exp\":1900000000%s}", claims);
    test_token(key, JWT_EDDSA, header, payload, token);
    snprintf(request, sizeof trial_tokens.reads, "%sauthorization: Bearer %s\n", line, token);
}

static inline void make_tokens(void) {
    char jwk[TEST_JWK_SIZE];
    struct evp_pkey_st *key = test_signing_key(JWT_EDDSA), *other = test_signing_key(JWT_EDDSA);
    test_jwk(key, "k", "", jwk);
    test_jwk_set(jwk, NULL, trial_tokens.keys);
    write_request(key, "k", "GET a /x\n", ",\"scope\":\"read\",\"sub\":\"r\"", trial_tokens.reads);
    write_request(key, "k", "POST a /x\n", ",\"scope\":\"read\",\"sub\":\"r\"", trial_tokens.reads_by_post);
    write_request(key, "k", "POST a /x\n", ",\"scope\":\"write\",\"sub\":\"w\"", trial_tokens.writes);
    write_request(other, "other", "GET a /x\n", ",\"scope\":\"read\",\"sub\":\"r\"", trial_tokens.strange);
    EVP_PKEY_free(key);
    EVP_PKEY_free(other);
}

static inline void answer_with_keys(struct trial_run *run, const struct owner_stream *asked, struct trial_answer *answer) {
    (void)asked;
    answer->fields = trial_below(run, 2) == 0 ? "cache-control: max-age=60\n" : "";
    answer->body = trial_tokens.keys;
}

#define TOKENS_OF(more, issuer, port) \
    OF_A("AuthenticationPolicy", "t", more "  jwt: [{name: m, issuer: " issuer ", jwks: {uri: 'http://127.0.0.1:" port "/k', timeout: 10s}}]\n")
#define SCOPE(value) \
    OF_A("AuthorizationPolicy", "c", "  action: Allow\n  rules:\n  - {name: s, when: [{type: JWTClaim, name: scope, values: [" value "]}]}\n")

static const struct trial_request of_tokens[] = {
    {.text = trial_tokens.reads, .fate = {TRIAL_PASSES, TRIAL_REFUSED, TRIAL_PASSES}, .own = {401}},
    {.text = trial_tokens.writes, .has_body = true, .fate = {TRIAL_PASSES, TRIAL_REFUSED, TRIAL_PASSES}, .own = {401}},
    {.text = trial_tokens.strange, .fate = UNLESS_REMOVED(TRIAL_REFUSED), .own = {401}},
    {.text = "GET a /x\n", .fate = UNLESS_REMOVED(TRIAL_REFUSED), .own = {401}},
};

static const struct trial_request of_claims[] = {
    {.text = trial_tokens.reads, .fate = {TRIAL_PASSES, TRIAL_REFUSED, TRIAL_PASSES}, .own = {401, 403}},
    {.text = trial_tokens.reads_by_post, .has_body = true, .fate = {TRIAL_PASSES, TRIAL_REFUSED, TRIAL_PASSES}, .own = {401, 403}},
    {.text = trial_tokens.writes, .has_body = true, .fate = {TRIAL_REFUSED, TRIAL_PASSES, TRIAL_PASSES}, .own = {401, 403}},
    {.text = "GET a /x\n", .fate = UNLESS_REMOVED(TRIAL_REFUSED), .own = {403}},
};

// ---- agents

#define AGENT(external) OF_A("AuthorizationPolicy", "x", "  action: External\n  external: {" external "}\n")
#define DRY_RUN_OF(external) OF_A("AuthorizationPolicy", "x", "  mode: DryRun\n  action: External\n  external: {" external "}\n")
#define OPA_AT(port, timeout) AGENT("type: OPA, url: 'http://127.0.0.1:" port "/v1/data/mesh/allow', timeout: " timeout)
#define FORWARD(port, timeout) "type: Forward, url: 'http://127.0.0.1:" port "/check', timeout: " timeout ", headersToUpstream: [x-user]"
#define FORWARD_AT(port, timeout) AGENT(FORWARD(port, timeout))

static const struct trial_request of_agents[] = {
    {.text = "GET a /yes\n", .fate = PASSES_ALWAYS, .own = {403}},
    {.text = "POST a /yes\n", .has_body = true, .fate = PASSES_ALWAYS, .own = {403}},
    {.text = "GET a /no\nx-user: root\n", .fate = UNLESS_REMOVED(TRIAL_REFUSED), .own = {403}},
    {.text = "POST a /no\n", .has_body = true, .fate = UNLESS_REMOVED(TRIAL_REFUSED), .own = {403}},
};

static inline void decide_as_opa(struct trial_run *run, const struct owner_stream *asked, struct trial_answer *answer) {
    const bool is_allowed = has_text(asked->body.at, "\"path\":\"/yes\"");
    static const char *const refusals[] = {"{\"result\":false}", "{}", "{\"result\":{\"allow\":false}}", "[", "{\"result\":\"true\"}"};
    answer->body = is_allowed ? "{\"result\":true}" : refusals[trial_below(run, 5)];
    if (!is_allowed && trial_below(run, 4) == 0)
        answer->status = 500;
}

static inline void decide_as_proxy(struct trial_run *run, const struct owner_stream *asked, struct trial_answer *answer) {
    static const unsigned refusals[] = {403, 302, 500, 404};
    const struct field *path = fields_find_name(&asked->stream.head.fields, BYTES("x-original-uri"));
    const bool is_allowed = path != NULL && bytes_equal(path->value, BYTES("/yes"));
    answer->status = is_allowed ? 200 : refusals[trial_below(run, 4)];
    answer->fields = "x-user: me\n";
}

// ---- agents in a dry run: questions that outlive requests, documents and workers

static const struct trial_request of_dry_run[] = {
    {.text = "GET a /yes\nx-user: mine\n", .fate = PASSES_ALWAYS},
    {.text = "POST a /yes\nx-user: mine\n", .has_body = true, .fate = PASSES_ALWAYS},
    {.text = "GET a /no\nx-user: mine\n", .fate = PASSES_ALWAYS},
    {.text = "POST a /no\nx-user: mine\n", .has_body = true, .fate = PASSES_ALWAYS},
};

static inline void expect_clients_user(struct trial_run *run, const struct trial_exchange *exchange, const struct owner_stream *asked,
                                       unsigned port) {
    unsigned fields = 0, own = 0;
    FIELDS_EACH(&asked->stream.head.fields, field) {
        fields += bytes_equal(field->name, BYTES("x-user"));
        own += bytes_equal(field->name, BYTES("x-user")) && bytes_equal(field->value, BYTES("mine"));
    }
    if (port == 8009 && (fields != 1 || own != 1))
        trial_failed(run, exchange, "a dry run has changed what the client said");
}

// The answers that came and say no.
static inline uint64_t refusals_said(const struct trial_run *run) {
    uint64_t refusals = 0;
    for (struct far_conn *conn = run->world.far.conns; conn != NULL; conn = conn->next)
        for (struct owner_stream *asked = conn->speaks ? conn->server.streams : NULL; asked != NULL; asked = asked->next) {
            const struct field *path = fields_find_name(&asked->stream.head.fields, BYTES("x-original-uri"));
            refusals += path != NULL && bytes_equal(path->value, BYTES("/no")) && asked->stream.sent == PROGRESS_ENDED;
        }
    return refusals;
}

// Of an agent in trouble, too, no more is counted than was asked.
static inline void check_shadow(struct trial_run *run) {
    struct policy_state *state =
        policy_state_find(run->world.states.shadow, BYTES("AuthorizationPolicy/default/x"), BYTES("all"), BYTES("Service default/a"));
    const uint64_t refusals = state == NULL ? 0 : atomic_load(&state->refusals);
    if (state != NULL)
        policy_state_release(state);
    if (refusals > run->watched.count)
        trial_failed(run, NULL, "a dry run has counted more than it was asked");
    if (!run->was_removed && !run->servers_trouble && !run->stopped && refusals != refusals_said(run))
        trial_failed(run, NULL, "a dry run has not counted what its agent refuses");
}

// ---- rules by what an agent makes

#define DENIES_USER(user) \
    OF_A("AuthorizationPolicy", "d", "  action: Deny\n  rules:\n  - {name: u, when: [{type: Header, name: x-user, values: [" user "]}]}\n")

static const struct trial_request of_users[] = {
    {.text = "GET a /me\nx-user: evil\n", .fate = {TRIAL_PASSES, TRIAL_REFUSED, TRIAL_PASSES}, .own = {403}},
    {.text = "POST a /me\n", .has_body = true, .fate = {TRIAL_PASSES, TRIAL_REFUSED, TRIAL_PASSES}, .own = {403}},
    {.text = "POST a /evil\nx-user: me\n", .has_body = true, .fate = {TRIAL_REFUSED, TRIAL_PASSES, TRIAL_PASSES}, .own = {403}},
    {.text = "GET a /no\nx-user: me\n", .fate = {TRIAL_REFUSED, TRIAL_REFUSED, TRIAL_REFUSED}, .own = {403}},
};

static inline void name_user(struct trial_run *run, const struct owner_stream *asked, struct trial_answer *answer) {
    (void)run;
    const struct field *path = fields_find_name(&asked->stream.head.fields, BYTES("x-original-uri"));
    if (path == NULL || bytes_equal(path->value, BYTES("/no")))
        answer->status = 403;
    else
        answer->fields = bytes_equal(path->value, BYTES("/me")) ? "x-user: me\n" : "x-user: evil\n";
}

// What an agent says of its own accord is nobody else's word: by version 0 and 1 the client's is not believed.
static inline void expect_agents_user(struct trial_run *run, const struct trial_exchange *exchange, const struct owner_stream *asked, unsigned port) {
    const struct field *user = fields_find_name(&asked->stream.head.fields, BYTES("x-user"));
    if (port == 8009 && exchange->version < 2 && (user == NULL || !bytes_equal(user->value, BYTES("me"))))
        trial_failed(run, exchange, "the application has not got what the agent said");
}

// ---- the table

static const struct trial access_trials[] = {
    {.name = "authorization",
     .filter = &filter_authorization,
     .listener = "inbound",
     .documents = {TRIAL_BESIDE RULES_WITH("/secret"), TRIAL_BESIDE RULES_WITH("/x"), TRIAL_BESIDE},
     ROWS(of_rules)},
    {.name = "authentication",
     .filter = &filter_authentication,
     .listener = "inbound",
     .waits = true,
     .asks = true,
     .documents = {TRIAL_BESIDE TOKENS_OF("  required: true\n", "i", "8003"), TRIAL_BESIDE TOKENS_OF("  required: true\n", "j", "8004"),
                   TRIAL_BESIDE},
     .prepare = make_tokens,
     .answer = answer_with_keys,
     ROWS(of_tokens)},
    {.name = "authorization_claims",
     .filter = &filter_authorization_claims,
     .with = {&filter_authentication},
     .listener = "inbound",
     .asks = true,
     .documents = {TRIAL_BESIDE TOKENS_OF("", "i", "8003") SCOPE("read"), TRIAL_BESIDE TOKENS_OF("", "i", "8003") SCOPE("write"),
                   TRIAL_BESIDE TOKENS_OF("", "i", "8003")},
     .prepare = make_tokens,
     .answer = answer_with_keys,
     ROWS(of_claims)},
    {.name = "authorization_agents",
     .filter = &filter_authorization_agents,
     .with = {&filter_external_authorization},
     .listener = "inbound",
     .asks = true,
     .documents = {TRIAL_BESIDE FORWARD_AT("8005", "10s") DENIES_USER("evil"), TRIAL_BESIDE FORWARD_AT("8005", "10s") DENIES_USER("me"),
                   TRIAL_BESIDE FORWARD_AT("8005", "10s")},
     .answer = name_user,
     ROWS(of_users)},
    {.name = "external_authorization",
     .filter = &filter_external_authorization,
     .listener = "inbound",
     .waits = true,
     .asks = true,
     .documents = {TRIAL_BESIDE OPA_AT("8005", "10s"), TRIAL_BESIDE OPA_AT("8006", "9s"), TRIAL_BESIDE},
     .answer = decide_as_opa,
     ROWS(of_agents)},
    {.name = "external_authorization by Forward",
     .filter = &filter_external_authorization,
     .listener = "inbound",
     .waits = true,
     .asks = true,
     .documents = {TRIAL_BESIDE FORWARD_AT("8005", "10s"), TRIAL_BESIDE FORWARD_AT("8006", "9s"), TRIAL_BESIDE},
     .answer = decide_as_proxy,
     .seen = expect_agents_user,
     ROWS(of_agents)},
    {.name = "external_authorization in a dry run",
     .filter = &filter_external_authorization,
     .listener = "inbound",
     .documents = {TRIAL_BESIDE DRY_RUN_OF(FORWARD("8005", "10s")), TRIAL_BESIDE DRY_RUN_OF(FORWARD("8006", "9s")), TRIAL_BESIDE},
     .answer = decide_as_proxy,
     .seen = expect_clients_user,
     .check = check_shadow,
     ROWS(of_dry_run)},
};

#endif
