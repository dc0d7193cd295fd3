// TCP and Unix stream sockets as a transport (transport.h): uv_poll with our own readv and writev.
//
// Reading stays armed while the connection lives, so that a request costs no change of the poll set; a paused connection is disarmed by the first event that
// comes meanwhile. While it is paused a reset by the peer is still noticed; an orderly end is not told before the bytes in front of it.
#ifndef NET_TCP_H
#define NET_TCP_H

#include "net/transport.h"

// Begins to connect; `ready` follows, never from within. ERROR_IO when no socket can be made (descriptors): then nothing follows.
MUST_CHECK enum error tcp_connect(struct loop *loop, const struct sockaddr *address, socklen_t length, const struct transport_handler *handler,
                                  void *user, struct transport **transport);

// Takes over a connected socket that accept gave (non-blocking, close-on-exec). Ready at once: no `ready` comes. Reading is stopped. On an error `socket` is closed.
MUST_CHECK enum error tcp_adopt(struct loop *loop, int socket, const struct transport_handler *handler, void *user, struct transport **transport);

// Address and port as text, "127.0.0.1:80" or "[::1]:80"; "unix" for others. Returns the length; `size` of ADDRESS_TEXT_MAX suffices.
#define ADDRESS_TEXT_MAX 64
size_t address_print(const union address *address, char *text, size_t size);

// The same without the port, and without the brackets of IPv6.
size_t address_print_ip(const union address *address, char *text, size_t size);

// An IPv4 address as a socket of both families has it (::ffff:192.0.2.1) becomes what it is everywhere else; any other stays.
void address_unmap(union address *address);

#endif
