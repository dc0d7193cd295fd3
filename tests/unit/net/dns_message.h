// Messages of a name server, written by hand: for the tests of what reads them.
#ifndef TESTS_NET_DNS_MESSAGE_H
#define TESTS_NET_DNS_MESSAGE_H

#include "base/check.h"
#include "net/dns_answer.h"

#include <arpa/inet.h>

struct dns_message {
    unsigned char bytes[8192];
    size_t length;
};

static inline void put_8(struct dns_message *message, unsigned value) {
    CHECK(message->length < sizeof message->bytes);
    message->bytes[message->length++] = (unsigned char)value;
}

static inline void put_16(struct dns_message *message, unsigned value) {
    put_8(message, value >> 8 & 0xff);
    put_8(message, value & 0xff);
}

static inline void put_32(struct dns_message *message, uint32_t value) {
    put_16(message, value >> 16);
    put_16(message, value & 0xffff);
}

static inline void put_name(struct dns_message *message, const char *name) {
    struct bytes rest = bytes_from_text(name);
    struct bytes label;
    while (bytes_next(&rest, '.', &label)) {
        put_8(message, (unsigned)label.len);
        for (size_t i = 0; i < label.len; i++)
            put_8(message, (unsigned char)label.at[i]);
    }
    put_8(message, 0);
}

// A header that says `records` answers follow, and one question.
static inline void put_header(struct dns_message *message, unsigned id, unsigned flags, unsigned records, const char *name, enum dns_type type) {
    message->length = 0;
    put_16(message, id);
    put_16(message, flags);
    put_16(message, 1);
    put_16(message, records);
    put_16(message, 0);
    put_16(message, 0);
    put_name(message, name);
    put_16(message, (unsigned)type);
    put_16(message, 1);
}

// The fixed part of a record whose name is the question's, by a pointer to it.
static inline void put_fixed(struct dns_message *message, enum dns_type type, uint32_t ttl_s, unsigned length) {
    put_16(message, 0xc00c);
    put_16(message, (unsigned)type);
    put_16(message, 1);
    put_32(message, ttl_s);
    put_16(message, length);
}

static inline void put_a(struct dns_message *message, const char *address, uint32_t ttl_s) {
    struct in_addr v4;
    CHECK(inet_pton(AF_INET, address, &v4) == 1);
    put_fixed(message, DNS_TYPE_A, ttl_s, sizeof v4);
    put_32(message, ntohl(v4.s_addr));
}

static inline void put_aaaa(struct dns_message *message, const char *address, uint32_t ttl_s) {
    struct in6_addr v6;
    CHECK(inet_pton(AF_INET6, address, &v6) == 1);
    put_fixed(message, DNS_TYPE_AAAA, ttl_s, sizeof v6);
    for (size_t i = 0; i < sizeof v6; i++)
        put_8(message, v6.s6_addr[i]);
}

static inline void put_srv(struct dns_message *message, unsigned priority, unsigned weight, unsigned port, const char *target, uint32_t ttl_s) {
    struct dns_message name = {.length = 0};
    put_name(&name, target);
    put_fixed(message, DNS_TYPE_SRV, ttl_s, (unsigned)(6 + name.length));
    put_16(message, priority);
    put_16(message, weight);
    put_16(message, port);
    put_name(message, target);
}

#endif
