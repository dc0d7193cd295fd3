// What TLS counts: one set per worker, written by it alone and read by whoever shows metrics. Options of connections point to it.
#ifndef NET_TLS_COUNTERS_H
#define NET_TLS_COUNTERS_H

#include "base/metric_cell.h"

// Why a handshake failed. X(name, label): the label is the metric's.
#define TLS_FAILURE_LIST(X)                                                                                                  \
    X(NO_COMMON, "no_common")           /* no common version, group, signature, ALPN: nothing wrong with either end alone */ \
    X(NO_CERTIFICATE, "no_certificate") /* the client showed none where one is required */                                   \
    X(NOT_SVID, "not_svid")             /* a certificate breaks a rule of X.509-SVID */                                      \
    X(UNTRUSTED, "untrusted")           /* no path to a root of its trust domain */                                          \
    X(EXPIRED, "expired")               /* or not yet valid */                                                               \
    X(IDENTITY, "identity")             /* a valid SVID, but none of those expected */                                       \
    X(NAME, "name")                     /* of a server outside the mesh: trusted, but for none of the names expected */      \
    X(PEER_ALERT, "peer_alert")         /* the peer refused, us or something else, and said so */                            \
    X(CLOSED, "closed")                 /* the peer went away */                                                             \
    X(TIMEOUT, "timeout")                                                                                                    \
    X(PROTOCOL, "protocol") /* what came was no TLS, or broken */

enum tls_failure {
#define X(name, label) TLS_FAILURE_##name,
    TLS_FAILURE_LIST(X)
#undef X
        TLS_FAILURE_COUNT
};

struct tls_role_counters {
    struct metric_cell handshakes; // done, the resumed ones among them
    struct metric_cell resumed;
    struct metric_cell failed[TLS_FAILURE_COUNT];
};

struct tls_counters {
    struct tls_role_counters server;
    struct tls_role_counters client;
    struct metric_cell tickets;     // sent
    struct metric_cell path_reused; // peers whose certificates had been verified before, byte for byte
    struct metric_cell truncated;   // connections that ended without close_notify
};

static inline const char *tls_failure_label(enum tls_failure failure) {
    static const char *const labels[TLS_FAILURE_COUNT] = {
#define X(name, label) label,
        TLS_FAILURE_LIST(X)
#undef X
    };
    return labels[failure];
}

#endif
