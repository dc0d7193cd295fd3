// Which names a name may stand for: the search domains of resolv.conf(5). c-ares would search for A and for AAAA apart from each other, and might find the one in another
// domain than the other; here both are asked of one name before the next. Used by net/dns.
#ifndef NET_DNS_SEARCH_H
#define NET_DNS_SEARCH_H

#include "base/error.h"
#include "base/pool.h"

// As glibc since 2.26, whose bound is the file's length: more than anybody has.
#define DNS_SEARCH_DOMAINS_MAX 32
#define DNS_SEARCH_FILE_MAX 16384

struct dns_search {
    struct bytes domains[DNS_SEARCH_DOMAINS_MAX];
    uint32_t count;
    uint32_t ndots; // a name with so many dots is asked for as it is first
    char text[DNS_SEARCH_FILE_MAX];
};

// What a text in the form of resolv.conf says; `text` is cut to DNS_SEARCH_FILE_MAX and copied.
void dns_search_parse(struct dns_search *search, struct bytes text);

// What the file says. False, with errno, where it cannot be read: `search` stays as it was.
bool dns_search_read(struct dns_search *search, const char *path) MUST_CHECK;

// Names to ask for, in this order, NUL behind each; at most DNS_SEARCH_DOMAINS_MAX + 1. A dot at the end of `name` says that it is whole.
uint32_t dns_search_names(const struct dns_search *search, struct bytes name, struct pool *pool, struct bytes names[DNS_SEARCH_DOMAINS_MAX + 1]);

#endif
