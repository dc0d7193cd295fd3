// How a server outside the mesh is reached by TLS (tls.mode Simple), as a snapshot has it.
#ifndef CONFIG_ORIGIN_CONFIG_H
#define CONFIG_ORIGIN_CONFIG_H

#include "certs/server_name.h"
#include "config/place.h"

#include <stdint.h>

// Certificates of authorities that servers' must lead to: all of these files together. Once for all services that name the same files in the same order.
struct ca_set_config {
    struct bytes key;          // of the files: what was made of them is found by it
    const struct bytes *files; // NUL behind each
    uint32_t file_count;
    const char *document; // the first that names it
    struct place place;
    struct ca_set_config *next;
};

struct origin_config {
    struct bytes server_name;        // that it is asked for (SNI), NUL behind it; empty: none
    const struct server_name *names; // its certificate must be for one of them
    uint32_t name_count;
    const struct ca_set_config *authorities;
    struct bytes key; // of all that: equal for what is alike, and for that alone
};

#endif
