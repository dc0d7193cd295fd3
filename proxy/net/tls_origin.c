// Credentials toward servers outside the mesh (origins): a context that has no certificate of its own, and the CA set that theirs must lead to.
#include "net/tls_context.h"

#include "base/check.h"

struct credentials *credentials_create_origin(struct ca_set *authorities, uint64_t generation) {
    CHECK(ca_set_count(authorities) > 0);
    struct credentials *made = credentials_allocate(NULL, generation);
    made->authorities = authorities;
    made->not_after = INT64_MAX; // there is no leaf
    ca_set_digest(authorities, made->digest);
    made->client = tls_context_create(TLS_CONTEXT_ORIGIN);
    SSL_CTX_set_verify(made->client, SSL_VERIFY_PEER, NULL);
    tls_sessions_attach_client(made->client);
    return made;
}
