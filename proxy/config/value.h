// The forms of values in documents: durations, sizes, whole numbers, addresses, names. Text to value and back; pure.
#ifndef CONFIG_VALUE_H
#define CONFIG_VALUE_H

#include "base/clock.h"
#include "config/snapshot.h"

#include <stdbool.h>

// All return false on anything that is not the form exactly.

// GEP-2257: ([0-9]{1,5}(h|m|s|ms)){1,4}
bool duration_parse(struct bytes text, nanoseconds *duration);

// Digits with Ki, Mi, Gi, Ti, k, M, G, T or nothing behind.
bool quantity_parse(struct bytes text, uint64_t *bytes);

// Decimal, no sign, no leading zeros (which YAML 1.1 takes for octal).
bool integer_parse(struct bytes text, uint64_t *number);

enum address_form { ADDRESS_PORT = 0, ADDRESS_PORT_OPTIONAL = 1, ADDRESS_UNIX = 2, ADDRESS_NAME = 4 };

// "127.0.0.1:8000", "[::1]:80"; with ADDRESS_PORT_OPTIONAL the port may be left out (then it is 0); with ADDRESS_UNIX "unix:/path" too; with ADDRESS_NAME a host name in the place
// of the IP address, which leaves `length` at 0. `text` is borrowed.
bool address_parse(struct bytes text, unsigned forms, struct socket_address *address);

// An address or name of an endpoint, with or without port; `text` is borrowed.
bool endpoint_place_parse(struct bytes text, struct endpoint_place *place);

// Of an IP address, in the host's order; 0 for a Unix socket.
uint16_t address_port(const struct socket_address *address);
void address_set_port(struct socket_address *address, uint16_t port);

// RFC 1123: a label; labels with dots between them.
bool is_label(struct bytes text);
bool is_subdomain(struct bytes text);

// In the shortest form that reads well: "1m30s", "64Ki". At most FORMAT_MAX bytes with the NUL.
#define FORMAT_MAX 48
void duration_format(nanoseconds duration, char text[FORMAT_MAX]);
void quantity_format(uint64_t bytes, char text[FORMAT_MAX]);

#endif
