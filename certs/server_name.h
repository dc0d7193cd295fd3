// A name that a server outside the mesh is expected to have, and whether a certificate is for it (RFC 9525): by its subject alternative names alone. Pure.
#ifndef CERTS_SERVER_NAME_H
#define CERTS_SERVER_NAME_H

#include "base/bytes.h"

#include <openssl/x509.h>
#include <stdbool.h>

enum server_name_type {
    SERVER_NAME_HOST,    // of DNS; a certificate's "*.example.com" is for what has one label more
    SERVER_NAME_ADDRESS, // an IP address as text, with no brackets
    SERVER_NAME_URI      // the very same octets (RFC 6125 section 6.5 has no more than a scheme and a host; SPIFFE compares all)
};

struct server_name {
    enum server_name_type type;
    struct bytes text; // NUL behind it
};

bool server_name_is_of(const struct server_name *name, X509 *certificate);

#endif
