// Kind AuthenticationPolicy: whose tokens requests may carry, and whether they must. Its table, and the rules between its fields.
#include "config/resource_authentication.h"

#include "config/content.h"
#include "http/headers.h"

#define SOURCE(member) ROW_AT(struct token_source, member)
#define HEADER(member) ROW_AT(struct claim_header, member)
#define PROVIDER(member) ROW_AT(struct jwt_provider_spec, member)
#define SPEC(member) ROW_AT(struct authentication_spec, member)
#define MINUTE (60 * NS_PER_S)
#define DAY (24 * 60 * MINUTE)

static const struct choice places[] = {{"Header", TOKEN_HEADER, false, "a header, behind `prefix`"},
                                       {"Cookie", TOKEN_COOKIE, false, "a cookie"},
                                       {"Query", TOKEN_QUERY, false, "a parameter of the query; logs of others may keep it"},
                                       {0}};
static const struct row source_rows[] = {
    {.name = "type", .type = VALUE_ENUM, SOURCE(place), .choices = places, .is_required = true, .describes = "where in the request"},
    {.name = "name", .type = VALUE_TEXT, SOURCE(name), .is_required = true, .describes = "which header, cookie or parameter"},
    {.name = "prefix",
     .type = VALUE_TEXT,
     SOURCE(prefix),
     .describes = "Header: what stands before the token, in any case; a value without it is no token"},
    {0}};
static const struct table source_table = {.describes = "where a token may stand", .rows = source_rows, .size = sizeof(struct token_source)};

static const struct row header_rows[] = {{.name = "claim",
                                          .type = VALUE_TEXT,
                                          HEADER(claim),
                                          .is_required = true,
                                          .describes = "by its name; members of objects with dots between: realm_access.roles"},
                                         {.name = "header",
                                          .type = VALUE_TEXT,
                                          HEADER(header),
                                          .is_required = true,
                                          .describes = "taken off every request, whoever sent it, and set where the token has the claim"},
                                         {0}};
static const struct table header_table = {
    .describes = "a header that the application gets", .rows = header_rows, .size = sizeof(struct claim_header), .unique_key = "header"};

static const struct row jwks_rows[] = {
    {.name = "uri", .type = VALUE_TEXT, PROVIDER(uri), .describes = "where the keys are fetched, http or https; redirects are not followed"},
    {.name = "file", .type = VALUE_PATH, PROVIDER(file), .describes = "or the file that they are in; what is written to it holds at once"},
    {.name = "timeout",
     .type = VALUE_DURATION,
     PROVIDER(provider.timeout),
     .min = 10 * NS_PER_MS,
     .max = 30 * NS_PER_S,
     .fallback = "2s",
     .describes = "uri: a fetch may take so long, and requests that cannot do without it wait so long"},
    {.name = "cacheFor",
     .type = VALUE_DURATION,
     PROVIDER(provider.cache_for),
     .min = NS_PER_S,
     .max = DAY,
     .fallback = "10m",
     .describes = "uri: keys are fresh for so long where the answer has no Cache-Control: max-age; that counts from 1m to 24h. They are fetched anew "
                  "before that is over, and at once, every 10s at most, for a key that is not among them"},
    {.name = "keepFor",
     .type = VALUE_DURATION,
     PROVIDER(provider.keep_for),
     .max = 31 * DAY,
     .fallback = "1h",
     .describes = "uri: where fetching fails they stay in use for so long behind that; then no token is good"},
    {0}};
static const struct table jwks_table = {.describes = "the issuer's public keys: a JWK Set", .rows = jwks_rows};

#define ALGORITHM(number) offsetof(struct jwt_provider_spec, algorithms[number])
static const struct choice algorithms[] = {{"RS256", ALGORITHM(JWT_RS256), false, "RSA, PKCS #1 v1.5"},
                                           {"RS384", ALGORITHM(JWT_RS384), false, "the same"},
                                           {"RS512", ALGORITHM(JWT_RS512), false, "the same"},
                                           {"PS256", ALGORITHM(JWT_PS256), false, "RSA, PSS"},
                                           {"PS384", ALGORITHM(JWT_PS384), false, "the same"},
                                           {"PS512", ALGORITHM(JWT_PS512), false, "the same"},
                                           {"ES256", ALGORITHM(JWT_ES256), false, "ECDSA, P-256"},
                                           {"ES384", ALGORITHM(JWT_ES384), false, "ECDSA, P-384"},
                                           {"ES512", ALGORITHM(JWT_ES512), false, "ECDSA, P-521"},
                                           {"EdDSA", ALGORITHM(JWT_EDDSA), false, "Ed25519"},
                                           {0}};
