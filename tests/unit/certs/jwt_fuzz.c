// Tokens of anybody: nothing but what was signed is good, whatever comes, and what was read is what stands there.
#include "certs/jwt.h"

#include "base/check.h"

#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>

// The key of RFC 8037 appendix A: nobody who fuzzes has its other half.
static struct jwk_set *keys_of_issuer(void) {
    const char *wrong;
    struct jwk_set *keys = jwk_set_read(
        BYTES("{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"k\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}"), &wrong);
    CHECK(keys != NULL && keys->count == 1);
    return keys;
}

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t size) {
    static struct jwk_set *keys;
    if (keys == NULL)
        keys = keys_of_issuer();
    const void *text = octets;
    const struct bytes token = bytes_from(text, size);
    const struct jwt_rules rules = {.algorithms = UINT32_MAX, .issuer = BYTES("https://id.example"), .skew_s = 60};
    struct jwt jwt;
    const enum jwt_fault fault = jwt_read(token, &jwt);
    if (fault == JWT_GOOD) {
        CHECK(json_is_object(jwt.header) && json_is_object(jwt.payload));
        CHECK(jwt.signed_part.at == token.at && jwt.signed_part.len < token.len && token.at[jwt.signed_part.len] == '.');
        CHECK(jwt.signature_length > 0 && jwt.algorithm < JWT_ALGORITHM_COUNT);
        CHECK(json_object_get(jwt.header, "crit") == NULL);
        const enum jwt_fault judged = jwt_judge(&jwt, &rules, 1800000000);
        CHECK(judged != JWT_GOOD || (jwt.has_expiry && jwt.expires_s > 1800000000 - 60));
        CHECK(jwt_verify(&jwt, keys) != JWT_GOOD);
    }
    jwt_dispose(&jwt);
    return 0;
}
