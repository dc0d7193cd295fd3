// AuthenticationPolicy: the token of a request is looked for where its providers say, verified, and what it says stands for whoever decides behind (stream->claims) and for the application
// (claimsToHeaders). A bad token is refused always, a missing one where it is required. How a token is judged is in certs/jwt.h, where its keys come from in jwks.h.
#include "filters/registry.h"

#include "base/check.h"
#include "config/authentication_config.h"
#include "config/table.h"
#include "filters/jwks.h"
#include "filters/token_cache.h"
#include "http/form.h"
#include "http/headers.h"
#include "stream/claims.h"
#include "stream/explanation.h"
#include "stream/stream.h"
#include "stream/verdict.h"

#include <stdlib.h>

// What is remembered of one provider, by policy, provider and target.
struct provider_state {
    struct policy_state state;
    struct token_cache *cache;
    struct jwks *jwks;
};

struct authenticator {
    const struct authentication_config *config;
    struct policy_state **states; // of each provider
};

struct authenticated {
    bool has_begun;
    bool has_waited;
    struct jwks_waiter waiter;
};

// ---- what is remembered

static struct policy_state *create_state(const void *config) {
    (void)config;
    struct provider_state *state = alloc_zeroed_or_abort(1, sizeof *state);
    state->cache = token_cache_create();
    state->jwks = jwks_create();
    return &state->state;
}

static void destroy_state(struct policy_state *policy_state) {
    struct provider_state *state = CONTAINER_OF(policy_state, struct provider_state, state);
    token_cache_destroy(state->cache);
    jwks_unref(state->jwks);
    free(state);
}

static const struct policy_state_type state_type = {.create = create_state, .destroy = destroy_state};

// All that a token was judged by when it came into the cache.
static uint64_t form_of(const struct jwt_provider *provider) {
    uint64_t form = digest_bytes(digest_number(DIGEST_START, provider->keys_digest), provider->rules.issuer);
    form = digest_number(digest_number(form, provider->rules.algorithms), provider->rules.skew_s);
    for (uint32_t i = 0; i < provider->rules.audience_count; i++)
        form = digest_bytes(form, provider->rules.audiences[i]);
    return provider->url == NULL ? form : digest_bytes(form, provider->url->text);
}

static const void *configure(const struct filter_scope *scope, struct pool *pool) {
    struct authenticator *authenticator = pool_alloc_zeroed(pool, sizeof *authenticator);
    authenticator->config = scope->policy->config;
    authenticator->states = pool_alloc_zeroed(pool, authenticator->config->provider_count * sizeof authenticator->states[0]);
    for (uint32_t i = 0; i < authenticator->config->provider_count; i++) {
        const struct jwt_provider *provider = &authenticator->config->providers[i];
        authenticator->states[i] = filter_state_get(scope, provider->name, form_of(provider), &state_type, NULL);
    }
    return authenticator;
}

static void dispose(const void *config) {
    const struct authenticator *authenticator = config;
    policy_states_release(authenticator->states, authenticator->config->provider_count);
}

// ---- the token of a request

// What was found in a request: one token, for the providers that look there (a bit each).
struct found {
    struct bytes token;
    uint32_t providers;
    bool is_ambiguous; // there are two, and it is anybody's guess which of them others go by (RFC 6750 section 2)
};

static void add_found(struct found *found, uint32_t provider, struct bytes token) {
    found->is_ambiguous |= found->providers != 0 && !bytes_equal(found->token, token);
    found->token = token;
    found->providers |= UINT32_C(1) << provider;
}

// The name of a scheme is in any case (RFC 9110 section 11.1).
static void find_in_header(const struct head *request, const struct token_source *source, uint32_t provider, struct found *found) {
    FIELDS_EACH(&request->fields, field) {
        const size_t prefix = source->prefix.len;
        if (!field_name_reads_as(field->name, source->name) || field->value.len < prefix ||
            !bytes_equal_nocase(bytes_from(field->value.at, prefix), source->prefix))
            continue;
        add_found(found, provider, bytes_trim(bytes_from(field->value.at + prefix, field->value.len - prefix)));
        found->is_ambiguous |= !bytes_equal_nocase(field->name, source->name); // some take it for the same, others do not
    }
}

