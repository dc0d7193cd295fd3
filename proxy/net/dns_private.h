// What dns.c (look-ups) and dns_channel.c (c-ares on the loop) share. Not for anyone else.
#ifndef NET_DNS_PRIVATE_H
#define NET_DNS_PRIVATE_H

#include "base/list.h"
#include "base/timer_wheel.h"
#include "net/dns.h"
#include "net/loop.h"

#include <ares.h>

// c-ares with its sockets on the loop. It goes once it is retired and nothing is asked of it any more.
struct dns_channel {
    struct list link; // of dns.channels
    struct loop *loop;
    ares_channel ares;
    struct list sockets;
    struct timer timer;
    struct task end;
    uint32_t questions; // without an answer so far
    bool retired;       // takes no more
};

// NULL: c-ares cannot begin (no memory, servers that it does not understand).
struct dns_channel *dns_channel_create(struct loop *loop, const char *servers, const char *resolv_conf);

// The servers that it asks, in the form that dns_channel_create takes; the caller frees it. NULL: it has none.
char *dns_channel_servers(const struct dns_channel *channel);

// One question. `answered` is called exactly once, perhaps from within, with status, message and length as ares_query's callback has them; with ARES_EDESTRUCTION where the channel is
// destroyed before.
void dns_channel_ask(struct dns_channel *channel, const char *name, enum dns_type type,
                     void (*answered)(void *user, int status, const unsigned char *message, int length), void *user);

void dns_channel_retire(struct dns_channel *channel);

// Not from within c-ares.
void dns_channel_destroy(struct dns_channel *channel);

#endif
