// What an answer of a name server says (RFC 1035 section 4, RFC 2782): the records of one type out of the bytes that c-ares hands over. Pure; used by net/dns.
#ifndef NET_DNS_ANSWER_H
#define NET_DNS_ANSWER_H

#include "base/error.h"
#include "base/pool.h"

#include <netinet/in.h>

// As in the protocol.
enum dns_type { DNS_TYPE_A = 1, DNS_TYPE_CNAME = 5, DNS_TYPE_AAAA = 28, DNS_TYPE_SRV = 33 };

// Of one answer; the rest is left out. A message over TCP could hold some 4,000.
#define DNS_RECORDS_MAX 1024

// A name as text, without a dot at its end.
#define DNS_NAME_MAX 253

struct dns_record {
    enum dns_type type;
    struct in_addr v4;
    struct in6_addr v6;
    uint16_t priority, weight, port; // SRV
    struct bytes target;             // SRV, lower-case, no dot at its end; empty: "the service is decidedly not available" (RFC 2782)
};

struct dns_answer {
    struct dns_record *records;
    uint32_t count;
    uint32_t ttl_s; // the least of the records and of the aliases that lead to them; UINT32_MAX where there is none
};

// Records of `type` of class IN, in the order of the message. ERROR_PROTOCOL where the message is cut short or a record says of itself what cannot be; records and texts lie in
// `pool`. An SRV record whose target is no host name is passed over.
MUST_CHECK enum error dns_answer_read(const unsigned char *message, size_t length, enum dns_type type, struct pool *pool, struct dns_answer *answer);

// Letters, digits, '-', '_' and dots between labels of 1 to 63 of them, at most DNS_NAME_MAX.
bool dns_name_is_plain(struct bytes name);

#endif
