// What /explain is asked: a request in the parameters of a query.
#ifndef ADMIN_EXPLAIN_QUERY_H
#define ADMIN_EXPLAIN_QUERY_H

#include "base/pool.h"
#include "certs/spiffe_id.h"
#include "config/snapshot.h"

#define EXPLAIN_HEADERS_MAX 64

struct explain_header {
    struct bytes name, value;
};

struct explain_question {
    struct bytes listener; // empty: the only one, or the first of role Outbound
    struct bytes method, host, path;
    struct explain_header headers[EXPLAIN_HEADERS_MAX];
    uint32_t header_count;
    struct spiffe_id identity; // of the caller; empty: none is shown
    struct socket_address client;
    struct socket_address destination; // where the connection was going before it was redirected; length 0: nowhere else
};

// Texts lie in `query` or in `pool`. False: `*error` says what is wrong and what is allowed.
bool explain_query_parse(struct bytes query, struct pool *pool, struct explain_question *question, struct bytes *error);

#endif
