// An endpoint's address to and from the forms that sockets and people use.
#include "config/endpoint_address.h"

#include "base/check.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

_Static_assert(sizeof(struct endpoint_address) == 20, "no padding: addresses are compared by their bytes");

struct endpoint_address endpoint_address_of(const struct sockaddr_storage *from) {
    struct endpoint_address address = {.version = 4};
    if (from->ss_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, from, sizeof v4);
        memcpy(address.ip, &v4.sin_addr, sizeof v4.sin_addr);
        address.port = ntohs(v4.sin_port);
        return address;
    }
    CHECK(from->ss_family == AF_INET6);
    struct sockaddr_in6 v6;
    memcpy(&v6, from, sizeof v6);
    memcpy(address.ip, &v6.sin6_addr, sizeof v6.sin6_addr);
    address.port = ntohs(v6.sin6_port);
    address.version = 6;
    return address;
}

socklen_t endpoint_address_to_socket(const struct endpoint_address *address, struct sockaddr_storage *to) {
    memset(to, 0, sizeof *to);
    if (address->version == 4) {
        struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(address->port)};
        memcpy(&v4.sin_addr, address->ip, sizeof v4.sin_addr);
        memcpy(to, &v4, sizeof v4);
        return sizeof v4;
    }
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(address->port)};
    memcpy(&v6.sin6_addr, address->ip, sizeof v6.sin6_addr);
    memcpy(to, &v6, sizeof v6);
    return sizeof v6;
}

size_t endpoint_address_print(const struct endpoint_address *address, char text[ENDPOINT_ADDRESS_TEXT_MAX]) {
    char ip[INET6_ADDRSTRLEN];
    const char *printed = inet_ntop(address->version == 4 ? AF_INET : AF_INET6, address->ip, ip, sizeof ip);
    CHECK(printed != NULL);
    return (size_t)snprintf(text, ENDPOINT_ADDRESS_TEXT_MAX, address->version == 4 ? "%s:%u" : "[%s]:%u", ip, address->port);
}
