// The keys that seal session tickets, for tls_session.c: see tls.h for their life.
#ifndef NET_TLS_TICKET_KEYS_H
#define NET_TLS_TICKET_KEYS_H

#include "base/clock.h"
#include "net/tls.h"

#include <openssl/crypto.h>
#include <stdbool.h>

#define TICKET_KEY_LIFE (UINT64_C(3600) * NS_PER_S) // a key seals for this long, and opens for as long again
#define TICKET_NAME_SIZE 16
#define TICKET_SECRET_SIZE 32

struct ticket_key {
    unsigned char name[TICKET_NAME_SIZE];
    unsigned char cipher_secret[TICKET_SECRET_SIZE];
    unsigned char mac_secret[TICKET_SECRET_SIZE];
    nanoseconds made_at;
    bool valid;
};

// A copy of the key to seal with now; a new one when the current one is an hour old.
void ticket_keys_sealing(struct ticket_keys *keys, nanoseconds now, struct ticket_key *copy);
// False when no key of that name is still good.
bool ticket_keys_opening(struct ticket_keys *keys, nanoseconds now, const unsigned char name[TICKET_NAME_SIZE], struct ticket_key *copy);

// A library context with no algorithm at all, for as long as a ticket is opened or sealed: tls_session.c says why.
OSSL_LIB_CTX *ticket_keys_bare_library(const struct ticket_keys *keys);

#endif