static const struct row provider_rows[] = {
    {.name = "name", .type = VALUE_LABEL, PROVIDER(provider.name), .is_required = true, .describes = "what responses, logs and metrics call it"},
    {.name = "issuer",
     .type = VALUE_TEXT,
     PROVIDER(provider.rules.issuer),
     .is_required = true,
     .describes = "its tokens have exactly this `iss`; a token is judged by the provider of its issuer"},
    {.name = "audiences",
     .type = VALUE_LIST,
     .item = VALUE_TEXT,
     ROW_LIST(struct jwt_provider_spec, audiences, provider.rules.audience_count),
     .min = 1,
     .max = 32,
     .describes = "one of these is among the token's `aud`; by default any token of the issuer is taken, whomever it is for"},
    {.name = "jwks", .type = VALUE_OBJECT, .object = &jwks_table, .is_required = true, .describes = "the issuer's public keys: a JWK Set"},
    {.name = "from",
     .type = VALUE_LIST,
     .item = VALUE_OBJECT,
     .object = &source_table,
     ROW_LIST(struct jwt_provider_spec, provider.from, provider.from_count),
     .min = 1,
     .max = JWT_SOURCES_MAX,
     .describes = "where the token may stand; by default in Authorization, behind \"Bearer \""},
    {.name = "claimsToHeaders",
     .type = VALUE_LIST,
     .item = VALUE_OBJECT,
     .object = &header_table,
     ROW_LIST(struct jwt_provider_spec, provider.headers, provider.header_count),
     .max = 32,
     .describes = "what the application is told of the token"},
    {.name = "algorithms",
     .type = VALUE_FLAGS,
     .choices = algorithms,
     .width = sizeof(bool),
     .fallback = "RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA",
     .describes = "how tokens may be signed; each only with a key of its own type"},
    {.name = "clockSkew",
     .type = VALUE_DURATION,
     PROVIDER(clock_skew),
     .max = 10 * MINUTE,
     .fallback = "60s",
     .describes = "the issuer's clock may be ahead or behind by so much"},
    {0}};
static const struct table provider_table = {
    .describes = "an issuer of tokens", .rows = provider_rows, .size = sizeof(struct jwt_provider_spec), .unique_key = "name"};

static const struct row authentication_rows[] = {
    TARGET_REFS_ROW,
    POLICY_MODE_ROW("whether requests are refused, or it is only told which would be; in a dry run nobody sees the claims"),
    {.name = "jwt",
     .type = VALUE_LIST,
     .item = VALUE_OBJECT,
     .object = &provider_table,
     ROW_LIST(struct authentication_spec, providers, provider_count),
     .min = 1,
     .max = JWT_PROVIDERS_MAX,
     .is_required = true,
     .describes = "whose tokens are taken"},
    {.name = "required",
     .type = VALUE_BOOL,
     SPEC(required),
     .fallback = "false",
     .describes = "whether a request without a token is refused; one with a bad token always is"},
    {0}};
const struct table authentication_table = {.describes = "who a request is from, by the token (JWT) that it carries: 401 where that is bad",
                                           .rows = authentication_rows,
                                           .size = sizeof(struct authentication_spec)};

// ---- rules between fields

static void check_sources(struct document *document, const struct jwt_provider *provider, const struct node *list) {
    for (uint32_t i = 0; i < provider->from_count; i++) {
        const struct token_source *source = &provider->from[i];
        const struct node *node = node_item(list, i), *name = node_find(node, "name");
        if (!document_has(node, "type") || !document_has(node, "name"))
            continue;
        if (source->place != TOKEN_QUERY && !is_token(source->name))
            document_error(document, name, NULL, "\"%.*s\" is no name that a header or cookie can have", BYTES_FORMAT(source->name));
        if (source->place != TOKEN_HEADER && node_find(node, "prefix") != NULL)
            document_error(document, node_find(node, "prefix"), NULL, "is for type Header alone");
    }
}

