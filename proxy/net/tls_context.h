// How credentials of each kind, of the mesh, of an edge and toward origins, are made of OpenSSL's contexts: what tls_credentials.c, tls_edge.c and tls_origin.c share. Theirs alone.
#ifndef NET_TLS_CONTEXT_H
#define NET_TLS_CONTEXT_H

#include "net/tls_private.h"

void tls_edge_destroy(struct tls_edge *edge); // NULL is none

// With all but contexts, certificates and bundle.
struct credentials *credentials_allocate(struct ticket_keys *keys, uint64_t generation);

enum tls_context_use { TLS_CONTEXT_MESH, TLS_CONTEXT_EDGE, TLS_CONTEXT_ORIGIN };
SSL_CTX *tls_context_create(enum tls_context_use use);
void tls_context_choose_protocols(SSL_CTX *server);
enum error tls_context_use_certificate(SSL_CTX *context, STACK_OF(X509) *certificates, EVP_PKEY *key, char *reason, size_t reason_size);

#endif