static void find_in_cookies(const struct head *request, const struct token_source *source, uint32_t provider, struct found *found) {
    for (const struct field *field = fields_find(&request->fields, FIELD_COOKIE); field != NULL; field = fields_find_next(&request->fields, field)) {
        struct bytes list = field->value, cookie;
        while (bytes_next(&list, ';', &cookie)) {
            const size_t equals = bytes_find(cookie, '=');
            if (equals < cookie.len && bytes_equal(bytes_from(cookie.at, equals), source->name))
                add_found(found, provider, bytes_from(cookie.at + equals + 1, cookie.len - equals - 1));
        }
    }
}

static void find_in_query(struct stream *stream, const struct token_source *source, uint32_t provider, struct found *found) {
    const struct bytes target = stream->request->path;
    const size_t mark = bytes_find(target, '?');
    struct form form;
    struct bytes value;
    if (mark == target.len)
        return;
    form_parse(&form, bytes_from(target.at + mark + 1, target.len - mark - 1), &stream->pool);
    if (!form_find(&form, source->name, &value))
        return;
    add_found(found, provider, value);
    found->is_ambiguous |= form_is_repeated(&form, source->name);
}

static struct found find_token(struct stream *stream, const struct authentication_config *config) {
    struct found found = {.token = BYTES_NONE};
    for (uint32_t i = 0; i < config->provider_count; i++)
        for (uint32_t j = 0; j < config->providers[i].from_count; j++) {
            const struct token_source *source = &config->providers[i].from[j];
            if (source->place == TOKEN_HEADER)
                find_in_header(stream->request, source, i, &found);
            else if (source->place == TOKEN_COOKIE)
                find_in_cookies(stream->request, source, i, &found);
            else
                find_in_query(stream, source, i, &found);
        }
    return found;
}

static uint32_t first_of(uint32_t providers) {
    return (uint32_t)__builtin_ctz(providers);
}

// Among those that look where it was found. False: none.
static bool provider_of(const struct authentication_config *config, const struct found *found, struct bytes issuer, uint32_t *index) {
    for (*index = 0; *index < config->provider_count; ++*index)
        if ((found->providers >> *index & 1) != 0 && bytes_equal(config->providers[*index].rules.issuer, issuer))
            return true;
    return false;
}

// ---- verdicts

// RFC 6750 section 3: what is wrong with the token, or that one is wanted.
static const struct fields *challenge(struct stream *stream, bool has_token, const char *reason) {
    struct fields *fields = pool_alloc_zeroed(&stream->pool, sizeof *fields);
    fields_init(fields, &stream->pool);
    fields_add(fields, BYTES("WWW-Authenticate"),
               has_token ? pool_format(&stream->pool, "Bearer error=\"invalid_token\", error_description=\"%s\"", reason) : BYTES("Bearer"));
    return fields;
}

static enum filter_result refuse(struct stream *stream, const struct authenticator *authenticator, uint32_t provider, bool has_bad_token,
                                 const char *reason) {
    return verdict_refuse(stream, &(struct verdict){.end = ERROR_UNAUTHENTICATED,
                                                    .rule = authenticator->config->providers[provider].name,
                                                    .reason = bytes_from_text(reason),
                                                    .state = authenticator->states[provider],
                                                    .fields = challenge(stream, has_bad_token, reason)});
}

// ---- headers of claims

static bool is_dry_run(const struct stream *stream) {
    return stream->filters.asked->is_dry_run;
}

// Whoever sent them.
static void take_off_headers(struct stream *stream, const struct authentication_config *config) {
    struct fields *fields = &stream->request->fields;
    FIELDS_EACH(fields, field) {
        if (authentication_takes_off(config, field->name))
            fields_remove_field(fields, field);
    }
}

// All values with commas between, the words of a scope with spaces. At NULL: the claim is not there, or no field can say it: no member of a list may have a comma of its own, which would make it
// two, also where it is the only one.
static struct bytes header_value(struct stream *stream, const struct claims *claims, struct bytes name) {
    const bool is_scope = bytes_equal(name, BYTES("scope")) || bytes_equal(name, BYTES("scp"));
    const struct claim *claim = claims_find(claims, name, NULL);
    struct bytes value = claim == NULL ? BYTES_NONE : pool_copy(&stream->pool, claim->value);
    bool is_list = claim != NULL && claim->is_listed;
    bool has_comma = bytes_find(value, ',') < value.len;
    while (claim != NULL && (claim = claims_find(claims, name, claim)) != NULL) {
        is_list = true;
        has_comma |= bytes_find(claim->value, ',') < claim->value.len;
        value = pool_format(&stream->pool, "%.*s%s%.*s", BYTES_FORMAT(value), is_scope ? " " : ",", BYTES_FORMAT(claim->value));
    }
    return is_field_value(value) && !(is_list && has_comma && !is_scope) ? value : BYTES_NONE;
}

