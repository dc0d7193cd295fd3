// What was decided about a request (stream/explanation.h) as JSON: for /explain. Made on the thread of the stream's worker; whoever has the value may take it elsewhere.
#ifndef ADMIN_EXPLAIN_VIEW_H
#define ADMIN_EXPLAIN_VIEW_H

#include "admin/explain_query.h"
#include "admin/figures.h"

struct json_t; // jansson
struct stream;

// Matches of routes that are told beside the one that the request goes by, and endpoints.
#define EXPLAIN_MATCHES_MAX 64
#define EXPLAIN_ENDPOINTS_MAX 256

struct explained {
    const struct stream *stream; // of an inquiry that has decided
    const struct explain_question *question;
    struct pool *pool;                   // for texts
    const struct admin_service *service; // where it goes; NULL: nowhere
};

// A new reference.
struct json_t *explain_view(const struct explained *explained);

#endif
