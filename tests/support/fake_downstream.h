// A whole worker without sockets: clients on fake transports before struct downstream, servers on fake transports behind struct upstream (fake_upstream.h), one
// virtual clock. For unit tests of proxy/downstream and for tests of all layers together.
//
// A client speaks through a real codec (near_open, near_request) or raw: bytes and text.
#ifndef SUPPORT_FAKE_DOWNSTREAM_H
#define SUPPORT_FAKE_DOWNSTREAM_H

#include "downstream/downstream.h"
#include "support/loopback_stream.h"

// A client's end of one connection.
struct near_conn {
    struct fake_downstream *near;
    struct near_conn *next;
    struct fake_peer *peer;
    bool refused;  // closed before a transport was made of it
    bool speaks;   // has a codec
    bool told_end; // its codec knows that the proxy has ended or closed
    struct codec_owner client;
    struct text received; // raw: all that the proxy sent
};

struct fake_downstream {
    struct loopback loopback;
    struct downstream downstream;
    struct h2_memory *h2_memory; // of the clients
    struct fake_options options; // of the transports; its seed goes on with each
    bool no_descriptor;          // adopt fails
    struct codec_limits limits;  // of the clients' codecs
    struct near_conn *conns;
    struct near_conn *adopting;
    uint32_t count;
    // Called for each connection after its codec was fed.
    void (*use)(struct near_conn *conn, void *use_user);
    void *use_user;
};

void fake_downstream_init(struct fake_downstream *near, const char *documents, const struct filter_type *const *filters);
void fake_downstream_apply(struct fake_downstream *near, const char *documents);

// Closes all and aborts when anything is left over.
void fake_downstream_dispose(struct fake_downstream *near);

void near_settle(struct fake_downstream *near);
void near_pass(struct fake_downstream *near, nanoseconds duration);

// A client connects. Raw until near_open. The second does not settle.
struct near_conn *near_connect(struct fake_downstream *near, const char *listener);
struct near_conn *near_arrive(struct fake_downstream *near, const char *listener);

// Raw: bytes to the proxy; settles. What came back so far, as text.
void near_send(struct near_conn *conn, const char *text);
void near_send_bytes(struct near_conn *conn, struct bytes text);
const char *near_received(struct near_conn *conn);
void near_forget(struct near_conn *conn);

// The client ends its side, or breaks the connection. Settles.
void near_close(struct near_conn *conn);
void near_break(struct near_conn *conn);
bool near_is_closed(const struct near_conn *conn); // by the proxy

// From now on it speaks through a client's codec.
void near_open(struct near_conn *conn, enum http_version version);

// Sends a request ("GET a /path\nname: value\n"); the codec must have room. Does not settle.
struct owner_stream *near_request(struct near_conn *conn, const char *request, bool end);
void near_body(struct near_conn *conn, struct owner_stream *request, struct bytes body, bool end);
void near_reset(struct near_conn *conn, struct owner_stream *request, enum error error);

#endif
