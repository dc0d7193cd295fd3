// What of a message people are not shown by pages, logs and traces: values that let whoever has them in. Judged by the name that a value stands under.
#ifndef HTTP_REDACT_H
#define HTTP_REDACT_H

#include "base/bytes.h"
#include "base/pool.h"

#include <stdbool.h>

// OpenTelemetry's word for it in URLs; the same everywhere.
#define REDACTED BYTES("REDACTED")

// Authorization, cookies, and every other name that tells of a key, a token, a password, a session or a signature, in any case.
bool redact_is_secret(struct bytes name);

// What may be shown of the value that stands under `name`: all of it, but of a field or parameter that has a URL in it (Referer, Location, X-Forwarded-Uri, ...) neither user nor
// password, nor what stands behind the path, which may be a token; nothing of one that may have a password in an odd place. A part of `value`.
struct bytes redact_url(struct bytes name, struct bytes value);

// An authority without user and password in front of it: what no request may have, and a refused one can. Empty where what is there may be a part of them.
struct bytes redact_user(struct bytes authority);

// The target of a request that was refused, maybe in the midst of it, without query, user and password: a path, a URL, or the authority of CONNECT. Of what is no path nothing is shown where
// it could be a part of a password: "@" stands behind the authority, or an authority that nothing follows may not be all there. A part of `target`.
struct bytes redact_target(struct bytes target);

// A path whose query has such names: without their values. `target` itself where it has none, else in `pool`.
struct bytes redact_query(struct bytes target, struct pool *pool);

#endif