static void set_headers(struct stream *stream, const struct jwt_provider *provider, const struct claims *claims) {
    for (uint32_t i = 0; i < provider->header_count; i++) {
        const struct bytes value = header_value(stream, claims, provider->headers[i].claim);
        if (value.at != NULL)
            fields_add(&stream->request->fields, pool_copy(&stream->pool, provider->headers[i].header), value);
    }
}

// ---- judging

static bool say_the_same(const struct claims *a, const struct claims *b) {
    bool is_same = a->count == b->count;
    for (uint32_t i = 0; is_same && i < a->count; i++)
        is_same = bytes_equal(a->all[i].name, b->all[i].name) && bytes_equal(a->all[i].value, b->all[i].value);
    return is_same;
}

static void drop_claims(void *argument) {
    claims_unref(argument);
}

// Takes over the reference, until the stream goes: at its end logs and metrics tell of claims.
static enum filter_result believe(struct stream *stream, const struct authenticator *authenticator, uint32_t index, struct claims *claims) {
    const struct jwt_provider *provider = &authenticator->config->providers[index];
    (void)pool_on_dispose(&stream->pool, drop_claims, claims);
    explain_rule(stream, provider->name);
    explain_text(stream, "issuer", provider->rules.issuer);
    explain_number(stream, "claims", claims->count);
    if (is_dry_run(stream))
        return FILTER_CONTINUE;
    if (stream->claims != NULL && !say_the_same(stream->claims, claims)) // of another policy
        return refuse(stream, authenticator, index, true, "another token than that of a policy before");
    stream->claims = claims;
    set_headers(stream, provider, claims);
    return FILTER_CONTINUE;
}

// Keys are lacking: waits for them once, or is refused. `*is_to_look_again`: others are there by now, and nothing was decided.
static enum filter_result await(struct stream *stream, const struct authenticator *authenticator, struct authenticated *authenticated, uint32_t index,
                                enum jwks_lack lack, uint64_t version, bool *is_to_look_again) {
    const struct jwt_provider *provider = &authenticator->config->providers[index];
    struct provider_state *state = CONTAINER_OF(authenticator->states[index], struct provider_state, state);
    if (stream_is_asked_about(stream)) {
        explain_depends(stream, provider->name, BYTES("the keys that are fetched for it"));
        return FILTER_CONTINUE;
    }
    const enum jwks_wait wait =
        authenticated->has_waited ? JWKS_LACKING : jwks_await(state->jwks, stream, provider, lack, version, &authenticated->waiter);
    *is_to_look_again = wait == JWKS_CHANGED;
    if (wait == JWKS_CHANGED)
        return FILTER_CONTINUE;
    if (wait == JWKS_COMING) {
        authenticated->has_waited = true;
        if (is_dry_run(stream))
            jwks_leave(&authenticated->waiter); // nobody waits, and nobody is to be woken
        return FILTER_PAUSE;
    }
    return lack == JWKS_NONE ? refuse(stream, authenticator, index, false, "there are no keys to verify it with")
                             : refuse(stream, authenticator, index, true, jwt_fault_text(JWT_KEY_UNKNOWN));
}

static enum filter_result verify_once(struct stream *stream, const struct authenticator *authenticator, struct authenticated *authenticated,
                                      uint32_t index, struct bytes token, const struct jwt *jwt, bool *is_to_look_again) {
    const struct jwt_provider *provider = &authenticator->config->providers[index];
    struct provider_state *state = CONTAINER_OF(authenticator->states[index], struct provider_state, state);
    uint64_t version = 0;
    struct jwk_set *keys = provider->url == NULL ? jwk_set_ref(provider->keys) : jwks_keys(state->jwks, stream->env->loop->now, &version);
    if (keys == NULL)
        return await(stream, authenticator, authenticated, index, JWKS_NONE, version, is_to_look_again);
    const enum jwt_fault fault = jwt_verify(jwt, keys);
    metric_add(&stream->env->metrics->tokens_verified, 1);
    jwk_set_unref(keys);
    if (fault == JWT_KEY_UNKNOWN && provider->url != NULL)
        return await(stream, authenticator, authenticated, index, JWKS_KEY_UNKNOWN, version, is_to_look_again);
    if (fault != JWT_GOOD)
        return refuse(stream, authenticator, index, true, jwt_fault_text(fault));
    struct claims *claims = claims_create(jwt->payload);
    if (claims == NULL)
        return refuse(stream, authenticator, index, true, "it says too much");
    token_cache_put(state->cache, token, version, jwt->expires_s + (int64_t)provider->rules.skew_s, claims);
    return believe(stream, authenticator, index, claims);
}

