// An AuthenticationPolicy as a snapshot has it: whose tokens are taken, where they stand in a request, and what headers are made of them.
#ifndef CONFIG_AUTHENTICATION_CONFIG_H
#define CONFIG_AUTHENTICATION_CONFIG_H

#include "base/clock.h"
#include "certs/jwt.h"
#include "config/snapshot.h"
#include "config/url_service.h"

#define JWT_PROVIDERS_MAX 16
#define JWT_SOURCES_MAX 8

enum token_place { TOKEN_HEADER, TOKEN_COOKIE, TOKEN_QUERY };

struct token_source {
    enum token_place place;
    struct bytes name;
    struct bytes prefix; // of a header's value, in any case: "Bearer "
};

struct claim_header {
    struct bytes claim, header;
};

struct jwt_provider {
    struct bytes name;
    struct jwt_rules rules;
    struct token_source *from;
    uint32_t from_count;
    struct claim_header *headers;
    uint32_t header_count;
    const struct service_url *url; // where its keys are fetched; NULL: they are
    struct jwk_set *keys;          // out of a file
    uint64_t keys_digest;          // of that
    nanoseconds timeout;           // of a fetch
    nanoseconds cache_for;         // fetched keys are fresh for so long, where the answer does not say
    nanoseconds keep_for;          // and stay in use for so long behind that, where fetching fails
};

struct authentication_config {
    struct jwt_provider *providers;
    uint32_t provider_count;
    bool required;
};

// Whether requests get that header from the policy alone: any provider's claimsToHeaders has it. In any case, and with `_` for `-`, since what reads CGI's variables takes the one for the other.
bool authentication_takes_off(const struct authentication_config *config, struct bytes name);

// Whether a policy that acts on `destination`, and is in no dry run, does so: what it holds is not known before the token is.
bool authentication_makes_header(const struct destination *destination, struct bytes name);

#endif
