// Where an endpoint is: an IP address and a port, in as few bytes as that takes, since a service may have ten thousand of them.
#ifndef CONFIG_ENDPOINT_ADDRESS_H
#define CONFIG_ENDPOINT_ADDRESS_H

#include "base/bytes.h"

#include <stdint.h>
#include <sys/socket.h>

struct endpoint_address {
    unsigned char ip[16]; // IPv4: the first four, the rest zero
    uint16_t port;        // in the host's order
    uint8_t version;      // 4 or 6
    uint8_t zero;         // so that equal addresses are equal bytes
};

// Where an endpoint is as a document says it: an address, or a name that has some.
struct endpoint_place {
    struct endpoint_address address; // with a name the port alone; 0: none was written
    struct bytes name;               // empty: it is the address
};

// Of an IPv4 or IPv6 socket address; another family is a mistake of ours.
struct endpoint_address endpoint_address_of(const struct sockaddr_storage *from);

// Returns its length.
socklen_t endpoint_address_to_socket(const struct endpoint_address *address, struct sockaddr_storage *to);

// "10.0.0.5:80" or "[::1]:80", with a NUL behind it. Returns the length.
#define ENDPOINT_ADDRESS_TEXT_MAX 64
size_t endpoint_address_print(const struct endpoint_address *address, char text[ENDPOINT_ADDRESS_TEXT_MAX]);

// Its bytes, for comparing and hashing. Borrowed.
static inline struct bytes endpoint_address_bytes(const struct endpoint_address *address) {
    return bytes_from((const char *)address, sizeof *address);
}

#endif