static enum filter_result verify(struct stream *stream, const struct authenticator *authenticator, struct authenticated *authenticated,
                                 uint32_t index, struct bytes token, const struct jwt *jwt) {
    bool is_to_look_again;
    enum filter_result result;
    do {
        is_to_look_again = false;
        result = verify_once(stream, authenticator, authenticated, index, token, jwt, &is_to_look_again);
    } while (is_to_look_again);
    return result;
}

// One that was verified a moment ago; NULL: it was not.
static struct claims *find_known(struct stream *stream, const struct authenticator *authenticator, const struct found *found, int64_t now_s,
                                 uint32_t *index) {
    const nanoseconds now = stream->env->loop->now;
    for (*index = 0; *index < authenticator->config->provider_count; ++*index) {
        const struct jwt_provider *provider = &authenticator->config->providers[*index];
        struct provider_state *state = CONTAINER_OF(authenticator->states[*index], struct provider_state, state);
        if ((found->providers >> *index & 1) == 0)
            continue;
        if (provider->url != NULL && !stream_is_asked_about(stream))
            jwks_refresh(state->jwks, stream, provider);
        const uint64_t version = provider->url == NULL ? 0 : jwks_version(state->jwks, now);
        struct claims *claims = provider->url != NULL && version == 0 ? NULL : token_cache_find(state->cache, found->token, version, now_s);
        if (claims != NULL)
            return claims;
    }
    return NULL;
}

static enum filter_result judge(struct stream *stream, const struct authenticator *authenticator, struct authenticated *authenticated,
                                const struct found *found) {
    const int64_t now_s = (int64_t)(loop_wall(stream->env->loop) / NS_PER_S);
    uint32_t index;
    struct claims *known = find_known(stream, authenticator, found, now_s, &index);
    if (known != NULL)
        return believe(stream, authenticator, index, known);
    struct jwt jwt;
    enum filter_result result;
    enum jwt_fault fault = jwt_read(found->token, &jwt);
    if (fault == JWT_GOOD && !provider_of(authenticator->config, found, jwt.issuer, &index))
        fault = JWT_ISSUER_WRONG;
    if (fault != JWT_GOOD)
        index = first_of(found->providers);
    else
        fault = jwt_judge(&jwt, &authenticator->config->providers[index].rules, now_s);
    if (fault == JWT_GOOD)
        result = verify(stream, authenticator, authenticated, index, found->token, &jwt);
    else
        result = refuse(stream, authenticator, index, true, jwt_fault_text(fault));
    jwt_dispose(&jwt);
    return result;
}

// ---- the slots

static enum filter_result decide(struct stream *stream, const void *config, void *state) {
    const struct authenticator *authenticator = config;
    struct authenticated *authenticated = state;
    if (!authenticated->has_begun) {
        authenticated->has_begun = true;
        list_init(&authenticated->waiter.link);
        if (!is_dry_run(stream))
            take_off_headers(stream, authenticator->config);
    }
    if (list_is_linked(&authenticated->waiter.link))
        return FILTER_PAUSE;                                              // something else has woken the stream
    const struct found found = find_token(stream, authenticator->config); // a connection without HTTP has none
    if (found.is_ambiguous)
        return refuse(stream, authenticator, first_of(found.providers), true, "more than one token");
    if (found.providers != 0)
        return judge(stream, authenticator, authenticated, &found);
    return authenticator->config->required ? refuse(stream, authenticator, 0, false, "no token") : FILTER_CONTINUE;
}

static void end(struct stream *stream, const void *config, void *state) {
    (void)stream;
    (void)config;
    struct authenticated *authenticated = state;
    if (authenticated->has_begun)
        jwks_leave(&authenticated->waiter);
}

const struct filter_type filter_authentication = {
    .name = "authentication",
    .state_size = sizeof(struct authenticated),
    .ends_without_config = true,
    .needs_testimony = true,
    .policy = POLICY_AUTHENTICATION,
    .configure = configure,
    .ops = {.decide = decide, .end = end, .dispose = dispose},
};
