// Look-ups of names: addresses (A and AAAA together) and services (SRV), on c-ares, without blocking the loop.
//
// Addresses: a literal is its own answer; `localhost` and what is below it are loopback; then /etc/hosts; then name servers, those of resolv.conf with its search domains, or those
// that are configured. Answers that do not fit into a datagram are asked for again over TCP. After a failure, and when resolv.conf has changed, the next look-up begins with new
// sockets and a fresh reading of it: a server that was replaced, or a socket that leads nowhere, is left behind. A file that can be read no more leaves in force what it said.
//
// Owner:      whoever made it (the main thread's resolver), on the loop's thread.
// Start:      dns_lookup_start; never fails: what goes wrong is the look-up's outcome.
// Callbacks:  `done`, exactly once for each look-up that is not cancelled, never from within a call; at the latest when `timeout` is over.
// Cancel:     dns_lookup_cancel, before `done`: it does not come then. dns_close cancels all.
// Memory:     look-ups free themselves behind `done` or the cancelling; the result is valid during `done` alone.
#ifndef NET_DNS_H
#define NET_DNS_H

#include "base/clock.h"
#include "net/dns_answer.h"

struct loop;
struct dns;
struct dns_lookup;

enum dns_kind { DNS_ADDRESSES, DNS_SERVICES };

#define DNS_OUTCOME_LIST(X)                              \
    X(FOUND, "found")                                    \
    X(NO_NAME, "nxdomain") /* the name is not there */   \
    X(NO_RECORD, "nodata") /* it is, without records */  \
    X(FAILED, "servfail")  /* no server has an answer */ \
    X(TIMEOUT, "timeout")

enum dns_outcome {
#define X(name, text) DNS_##name,
    DNS_OUTCOME_LIST(X)
#undef X
        DNS_OUTCOME_COUNT
};

const char *dns_outcome_name(enum dns_outcome outcome);

struct dns_result {
    enum dns_outcome outcome;
    const struct dns_record *records; // FOUND: sorted, none twice
    uint32_t count;
    uint32_t ttl_s; // FOUND: for how long that holds; UINT32_MAX: always
};

struct dns_options {
    const char *servers;     // "10.0.0.1,10.0.0.2:5353,[fd00::1]:53"; NULL: those of resolv_conf
    const char *resolv_conf; // NULL: /etc/resolv.conf
    const char *hosts;       // NULL: /etc/hosts
};

// Copies the options.
struct dns *dns_create(struct loop *loop, const struct dns_options *options);
void dns_close(struct dns *dns);

// `name` has the form that dns_name_is_plain asks for, with or without a dot at its end, or is a literal address. It is copied.
struct dns_lookup *dns_lookup_start(struct dns *dns, struct bytes name, enum dns_kind kind, nanoseconds timeout,
                                    void (*done)(void *user, const struct dns_result *result), void *user);
void dns_lookup_cancel(struct dns_lookup *lookup);

#endif