static void check_headers(struct document *document, const struct jwt_provider *provider, const struct node *list) {
    for (uint32_t i = 0; i < provider->header_count; i++) {
        const struct node *header = node_find(node_item(list, i), "header");
        const struct bytes name = provider->headers[i].header;
        const enum field_id id = field_id_of(name);
        if (header == NULL || header->bad)
            continue;
        if (!is_token(name))
            document_error(document, header, NULL, "\"%.*s\" is no name of a field", BYTES_FORMAT(name));
        else if (id != FIELD_OTHER && !field_may_trail(id))
            document_error(document, header, NULL, "%.*s has a meaning of its own; allowed: x-user-id, as an example", BYTES_FORMAT(name));
    }
}

static void check_jwks(struct document *document, const struct jwt_provider_spec *spec, const struct node *node) {
    static const char *const of_fetching[] = {"timeout", "cacheFor", "keepFor"};
    const struct node *uri = node_find(node, "uri"), *file = node_find(node, "file");
    if (node == NULL || node->bad)
        return;
    if ((uri == NULL) == (file == NULL))
        document_error(document, node, uri == NULL ? "uri" : NULL, uri == NULL ? "is required, or file" : "has uri and file; allowed: one of them");
    url_check(document, spec->uri, uri);
    for (size_t i = 0; file != NULL && i < sizeof of_fetching / sizeof of_fetching[0]; i++)
        if (node_find(node, of_fetching[i]) != NULL)
            document_error(document, node_find(node, of_fetching[i]), NULL, "is for uri alone");
}

// The provider of a token is found by its issuer.
static void check_issuer(struct document *document, const struct authentication_spec *spec, uint32_t index, const struct node *node) {
    for (uint32_t i = 0; i < index; i++)
        if (document_has(node, "issuer") && bytes_equal(spec->providers[i].provider.rules.issuer, spec->providers[index].provider.rules.issuer))
            document_error(document, node_find(node, "issuer"), NULL, "is that of %.*s too; allowed: one provider for an issuer",
                           BYTES_FORMAT(spec->providers[i].provider.name));
}

void authentication_check(struct document *document) {
    struct authentication_spec *spec = document->spec;
    const struct node *list = node_find(document->spec_node, "jwt");
    targets_check(document);
    for (uint32_t i = 0; i < spec->provider_count; i++) {
        const struct node *node = node_item(list, i);
        const struct jwt_provider *provider = &spec->providers[i].provider;
        check_issuer(document, spec, i, node);
        check_sources(document, provider, node_find(node, "from"));
        check_headers(document, provider, node_find(node, "claimsToHeaders"));
        check_jwks(document, &spec->providers[i], node_find(node, "jwks"));
    }
}

void authentication_check_files(struct document *document) {
    const struct authentication_spec *spec = document->spec;
    for (uint32_t i = 0; i < spec->provider_count; i++) {
        const struct content *content = spec->providers[i].file.len == 0 ? NULL : content_read(document->loading, spec->providers[i].file);
        const char *wrong;
        if (content == NULL || content->text.at == NULL)
            continue; // that it cannot be read has been told
        struct jwk_set *keys = jwk_set_read(content->text, &wrong);
        if (keys != NULL) {
            jwk_set_unref(keys);
            continue;
        }
        document_revive(document);
        const struct node *jwks = node_find(node_item(node_find(document->spec_node, "jwt"), i), "jwks");
        document_error(document, node_find(jwks, "file"), NULL, "%.*s is no JWK Set: %s", BYTES_FORMAT(content->path), wrong);
    }
}

uint32_t authentication_urls(const void *spec_pointer, struct bytes *urls) {
    const struct authentication_spec *spec = spec_pointer;
    uint32_t count = 0;
    for (uint32_t i = 0; i < spec->provider_count; i++)
        if (spec->providers[i].uri.len > 0)
            urls[count++] = spec->providers[i].uri;
    return count;
}
