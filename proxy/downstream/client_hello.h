// The first message of a TLS client, read as far as it says where it wants to go: the server's name (SNI) and the application protocols that it offers (ALPN).
// Reads a copy of bytes that go on as they came; knows nothing of handshakes. The message may be cut into records in any way (RFC 8446 section 5.1).
#ifndef DOWNSTREAM_CLIENT_HELLO_H
#define DOWNSTREAM_CLIENT_HELLO_H

#include "base/bytes.h"

// The longest message that is looked at, and the most bytes of records that may carry it: with keys of two post-quantum groups it is about 3 KiB. One of a longer
// message counts as CLIENT_HELLO_OTHER, as does one in more pieces.
#define CLIENT_HELLO_MAX 8192

#define SERVER_NAME_MAX 255

enum client_hello_result {
    CLIENT_HELLO_MORE,  // too few bytes to tell
    CLIENT_HELLO_READ,  // it is one, and was read
    CLIENT_HELLO_OTHER, // a handshake record, and nothing that is understood
    CLIENT_HELLO_NONE   // no handshake record of TLS at all
};

struct client_hello {
    char server_name[SERVER_NAME_MAX]; // lower-case; the outer one where it is encrypted (ECH)
    uint8_t server_name_length;        // 0: none, or not a name
    bool offers_mesh;                  // an ALPN of ours: "outrigger..."
};

// A name that a client has asked for, in lower case. Returns its length; 0: it is no name, and is not to be logged or looked up.
uint8_t server_name_read(struct bytes name, char lower[SERVER_NAME_MAX]);

// `in`: all bytes of the connection so far, contiguous.
enum client_hello_result client_hello_read(struct bytes in, struct client_hello *hello);

#endif
